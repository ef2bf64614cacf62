from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from bff.agents.embedded import EmbeddedAgent
from bff.errors import AgentFailed, AgentThrottled
from bff.events import (
    Done,
    Input,
    Message,
    Thinking,
    ToolStart,
    ToolUse,
)
from bff.messages import ClientTool, FilePart
from tests.api.conftest import Service, Start
from tests.api.example_run import (
    COMPLETE,
)
from tests.api.reading import chunk_text, ended, frames
from tests.fakes.scripted import ScriptedAgent

PNG = "data:image/png;base64,iVBORw=="
VIDEO, SOUND = "https://example.com/a.mp4", "https://example.com/a.mp3"
IMAGE_AT_HTTP = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}


def hello(**fields: Any) -> dict[str, Any]:
    return {"model": "agent", "messages": [{"role": "user", "content": "Hi"}], **fields}


async def test_a_stream__is_the_agents_answer_under_the_headers_its_clients_know(
    start: Start,
) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], [Message("lo")], [Done()]]))

    async with service.client.post(
        "/v1/chat/completions", json=hello(stream=True, metadata={"session_id": "alice-1"})
    ) as reply:
        chunks = frames(await reply.text())

    assert (reply.status, reply.content_type) == (200, "text/event-stream")
    assert chunk_text(chunks[:-1]) == "Hello"
    assert reply.headers["X-Session-Id"] == "alice-1"
    assert reply.headers["X-Run-Id"].startswith("run_")
    assert reply.headers["x-ratelimit-remaining-requests"] == "99"
    assert [prompt.conversation.text for prompt in service.agent.calls] == ["Hi"]


async def test_without_stream__the_answer_is_one_completion(start: Start) -> None:
    service = await start(
        ScriptedAgent([[Thinking("hm"), ToolStart("1", "t", {})], [Message("Hello")], [COMPLETE]])
    )

    async with service.client.post("/v1/chat/completions", json=hello(model="gpt-x")) as reply:
        body = await reply.json()

    assert (body["object"], body["model"]) == ("chat.completion", "gpt-x")
    [choice] = body["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "reasoning_content": "hm",
        "reasoning": "hm",
    }
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}


@pytest.mark.parametrize(
    ("headers", "fields", "session"),
    [
        ({"X-Conversation-ID": "c-1"}, {"metadata": {"session_id": "s-1"}}, "c-1"),
        ({"X-Session-Id": "a", "X-OpenWebUI-Chat-Id": "b"}, {}, "a"),
        ({}, {"user": "u-1", "metadata": {"session_id": "s-1"}}, "s-1"),
        (
            {"X-OpenWebUI-Chat-Id": "alice@example.org"},
            {},
            "x-" + hashlib.sha256(b"alice@example.org").hexdigest()[:32],
        ),
    ],
)
async def test_the_session__is_named_by_a_header_else_by_metadata(
    start: Start, headers: dict[str, str], fields: dict[str, Any], session: str
) -> None:
    service = await start()

    async with service.client.post(
        "/v1/chat/completions", json=hello(**fields), headers=headers
    ) as reply:
        assert reply.headers["X-Session-Id"] == session


async def test_a_person__names_no_session_and_reaches_the_agent(start: Start) -> None:
    service = await start()
    sessions = []
    for fields in ({"user": "jo"}, {"user": "jo"}, {"safety_identifier": "bo", "user": "jo"}):
        async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
            sessions.append(reply.headers["X-Session-Id"])

    assert len(set(sessions)) == 3
    assert [dict(call.conversation.metadata) for call in service.agent.calls] == [
        {"user": "jo"},
        {"user": "jo"},
        {"user": "jo", "safety_identifier": "bo"},
    ]


async def test_without_a_name__every_call_is_a_session_of_its_own(start: Start) -> None:
    service = await start()

    for _ in range(2):
        async with service.client.post("/v1/chat/completions", json=hello()) as reply:
            assert reply.status == 200

    first, second = service.agent.calls
    assert first.session_id != second.session_id


