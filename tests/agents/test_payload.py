"""What each shape sends: literal JSON beside what was said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ag_ui.core import RunAgentInput

from bff.agent_settings import PLACEHOLDERS
from bff.agents import Prompt
from bff.agents.answers import MADE_UP, decision, payload_of, usual
from bff.agents.payload import FIELDS, body_maker, payload_maker, places
from bff.agents.payload.values import VALUES
from bff.events import Input, ToolUse
from bff.messages import (
    Answer,
    ChatMessage,
    ClientTool,
    Conversation,
    FilePart,
    TextPart,
    ToolCall,
    user_message,
)

IDS: Any = {"session_id": "s" * 40, "actor_id": "actor", "run_id": "run_1"}
SAID = (
    user_message("I am Jo."),
    ChatMessage(role="assistant", parts=(TextPart("Hello Jo."),)),
)
SYSTEM = ChatMessage(role="system", parts=(TextPart("Be short."),))
PICTURE = FilePart("image", "image/png", data="iVBORw==", filename="shot.png")
PAPER = FilePart("document", "application/pdf", url="s3://b/k", filename="Q3 (final)_v2.pdf")
TOOL = ClientTool("locate", "Where the user is", {"type": "object"})
APPROVAL = Input("i-1", "approval", value={"amount": 10})
CALL = Input("call-7", "tool", tool=ToolUse("call-7", "locate", {"exact": True}))


def prompt(
    *,
    new: tuple[ChatMessage, ...] = (user_message("Who am I?"),),
    history: tuple[ChatMessage, ...] = (),
    first: bool = False,
    questions: tuple[Input, ...] = (),
    **fields: Any,
) -> Prompt:
    conversation = Conversation(new=new, **fields)
    return Prompt(
        conversation=conversation, history=history, first=first, questions=questions, **IDS
    )


def payload(setting: Any, asked: Prompt) -> dict[str, Any]:
    return payload_maker(setting)(asked)


FULL: dict[str, Any] = {
    "before": (SYSTEM, *SAID),
    "tools": (TOOL,),
    "context": ({"description": "page", "value": "/pay"},),
    "state": {"step": 1},
    "options": {"temperature": 0.5},
    "metadata": {"user": "jo"},
}


def answering(*pairs: tuple[Input, Answer], **fields: Any) -> Prompt:
    return prompt(
        new=(),
        questions=tuple(question for question, _ in pairs),
        answers=tuple(answer for _, answer in pairs),
        **fields,
    )


YES = (APPROVAL, Answer("i-1", payload={"approved": True}))
PLACE = (CALL, Answer("call-7", payload={"city": "Rome"}))


def test_a_maker__takes_a_template_apart_once_and_fills_it_for_each_call() -> None:
    make = payload_maker({"say": "$message", "in": ["$session_id"], "as": "<$actor_id>", "n": 1})

    for words in ("one", "two"):
        assert make(prompt(new=(user_message(words),))) == {
            "say": words,
            "in": ["s" * 40],
            "as": "<actor>",
            "n": 1,
        }


def test_prompt__is_text_ids_and_only_what_there_is() -> None:
    assert payload("prompt", prompt()) == {
        "prompt": "Who am I?",
        "session_id": "s" * 40,
        "actor_id": "actor",
        "stream": True,
    }


def test_prompt__has_a_place_for_everything() -> None:
    sent = payload("prompt", prompt(new=(user_message("Look", PICTURE),), **FULL))

    assert sent["system"] == "Be short."
    assert sent["tools"] == [
        {"name": "locate", "description": "Where the user is", "parameters": {"type": "object"}}
    ]
    assert sent["context"] == [{"description": "page", "value": "/pay"}]
    assert (sent["state"], sent["options"], sent["metadata"]) == (
        {"step": 1},
        {"temperature": 0.5},
        {"user": "jo"},
    )
    assert sent["files"] == [
        {
            "type": "image",
            "source": {"type": "data", "value": "iVBORw==", "mimeType": "image/png"},
            "filename": "shot.png",
        }
    ]


def test_prompt__tells_what_was_said_before_as_text() -> None:
    sent = payload("prompt", prompt(history=SAID, first=True))

    assert sent["prompt"] == (
        "[Said before in this conversation]\n"
        "User: I am Jo.\nAssistant: Hello Jo.\n"
        "[End of what was said before]\n\n"
        "Who am I?"
    )


def test_prompt__resumes_without_a_message() -> None:
    assert payload("prompt", answering(YES)) == {
        "session_id": "s" * 40,
        "actor_id": "actor",
        "stream": True,
        "resume": {"i-1": {"approved": True}},
    }


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ({"q": "$message", "s": "$system"}, {"q": "Who am I?", "s": "Be short."}),
        ({"q": "$message", "n": "$tool_results", "r": "$resume"}, {"q": "Who am I?"}),
        ({"a": [{"b": "$options"}], "m": "$message"},
         {"a": [{"b": {"temperature": 0.5}}], "m": "Who am I?"}),
        ({"m": "$message", "t": "o=$options"}, {"m": "Who am I?", "t": 'o={"temperature":0.5}'}),
        ({"c": "$content"}, {"c": [{"type": "text", "text": "Who am I?"}]}),
    ],
)  # fmt: skip
def test_a_template__is_filled_and_keys_with_nothing_to_say_left_out(
    template: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert payload(template, prompt(**FULL)) == sent


def test_a_template__gets_messages_as_chat_completions_have_them() -> None:
    sent = payload({"all": "$messages", "old": "$history"}, prompt(history=SAID, **FULL))

    assert sent["all"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "I am Jo."},
        {"role": "assistant", "content": "Hello Jo."},
        {"role": "user", "content": "Who am I?"},
    ]
    assert sent["old"] == sent["all"][1:3]


def test_a_template__gets_answers_in_both_forms() -> None:
    template = {"m": "$message", "r": "$resume", "l": "$resume_list", "t": "$tool_results"}

    assert payload(template, answering(YES, PLACE)) == {
        "r": {"i-1": {"approved": True}, "call-7": {"city": "Rome"}},
        "l": [
            {"interruptId": "i-1", "status": "resolved", "payload": {"approved": True}},
            {"interruptId": "call-7", "status": "resolved", "payload": {"city": "Rome"}},
        ],
        "t": [{"tool_call_id": "call-7", "content": '{"city":"Rome"}'}],
    }


def test_what_a_client_wrote__is_never_taken_for_a_placeholder() -> None:
    sent = payload(
        {"q": "<$message>", "m": "$metadata"},
        prompt(new=(user_message("$actor_id $message"),), metadata={"k": "$run_id"}),
    )

    assert sent == {"q": "<$actor_id $message>", "m": {"k": "$run_id"}}


def test_a_body__is_utf8_json_whatever_was_said() -> None:
    sent = body_maker("prompt")(prompt(new=(user_message("half \ud83d, \u2028"),)))

    assert json.loads(sent)["prompt"] == "half \ufffd, \u2028"


def test_strands__gets_text_or_content_blocks() -> None:
    assert payload("strands", prompt()) == {"prompt": "Who am I?"}
    sent = payload("strands", prompt(first=True, new=(user_message("Look", PICTURE, PAPER),)))

    assert sent == {
        "prompt": [
            {"text": "Look"},
            {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}},
            {
                "document": {
                    "format": "pdf",
                    "name": "Q3 (final) v2",
                    "source": {"location": {"type": "s3", "uri": "s3://b/k"}},
                }
            },
        ]
    }


def test_strands__is_told_instructions_and_transcript_where_its_session_begins() -> None:
    sent = payload("strands", prompt(history=SAID, first=True, before=(SYSTEM,)))
    later = payload("strands", prompt(before=(SYSTEM,)))

    assert sent["prompt"].startswith("[Instructions]\nBe short.\n[End of instructions]\n\n[Said")
    assert later == {"prompt": "Who am I?"}


def test_strands__is_answered_by_a_list() -> None:
    assert payload("strands", answering(YES, PLACE)) == {
        "prompt": [
            {"interruptResponse": {"interruptId": "i-1", "response": {"approved": True}}},
            {
                "toolResult": {
                    "toolUseId": "call-7",
                    "status": "success",
                    "content": [{"json": {"city": "Rome"}}],
                }
            },
        ]
    }


CONFIG = {"configurable": {"thread_id": "s" * 40, "actor_id": "actor"}}


def test_langgraph__gets_input_or_a_command() -> None:
    sent = payload("langgraph", prompt(history=SAID, first=True, before=(SYSTEM,)))

    assert sent == {
        "input": {
            "messages": [
                {"role": "system", "content": "Be short.", "id": "system"},
                {"role": "user", "content": "I am Jo."},
                {"role": "assistant", "content": "Hello Jo."},
                {"role": "user", "content": "Who am I?"},
            ]
        },
        "config": CONFIG,
    }
    assert payload("langgraph", answering(YES)) == {
        "command": {"resume": {"i-1": {"approved": True}}},
        "config": CONFIG,
    }


def test_langgraph__gets_a_clients_tool_result_as_a_message() -> None:
    sent = payload("langgraph", answering(PLACE))

    assert sent["input"]["messages"] == [
        {"role": "tool", "content": '{"city":"Rome"}', "tool_call_id": "call-7"}
    ]


def test_langgraph__gets_files_as_langchain_blocks() -> None:
    [message] = payload("langgraph", prompt(new=(user_message("Look", PICTURE, PAPER),)))["input"][
        "messages"
    ]

    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {
            "type": "image",
            "base64": "iVBORw==",
            "mime_type": "image/png",
            "filename": "shot.png",
        },
        {
            "type": "file",
            "url": "s3://b/k",
            "mime_type": "application/pdf",
            "filename": "Q3 (final)_v2.pdf",
        },
    ]


def test_agui__is_a_valid_run_agent_input() -> None:
    sent = payload(
        "agui",
        prompt(new=(user_message("Look", PICTURE),), history=SAID, forwarded={"a": 1}, **FULL),
    )

    parsed = RunAgentInput.model_validate(sent)
    assert [message.role for message in parsed.messages] == ["system", "user", "assistant", "user"]
    assert (sent["threadId"], sent["runId"]) == ("s" * 40, "run_1")
    assert sent["state"] == {"step": 1}
    assert sent["forwardedProps"] == {"temperature": 0.5, "metadata": {"user": "jo"}, "a": 1}
    assert len({message["id"] for message in sent["messages"]}) == 4


def test_agui__gets_an_agui_clients_messages_whole() -> None:
    def sent_as(role: Any, **fields: Any) -> ChatMessage:
        fields = {"id": f"c-{role}", "role": role, **fields}
        text = fields.get("content")
        parts = (TextPart(text),) if isinstance(text, str) else ()
        return ChatMessage(role=role, id=fields["id"], parts=parts, as_sent=fields)

    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    before = (
        sent_as("user", content="a", name="jo"),
        sent_as("assistant", toolCalls=[call]),
        sent_as("tool", content="r", toolCallId="t"),
    )
    sent = payload("agui", prompt(new=(sent_as("user", content="b"),), before=before))

    assert [dict(message.as_sent or {}) for message in before] == sent["messages"][:3]
    RunAgentInput.model_validate(sent)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "data", "value": "Data:image/png;base64,aGk=", "mimeType": "image/png"},
        {"type": "url", "value": "data:image/png;base64,aGk="},
    ],
)
def test_agui__gets_a_data_url_as_the_data_it_is(source: dict[str, str]) -> None:
    part = FilePart("image", "image/png", data="aGk=")
    fields = {"id": "m", "role": "user", "content": [{"type": "image", "source": source}]}
    said = ChatMessage(role="user", id="m", parts=(part,), as_sent=fields)

    [message] = payload("agui", prompt(new=(said,)))["messages"]

    [shown] = message["content"]
    assert shown["source"] == {"type": "data", "value": "aGk=", "mimeType": "image/png"}


def test_agui__is_answered_in_the_new_and_the_older_way() -> None:
    sent = payload("agui", answering(YES, forwarded={"command": {"x": 1}}))

    assert sent["resume"] == [
        {"interruptId": "i-1", "status": "resolved", "payload": {"approved": True}}
    ]
    assert sent["forwardedProps"] == {"command": {"x": 1, "resume": {"approved": True}}}
    RunAgentInput.model_validate(sent)


def test_agui__is_told_of_a_question_without_an_id_only_in_the_older_way() -> None:
    made_up = Input(f"{MADE_UP}abc", "input")
    sent = payload("agui", answering((made_up, Answer(made_up.id, payload="Rome"))))

    assert "resume" not in sent
    assert sent["forwardedProps"] == {"command": {"resume": "Rome"}}


def test_openai__is_a_chat_completion_with_options_and_tools() -> None:
    sent = payload("openai", prompt(new=(user_message("Look", PICTURE),), history=SAID, **FULL))

    assert sent == {
        "model": "agent",
        "stream": True,
        "user": "actor",
        "temperature": 0.5,
        "metadata": {"user": "jo"},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "locate",
                    "description": "Where the user is",
                    "parameters": {"type": "object"},
                },
            }
        ],
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "I am Jo."},
            {"role": "assistant", "content": "Hello Jo."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,iVBORw=="},
                    },
                ],
            },
        ],
    }


def test_openai__is_told_that_calls_are_held_to_their_schema() -> None:
    sent = payload("openai", prompt(tools=(TOOL, replace(TOOL, strict=True))))

    assert [tool["function"].get("strict") for tool in sent["tools"]] == [None, True]


def test_openai__gets_tool_results_behind_their_call() -> None:
    sent = payload("openai", answering(PLACE))

    assert sent["messages"] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call-7",
                    "type": "function",
                    "function": {"name": "locate", "arguments": '{"exact":true}'},
                }
            ],
        },
        {"role": "tool", "content": '{"city":"Rome"}', "tool_call_id": "call-7"},
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("openai", lambda sent: sent["messages"]),
        ("langgraph", lambda sent: sent["input"]["messages"]),
        ("agui", lambda sent: sent["messages"]),
        ({"all": "$messages"}, lambda sent: sent["all"]),
    ],
)
def test_a_message_beside_a_tools_result__stands_behind_it(setting: Any, said: Any) -> None:
    both = replace(answering(PLACE).conversation, new=(user_message("And hurry"),))
    sent = payload(setting, replace(answering(PLACE), conversation=both))

    assert [item["role"] for item in said(sent)][-2:] == ["tool", "user"]


def test_openai__keeps_tool_calls_of_a_transcript() -> None:
    called = ChatMessage(role="assistant", tool_calls=(ToolCall("t", "f", {"a": 1}),))
    sent = payload("openai", prompt(history=(called,)))

    assert sent["messages"][0]["tool_calls"][0]["function"] == {
        "name": "f",
        "arguments": '{"a":1}',
    }


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("prompt", FIELDS),
        ("agui", FIELDS),
        ("strands", {"files"}),
        ("langgraph", {"files", "context"}),
        ("openai", {"tools", "options", "metadata", "files"}),
        ({"m": "$message"}, set()),
        ({"m": "$content", "t": ["$tools"]}, {"files", "tools"}),
        ({"m": "$message", "x": "now: $metadata"}, {"metadata"}),
    ],
)
def test_places__are_what_a_payload_can_carry(setting: Any, found: set[str]) -> None:
    assert places(setting) == found


HITL = {"action_requests": [{"name": "pay", "args": {}}, {"name": "tell", "args": {}}]}
HITL_JS = {
    "actionRequests": [{"name": "pay", "args": {}}],
    "reviewConfigs": [{"actionName": "pay", "allowedDecisions": ["approve", "edit"]}],
}


def test_an_edited_call__is_in_the_words_of_the_middlewares_language() -> None:
    answer = Answer("i", "resolved", approved=True, edited={"eur": 5})
    python = {**usual(HITL_JS)}
    for value, key in ((HITL_JS, "editedAction"), (python, "edited_action")):
        edit = {"type": "edit", key: {"name": "pay", "args": {"eur": 5}}}
        assert payload_of(Input("i", "approval", value=value), answer) == {"decisions": [edit]}


@pytest.mark.parametrize(
    ("question", "approved", "told"),
    [
        (Input("i", "approval", value="Delete?"), True, True),
        (Input("i", "approval", value="Delete?"), False, False),
        (Input("i", "approval", value=HITL), True, {"decisions": [{"type": "approve"}] * 2}),
        (
            Input("i", "approval", value=HITL),
            False,
            {"decisions": [{"type": "reject", "message": "no"}] * 2},
        ),
        (Input("i", "approval", value=HITL_JS), True, {"decisions": [{"type": "approve"}]}),
        (
            Input("i", "approval", value={"type": "tool_approval", "name": "pay"}),
            False,
            {"type": "reject", "message": "no"},
        ),
        (Input("i", "approval", value={"id": "v1", "name": "a", "reason": {}}), True, "y"),
        (Input("i", "approval", value={"id": "v1", "name": "a", "reason": {}}), False, "n"),
        (
            Input("i", "approval", schema={"properties": {"approved": {}, "reason": {}}}),
            False,
            {"approved": False, "reason": "no"},
        ),
        (Input("i", "approval", schema={"properties": {"approve": {}}}), True, {"approve": True}),
        (Input("i", "input", value="Where?"), False, {"cancelled": True}),
    ],
)
def test_a_decision__is_in_the_agents_words(question: Input, approved: bool, told: object) -> None:
    assert decision(question, approved=approved, reason=None if approved else "no") == told


@pytest.mark.parametrize(
    ("value", "said", "told"),
    [
        (HITL, None, {"decisions": [{"type": "approve"}] * 2}),
        (HITL, " Yes. ", {"decisions": [{"type": "approve"}] * 2}),
        (HITL, "no", {"decisions": [{"type": "reject"}] * 2}),
        (
            HITL,
            "Tell Jo first",
            {"decisions": [{"type": "reject", "message": "Tell Jo first"}] * 2},
        ),
        (HITL, {"decisions": []}, {"decisions": []}),
        ({"type": "tool_approval", "name": "pay"}, "ok", {"type": "approve"}),
        ("Delete?", None, True),
        ("Delete?", "yes", "yes"),
        ({"id": "v1", "name": "a", "reason": {}}, None, "y"),
    ],
)
def test_an_approval_in_words__is_what_the_agent_can_read(
    value: Any, said: Any, told: object
) -> None:
    assert payload_of(Input("i", "approval", value=value), Answer("i", payload=said)) == told


def test_a_cancelled_answer__is_a_refusal_in_every_shape() -> None:
    declined = (Input("i", "approval", value=HITL), Answer("i", "cancelled"))

    refused = {"decisions": [{"type": "reject"}] * 2}
    assert payload("langgraph", answering(declined))["command"] == {"resume": {"i": refused}}
    assert payload("prompt", answering(declined))["resume"] == {"i": refused}


def test_the_placeholders_that_settings_take__are_those_that_have_a_value() -> None:
    assert set(VALUES) == PLACEHOLDERS
