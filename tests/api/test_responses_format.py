"""The format of OpenAI's Responses: a run as events and items, an input as a conversation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.api.openai.responses.events import ResponseEncoder
from bff.api.openai.responses.input import approval_id, read_input
from bff.api.openai.responses.response import MAX_ECHO_CHARACTERS, Response, echo_of
from bff.errors import Invalid, NotFound
from bff.events import (
    Done,
    Event,
    File,
    Input,
    Message,
    Record,
    Source,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
)
from bff.messages import Answer, FilePart, TextPart, ToolCall
from tests.api.example_run import BODY, CANCELLED, COMPLETE, FAILED, RUN, records, with_gap
from tests.api.reading import parsed

PAY = ToolUse("call-2", "pay", {"amount": 10})
QUESTIONS = (
    Input("ask-1", "approval", "May I pay?", tool=PAY),
    Input("call-3", "tool", tool=ToolUse("call-3", "locate", {"city": "Rome"})),
)
ASKING = Done("input_required", inputs=QUESTIONS)

ENDED = replace(RUN, ended_at=RUN.created_at + 2)
"""Read again, so that its end does not depend on the clock."""


def told(items: list[Record], *, after: int = -1) -> list[dict[str, Any]]:
    return parsed(ResponseEncoder(ENDED, Response.of(RUN), headers={}, after=after)(items))


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# A run as events


def test_a_run__is_items_with_their_pieces_and_one_end() -> None:
    events = told(records(*BODY, COMPLETE))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert types(events) == [
        *("created", "in_progress", "output_item.added", "reasoning_summary_part.added"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta"),
        *("mcp_call_arguments.done", "mcp_call.completed", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    response = events[-1]["response"]
    reasoning, first, call, second = response["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "A sum: use the tool."}]
    assert first["content"][0]["text"] == "Let me see."
    assert (call["name"], json.loads(call["arguments"])) == (
        "calculator",
        {"expression": "15 * 23"},
    )
    assert (call["output"], call["status"], call["server_label"]) == ("345", "completed", "agent")
    assert second["content"][0]["text"] == "It is \u201c345\u201d.\n"
    assert response["usage"]["total_tokens"] == 13
    assert response["status"] == "completed"
    assert len({item["id"] for item in response["output"]}) == 4


def test_what_was_streamed__is_what_is_read_whole() -> None:
    items = records(
        *BODY,
        Source("https://example.com/a", "A"),
        File("image/png", None, "aGk=", "a.png"),
        File("text/csv", "https://example.com/b.csv", None, "b.csv"),
        *QUESTIONS,
        ASKING,
    )
    events = told(items)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    output = events[-1]["response"]["output"]

    assert sorted(done, key=lambda item: item["id"]) == sorted(output, key=lambda i: i["id"])
    assert Response.of(RUN).fold(ENDED, items) == events[-1]["response"]
    for index, event in enumerate(events):
        if event["type"] == "response.output_item.added":
            assert output[event["output_index"]]["id"] == event["item"]["id"], index


def test_every_piece_of_text__adds_up_to_the_items() -> None:
    items = records(Message('a "'), Message("\ud83d"), Message("\u00e9\n"), Thinking("t"), COMPLETE)
    events = told(items)
    pieces = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]

    assert "".join(pieces) == events[-1]["response"]["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("end", [COMPLETE, CANCELLED, FAILED, ASKING])
def test_going_on_behind_any_event__is_the_rest_to_the_letter(end: Event) -> None:
    asked = QUESTIONS if end is ASKING else ()
    items = records(*BODY, *asked, end)
    whole = ResponseEncoder(ENDED, Response.of(RUN), headers={})(items).decode().split("\n\n")

    for after in range(len(whole) - 1):
        encoder = ResponseEncoder(ENDED, Response.of(RUN), headers={}, after=after)
        rest = b"".join(encoder([item]) for item in items).decode()
        assert rest.split("\n\n") == whole[after + 1 :]


def test_a_run_that_did_not_complete__says_so() -> None:
    failed, cancelled = (told(records(Message("Hel"), end))[-1] for end in (FAILED, CANCELLED))

    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "agent_failed"
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert cancelled["type"] == "response.incomplete"
    assert cancelled["response"]["status"] == "cancelled"
    assert cancelled["response"]["output"][0]["content"][0]["text"] == "Hel"


def test_a_gap__is_an_error_and_the_end_of_what_is_told() -> None:
    [error] = told(with_gap(Message("rest"), COMPLETE))

    assert (error["type"], error["code"]) == ("error", "gap")


def test_questions__are_items_and_approvals_are_said_in_words_too() -> None:
    [*_, end] = told(records(Message("Well. "), *QUESTIONS, ASKING))
    output = end["response"]["output"]

    assert end["response"]["status"] == "completed"
    assert [item["type"] for item in output] == [
        *("message", "function_call", "message", "mcp_approval_request")
    ]
    assert output[1]["call_id"] == "call-3"
    assert output[2]["content"][0]["text"] == 'May I pay?\npay({"amount":10})'
    assert (output[3]["name"], output[3]["arguments"]) == ("pay", '{"amount":10}')
    assert output[3]["id"] == approval_id(RUN.run_id, "ask-1")


def test_a_question_that_is_no_approval__is_a_message_like_any() -> None:
    question = Input("ask-1", "input", "Which city?")
    events = told(records(question, Done("input_required", inputs=(question,))))

    assert types(events)[2:] == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done", "completed"),
    ]
    [item] = events[-1]["response"]["output"]
    assert item == events[-2]["item"]
    assert (item["status"], item["content"][0]["text"]) == ("completed", "Which city?")


@pytest.mark.parametrize("before", [(), (Thinking("A sum."),), (Message("Hi. "), Thinking("Hm"))])
def test_a_message_that_begins_with_what_it_cites__is_told_as_one(before: tuple[Event]) -> None:
    events = told(records(*before, Source("https://example.com/a", "A"), Message("See A."), Done()))
    [said] = [event for event in events if event.get("delta") == "See A."]
    item = events[-1]["response"]["output"][-1]

    assert said["type"] == "response.output_text.delta"
    assert said["item_id"] == item["id"]
    assert item["content"][0]["text"] == "See A."


@pytest.mark.parametrize(
    "before",
    [
        (),
        (Thinking("Hm"),),
        (ToolStart("1", "t", {}), ToolEnd("1", "t", "r")),
        (File("image/png", None, "aGk=", "a.png"),),
    ],
)
def test_an_answer_that_says_nothing__is_a_line_break(before: tuple[Event, ...]) -> None:
    """The Agents SDK for JavaScript asked ten times over where there was no message, and Pydantic
    AI once more where it was empty."""
    events = told(records(*before, Done()))
    [message] = [i for i in events[-1]["response"]["output"] if i["type"] == "message"]

    assert (message["status"], message["content"][0]["text"]) == ("completed", "\n")
    assert types(events)[-7:] == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done", "completed"),
    ]


def test_an_answer_that_only_cites__has_its_line_break_in_the_message_that_cites() -> None:
    [*_, end] = told(records(Source("https://example.com/a", "A"), Done()))
    [message] = end["response"]["output"]

    assert message["content"][0]["text"] == "\n"
    assert len(message["content"][0]["annotations"]) == 1


def test_an_answer_that_is_a_call_of_the_clients__has_no_message() -> None:
    call = Input("call-3", "tool", tool=ToolUse("call-3", "locate", {}))
    [*_, end] = told(records(call, Done("input_required", inputs=(call,))))

    assert [item["type"] for item in end["response"]["output"]] == ["function_call"]


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"a": 1}, '{"a":1}'),
        ('{"a": 1}', '{"a": 1}'),
        (None, "{}"),
        ("", "{}"),
        ("as text", '"as text"'),
        ([1], "[1]"),
    ],
)
def test_arguments_of_the_agents_calls__are_json(args: Any, text: str) -> None:
    """Which clients read without a doubt; `pydantic-ai` for one broke at the agent's own words."""
    events = told(records(ToolStart("1", "t", args), ToolEnd("1", "t", "r"), Done()))
    call, _ = events[-1]["response"]["output"]

    assert call["arguments"] == text
    assert [e["delta"] for e in events if e["type"] == "response.mcp_call_arguments.delta"] == [
        text
    ]