async def test_a_clients_wishes__reach_the_agent_under_their_names(start: Start) -> None:
    service = await start()
    fields = {
        "temperature": 0.2,
        "max_tokens": 5,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "seed": 1,
        "metadata": {"team": "blue"},
    }

    async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
        assert reply.status == 200

    said = service.agent.calls[0].conversation
    assert said.metadata == {"team": "blue"}
    assert said.tools == (ClientTool("f"),)
    assert dict(said.options) == {
        name: fields[name] for name in fields if name not in ("tools", "metadata")
    }


async def test_a_whole_conversation__reaches_the_agent_odd_old_parts_and_all(
    start: Start,
) -> None:
    service = await start()
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": 5}]},
        {"role": "tool", "tool_call_id": "t", "content": "half \ud83d"},
        {"role": "assistant", "content": "ready"},
        {"role": "ipython", "content": "whatever that is"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": VIDEO}}]},
        {"role": "user", "content": [{"type": "audio_url", "audio_url": SOUND}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}],
        },
    ]

    async with service.client.post("/v1/chat/completions", json=hello(messages=messages)) as reply:
        assert reply.status == 200

    [call] = service.agent.calls
    assert call.conversation.text == "One\nTwo"
    assert call.conversation.files == (
        FilePart("image", "image/png", data="iVBORw=="),
        FilePart("video", url=VIDEO),
        FilePart("audio", url=SOUND),
    )
    assert call.conversation.system == "Be kind."
    assert [(message.role, message.text) for message in call.history] == [
        ("user", ""),
        ("assistant", ""),
        ("tool", "half \ufffd"),
        ("assistant", "ready"),
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant"}]}, "messages"),
        ({"messages": [{"role": "tool", "tool_call_id": "t", "content": "x"}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "critic", "content": "y"}]},
            "messages",
        ),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": ["x"]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [IMAGE_AT_HTTP]}]},
            "messages.0.content.0.image_url",
        ),
        ({"tools": [{"type": "function"}]}, "tools.0"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x" * 100_001}]}, "messages.0.content"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url"}],
                    }
                ]
            },
            "messages.0.content.1",
        ),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": {"session_id": 5}}, "metadata.session_id"),
    ],
)
async def test_what_cannot_go_to_the_agent__is_422_with_the_param(
    start: Start, fields: dict[str, Any], param: str
) -> None:
    service = await start()

    async with service.client.post("/v1/chat/completions", json=hello(**fields)) as reply:
        body = await reply.json()

    assert (reply.status, reply.content_type) == (422, "application/problem+json")
    assert (body["error"]["code"], body["error"]["param"]) == ("invalid", param)
    assert service.agent.calls == []


async def test_a_failure_after_the_call__says_not_to_retry(start: Start) -> None:
    for error, status in ((AgentFailed(agent_called=True), 502), (AgentThrottled(), 429)):
        service = await start(ScriptedAgent([error]))

        async with service.client.post("/v1/chat/completions", json=hello()) as reply:
            body = await reply.json()

        assert reply.status == status
        assert reply.headers.get("X-Should-Retry") == ("false" if error.agent_called else None)
        assert body["error"]["code"] == error.code


async def test_closing_the_connection__cancels_the_run(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("Hel")], asyncio.Event()]))

    async with service.client.post("/v1/chat/completions", json=hello(stream=True)) as reply:
        run_id = reply.headers["X-Run-Id"]
        await reply.content.readuntil(b'"Hel"')
        reply.close()

    assert await ended(service, run_id) == "cancelled"
    assert service.agent.closed == 1


async def test_models__are_the_one_agent(start: Start) -> None:
    service = await start(SERVICE_NAME="helpdesk")

    async with service.client.get("/v1/models") as reply:
        body = await reply.json()

    assert body == {
        "object": "list",
        "data": [{"id": "agent", "object": "model", "created": 0, "owned_by": "helpdesk"}],
    }


class Talk:
    """A client that keeps a conversation and sends all of it each time."""

    def __init__(self, service: Service, **fields: Any) -> None:
        self.service = service
        self.fields = fields
        self.messages: list[dict[str, Any]] = []
        self.sessions: list[str] = []
        self.finish = ""

    async def say(self, *messages: str | dict[str, Any], stream: bool = False) -> str:
        self.messages += [
            {"role": "user", "content": said} if isinstance(said, str) else said
            for said in messages
        ]
        body = {"model": "agent", "messages": self.messages, "stream": stream, **self.fields}
        async with self.service.client.post("/v1/chat/completions", json=body) as reply:
            assert reply.status == 200, await reply.text()
            self.sessions.append(reply.headers["X-Session-Id"])
            if stream:
                message = {"role": "assistant", "content": chunk_text(frames(await reply.text()))}
            else:
                [choice] = (await reply.json())["choices"]
                message, self.finish = choice["message"], choice["finish_reason"]
        self.messages.append(message)
        return str(message["content"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation__is_one_session_with_its_memory(start: Start, stream: bool) -> None:
    talk = Talk(await start(EmbeddedAgent()))
    for message in ("I am Jo", "What is 15 * 23?"):
        await talk.say(message, stream=stream)

    assert await talk.say("/turns", stream=stream) == ("I have seen 3 turns of this conversation.")
    assert len(set(talk.sessions)) == 1


async def test_a_regenerated_answer__is_a_branch_that_knows_what_went_before(start: Start) -> None:
    service = await start(EmbeddedAgent())
    talk = Talk(service)
    await talk.say("I am Jo")
    await talk.say("Hello")
    talk.messages = talk.messages[:2]

    assert await talk.say("/turns") == "I have seen 2 turns of this conversation."
    assert talk.sessions[2] not in talk.sessions[:2]
    shown = await (await service.client.get(f"/v1/sessions/{talk.sessions[2]}")).json()
    assert shown["forked_from"]["session_id"] == talk.sessions[0]
    assert [message["content"] for message in shown["messages"]][:3] == [
        "I am Jo",
        "You said: I am Jo",
        "/turns",
    ]


async def test_a_title_makers_call__is_answered_and_leaves_no_trace(start: Start) -> None:
    service = await start(EmbeddedAgent())
    talk = Talk(service)
    await talk.say("I am Jo")
    for messages in (
        [{"role": "system", "content": "Give a title"}],
        [*talk.messages, {"role": "user", "content": "### Task:\nGive a title"}],
    ):
        async with service.client.post(
            "/v1/chat/completions", json=hello(messages=messages)
        ) as reply:
            assert reply.status == 200
            assert (await reply.json())["choices"][0]["message"]["content"]
    listed = await (await service.client.get("/v1/sessions")).json()

    assert [session["session_id"] for session in listed["sessions"]] == talk.sessions
    assert await talk.say("/turns") == "I have seen 2 turns of this conversation."


async def test_a_summary_that_is_asked_for_behind_the_last_answer__is_answered_beside_the_chat(
    start: Start,
) -> None:
    """As NextChat asks for it, by a system message: the last word is not the user's."""
    service = await start(EmbeddedAgent())
    talk = Talk(service)
    await talk.say("I am Jo")
    words = "Summarize the discussion briefly in 200 words or less to use as a prompt for future"
    for text, status in ((f"{words} context.", 200), ("Be brief.", 422)):
        messages = [*talk.messages, {"role": "system", "content": text}]
        async with service.client.post(
            "/v1/chat/completions", json=hello(messages=messages)
        ) as reply:
            assert reply.status == status
            assert reply.headers.get("X-Session-Id") not in talk.sessions

    assert await talk.say("/turns") == "I have seen 2 turns of this conversation."
    assert len(set(talk.sessions)) == 1


async def test_a_question_about_documents__stays_in_the_chat(start: Start) -> None:
    """As Open WebUI asks it: with what it found before the last question, and without it later."""
    talk = Talk(await start(EmbeddedAgent()))
    found = (
        "### Task:\nRespond to the user query using the provided context.\n<context>\nB\n</context>"
    )
    for question in ("I am Jo", "/turns"):
        answer = await talk.say(f"{found}\n{question}")
        assert answer.startswith("You said: ### Task")  # the agent is told all of it
        talk.messages[-2]["content"] = question

    assert await talk.say("/turns") == "I have seen 3 turns of this conversation."
    assert len(set(talk.sessions)) == 1


async def test_a_clients_tool__is_called_and_its_result_goes_on(start: Start) -> None:
    service = await start(EmbeddedAgent())
    tools = [{"type": "function", "function": {"name": "locate", "parameters": {}}}]
    talk = Talk(service, tools=tools)
    await talk.say('/tool locate {"exact": true}')
    [call] = talk.messages[-1]["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rome"}

    assert (talk.finish, call["function"]["name"]) == ("tool_calls", "locate")
    assert call["function"]["arguments"] == '{"exact":true}'
    assert await talk.say(result) == "You answered: Rome"
    assert await talk.say("/turns") == "I have seen 2 turns of this conversation."
    assert len(set(talk.sessions)) == 1


@pytest.mark.parametrize("calls", [1, 2])
async def test_a_client_that_keeps_only_the_last_answer_of_a_turn__stays_in_its_session(
    start: Start, calls: int
) -> None:
    """As memories of Spring AI, n8n and Flowise do; what came before their own tool is gone."""
    tools = [{"type": "function", "function": {"name": "locate", "parameters": {}}}]
    agent = ScriptedAgent()
    talk = Talk(await start(agent), tools=tools)
    said: str | dict[str, Any] = "Where am I?"
    for id in ("call-1", "call-2")[:calls]:
        call = Input(id, "tool", tool=ToolUse(id, "locate", {}))
        agent.steps = ([Message("Let me see. "), call], [Done("input_required", None, (call,))])
        await talk.say(said)
        said = {"role": "tool", "tool_call_id": id, "content": "Rome"}
    agent.steps = ([Message("In Rome.")], [Done()])
    await talk.say(said)
    talk.messages = [talk.messages[0], talk.messages[-1]]

    await talk.say("Sure?")
    assert len(set(talk.sessions)) == 1


async def test_a_result_that_is_sent_again__is_the_answer_it_was_and_no_branch(
    start: Start,
) -> None:
    tools = [{"type": "function", "function": {"name": "locate", "parameters": {}}}]
    talk = Talk(await start(EmbeddedAgent()), tools=tools)
    await talk.say("/tool locate")
    [call] = talk.messages[-1]["tool_calls"]
    await talk.say({"role": "tool", "tool_call_id": call["id"], "content": "Rome"})
    answer = talk.messages.pop()

    assert await talk.say() == answer["content"] == "You answered: Rome"
    assert await talk.say("/turns") == "I have seen 2 turns of this conversation."
    assert len(set(talk.sessions)) == 1


async def test_a_result_that_nobody_waits_for__is_refused(start: Start) -> None:
    service = await start()
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "pay 10"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": "paid"},
    ]
    async with service.client.post("/v1/chat/completions", json=hello(messages=messages)) as reply:
        body = await reply.json()

    assert (reply.status, body["error"]["param"]) == (422, "messages")
    assert "must be the user's, or answer" in body["errors"][0]["message"]
    assert service.agent.calls == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_question__is_said_in_words_and_the_next_message_answers(
    start: Start, stream: bool
) -> None:
    talk = Talk(await start(EmbeddedAgent()))
    asked = await talk.say("/approve 7", stream=stream)

    assert asked == 'I would like to pay.\n\nMay I pay?\npay({"amount":7,"to":"Jo"})'
    assert await talk.say("yes", stream=stream) == "Paid 7 to Jo."
    assert await talk.say("/turns", stream=stream) == "I have seen 2 turns of this conversation."
    assert len(set(talk.sessions)) == 1


async def test_the_model__names_the_agent_where_there_are_several(start: Start) -> None:
    agents = {"a": {"url": "embedded:"}, "b": {"url": "embedded:", "description": "the other"}}
    service = await start(AGENTS=json.dumps(agents))
    listed = await (await service.client.get("/v1/models")).json()
    shown = await (await service.client.get("/v1/models/b")).json()
    missing = await service.client.get("/v1/models/c")
    async with service.client.post("/v1/chat/completions", json=hello(model="b")) as reply:
        assert reply.status == 200
    async with service.client.post("/v1/chat/completions", json=hello(model="c")) as reply:
        assert reply.status == 404
        problem = await reply.json()
    nameless = {name: value for name, value in hello().items() if name != "model"}
    for path, body in (("chat/completions", nameless), ("responses", {"input": "Hi"})):
        async with service.client.post(f"/v1/{path}", json=body) as reply:
            assert (await reply.json())["model"] == "a"

    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert (shown["id"], shown["description"], missing.status) == ("b", "the other", 404)
    assert (problem["error"]["param"], problem["code"]) == ("model", "not_found")
    assert [call.agent for call in service.agent.calls] == ["b", "a", "a"]