def test_what_is_cited_behind_a_picture__belongs_to_the_message_before_it() -> None:
    """The last message is what clients take for the answer: it must not be an empty one."""
    picture = File("image/png", data="aGk=")
    cited = Source("https://example.com/a", "A")
    events = told(records(Message("Look: "), picture, Message("nice."), picture, cited, Done()))
    output = events[-1]["response"]["output"]

    assert [item["type"] for item in output] == ["message", *["image_generation_call"] * 2]
    assert output[0]["content"][0]["text"] == "Look: nice."
    assert len(output[0]["content"][0]["annotations"]) == 1
    done = [e["output_index"] for e in events if e["type"] == "response.output_item.done"]
    assert done == [1, 2, 0]


def test_a_result_that_the_client_gave__is_no_call_of_the_agents() -> None:
    question = Input("call-3", "tool", tool=ToolUse("call-3", "locate", {}))
    run = replace(ENDED, request=replace(RUN.request, questions=(question,)))
    items = records(ToolEnd("call-3", "locate", "Rome"), Message("Rome."), Done())
    response = Response.of(run).fold(run, items)

    assert [item["type"] for item in response["output"]] == ["message"]


# An input as a conversation


def test_an_input__is_read_item_by_item() -> None:
    read = read_input(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
            },
            {"type": "reasoning", "id": "rs_x", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "1"}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "https://example.com/a.png"},
                    {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
                ],
            },
        ],
        instructions="In English.",
    )  # fmt: skip

    assert [message.role for message in read.before] == [
        *("system", "system", "user", "assistant", "tool")
    ]
    assert read.before[3].tool_calls == (ToolCall("c", "f", {"a": 1}),)
    [new] = read.new
    assert new.parts == (
        TextPart("Look"),
        FilePart("image", url="https://example.com/a.png"),
        FilePart("document", file_id="file-1", filename="a.pdf"),
    )
    assert read.answers == (Answer("c", payload="1"),)
    assert (read.behind, list(read.ignored)) == (None, [])


def test_text__is_a_users_message() -> None:
    read = read_input("Hi")

    assert [message.text for message in read.new] == ["Hi"]
    assert read.before == ()


def test_a_reference__names_the_run_that_what_is_new_goes_on_from() -> None:
    read = read_input(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"type": "item_reference", "id": "msg_0a1b_1"},
            {"role": "user", "content": "And now?"},
        ]
    )

    assert read.behind == "run_0a1b"
    assert [message.role for message in read.before] == ["system"]
    assert [message.text for message in read.new] == ["And now?"]


def test_an_approval__is_answered_under_the_questions_own_id() -> None:
    id = approval_id("run_0a1b", "v1:ask \u00e9/1")
    items = [
        {
            "type": "mcp_approval_response",
            "approval_request_id": id,
            "approve": False,
            "reason": "no",
        },
        {"type": "mcp_approval_response", "approval_request_id": "plain", "approve": True},
    ]
    read = read_input([{"type": "item_reference", "id": id}, *items])

    assert read.answers == (
        Answer("v1:ask \u00e9/1", approved=False, reason="no"),
        Answer("plain", approved=True),
    )
    assert read.behind == "run_0a1b"
    assert read.answered == items


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "input"),
        ({"role": "user"}, "input"),
        (["Hi"], "input.0"),
        ([{"content": "Hi"}], "input.0.role"),
        ([{"role": "wizard", "content": "Hi"}], "input.0.role"),
        ([{"type": 1}], "input.0.type"),
        ([{"role": "user", "content": ""}], "input.0.content"),
        ([{"role": "user", "content": 1}], "input.0.content"),
        ([{"role": "user", "content": [{"type": "input_video"}]}], "input.0.content.0"),
        ([{"type": "function_call_output", "output": "1"}], "input.0.call_id"),
        ([{"type": "mcp_approval_response", "approve": True}], "input.0.approval_request_id"),
        (
            [{"type": "mcp_approval_response", "approval_request_id": "a", "approve": "yes"}],
            "input.0.approve",
        ),
        ([{"type": "item_reference", "id": "msg_other"}], "input.0.id"),
    ],
)
def test_a_wrong_input__is_refused_where_it_is_wrong(value: Any, field: str) -> None:
    with pytest.raises((Invalid, NotFound)) as refused:
        _ = read_input(value)

    assert refused.value.errors[0]["field"] == field


words = st.sampled_from(["", "a", "two words", "\ud800", None, 1, [], [{"type": "input_text"}]])
items = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": words}
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    *("function_call", "function_call_output", "custom_tool_call", "reasoning"),
                    *("mcp_call", "item_reference", "web_search_call", "new_thing"),
                ]
            ),
            "call_id": st.just("c"),
            "id": st.just("msg_0a_0"),
            "name": st.just("f"),
        },
        optional={"arguments": words, "output": words, "content": words},
    ),
)


@given(st.lists(items, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_whatever_was_said__only_the_users_last_word_is_a_message(value: list[Any]) -> None:
    try:
        read = read_input(value)
    except Invalid as refused:
        # only what is new is judged: what no assistant's word follows
        index = int(refused.errors[0]["field"].split(".")[1])
        assert all(item.get("role") in ("user", "system") for item in value[index + 1 :])
        return
    last: dict[str, Any] = next(
        (item for item in reversed(value) if item.get("role") != "system"), {}
    )
    assert bool(read.new) == (last.get("role") == "user")


def test_an_echo__is_no_larger_than_what_a_run_may_keep() -> None:
    tools = [{"type": "function", "name": "f", "description": "x" * MAX_ECHO_CHARACTERS}]

    assert echo_of({"tools": tools, "model": "a", "user": None}) == {"model": "a"}
    assert echo_of({"tools": tools[:0], "store": False}) == {"tools": [], "store": False}
