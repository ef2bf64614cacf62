"""What a client says reaches the agent, and its questions are answered: the native API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bff.agents.embedded import EmbeddedAgent
from bff.api import HISTORY
from bff.errors import AgentUnavailable
from bff.events import Done, Input, Message, ToolStart
from bff.identity.principals import Principal
from bff.messages import ClientTool, FilePart, TextPart
from tests.api.asking import APPROVAL, CITY, YES, asking, chat, resume
from tests.api.conftest import KEYS, Start
from tests.fakes.scripted import ScriptedAgent


async def test_everything_a_client_says__reaches_the_agent(start: Start) -> None:
    service = await start(AGENT_PAYLOAD="prompt")
    await chat(
        service,
        message=[
            {"type": "text", "text": "Look"},
            {
                "type": "image",
                "source": {"type": "data", "value": "iVBORw==", "mimeType": "image/png"},
            },
        ],
        tools=[{"name": "locate", "parameters": {"type": "object"}}],
        context=[{"description": "page", "value": "/pay"}],
        state={"step": 1},
        options={"temperature": 0.5},
        metadata={"tags": ["a", 1]},
    )

    [prompt] = service.agent.calls
    said = prompt.conversation
    assert said.parts == (TextPart("Look"), FilePart("image", "image/png", data="iVBORw=="))
    assert said.tools == (ClientTool("locate", None, {"type": "object"}),)
    assert said.context == ({"description": "page", "value": "/pay"},)
    assert (said.state, said.options) == ({"step": 1}, {"temperature": 0.5})
    assert said.metadata == {"tags": ["a", 1]}


async def test_what_the_payload_has_no_place_for__is_named(start: Start) -> None:
    service = await start(AGENT_PAYLOAD="langgraph")
    body = {
        "message": "Hi",
        "tools": [{"name": "locate"}],
        "context": [{"description": "a", "value": "b"}],
        "options": {"temperature": 0.5, "seed": 1},
    }
    async with service.client.post("/v1/chat", json=body) as reply:
        assert reply.headers["X-Ignored"] == "tools, seed, temperature"


PICTURE = {"url": "https://example.com/a.png", "detail": "low"}
LOCATE = {"name": "locate", "parameters": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (
            "chat/completions",
            {
                "messages": [
                    {"role": "user", "name": "told before", "content": "Hi"},
                    {"role": "assistant", "content": "Hello"},
                    {"role": "user", "name": "jo", "content": "Look"},
                    {"role": "user", "content": [{"type": "image_url", "image_url": PICTURE}]},
                ],
                "tools": [{"type": "function", "function": LOCATE}],
            },
            "messages.detail, messages.name, tools.strict",
        ),
        (
            "responses",
            {
                "input": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "input_image", "image_url": PICTURE["url"], "detail": "high"}
                        ],
                    }
                ],
                "tools": [{"type": "function", **LOCATE}],
            },
            "input.detail, tools.strict",
        ),
        (
            "ui/chat",
            {
                "id": "c",
                "messages": [
                    {
                        "id": "1",
                        "role": "user",
                        "parts": [
                            {"type": "text", "text": "Hi"},
                            {"type": "data-place", "data": 1},
                        ],
                    }
                ],
            },
            "parts.data-place",
        ),
    ],
)
async def test_what_no_agent_is_told_of_a_new_message__is_named(
    start: Start, path: str, body: dict[str, Any], named: str
) -> None:
    service = await start(AGENT_PAYLOAD="prompt")
    async with service.client.post(f"/v1/{path}", json=body) as reply:
        assert (reply.status, reply.headers.get("X-Ignored")) == (200, named)


NAMES = {
    "a line end": ("a\r\nX-Evil: 1", "a\\r\\nX-Evil: 1"),
    "NUL": ("\0", "\\u0000"),
    "not ASCII": ("zo\u00eb", "zo\\u00eb"),
    "long": ("x" * 20_000, None),
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_field_without_a_place__is_named_whatever_it_is_called(
    start: Start, name: str
) -> None:
    service = await start(AGENT_PAYLOAD='{"q":"$message"}')
    field, shown = NAMES[name]
    body = {"messages": [{"role": "user", "content": "Hi"}], field: 1}

    async with service.client.post("/v1/chat/completions", json=body) as reply:
        assert reply.status == 200
        if shown is None:
            assert len(reply.headers["X-Ignored"]) <= 4100
        else:
            assert reply.headers["X-Ignored"] == shown


@pytest.mark.parametrize(
    "options",
    [
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    ],
)
async def test_what_would_change_the_answer__is_refused_where_it_has_no_place(
    start: Start, options: dict[str, Any]
) -> None:
    service = await start(AGENT_PAYLOAD="langgraph")

    problem = await chat(service, 422, message="Hi", options=options)

    assert problem["errors"][0]["field"] in options
    assert service.agent.calls == []
    assert await chat(await start(), message="Hi", options=options)


async def test_a_question__ends_the_run_and_an_answer_goes_on(start: Start) -> None:
    service = await start(asking(APPROVAL))
    asked = await chat(service, message="Pay", session_id="s")
    shown = await (await service.client.get("/v1/sessions/s")).json()
    state = await (await service.client.get(f"/v1/runs/{asked['run_id']}")).json()
    answered = await chat(service, session_id="s", resume=YES)
    after = await (await service.client.get("/v1/sessions/s")).json()

    question = {"id": "i-1", "kind": "approval", "message": "May I?", "value": {"amount": 10}}
    assert (asked["message"], asked["inputs"]) == ("Wait. ", [question])
    assert (shown["inputs"], state["status"]) == ([question], "input_required")
    assert answered["message"] == "Paid."
    assert "inputs" not in answered
    assert "inputs" not in after
    first, second = service.agent.calls
    assert second.session_id == first.session_id
    assert second.questions == (APPROVAL,)
    assert second.conversation.answers[0].payload == {"approved": True}
    assert [message["status"] for message in after["messages"] if "status" in message] == [
        "input_required",
        "complete",
    ]


async def test_a_stream__tells_the_question_and_ends_in_it(start: Start) -> None:
    service = await start(asking(APPROVAL))

    reply = await service.client.post("/v1/chat/stream", json={"message": "Pay"})
    events = await service.read(reply)

    assert [event["event"] for event in events] == ["start", "message", "input", "done"]
    done = json.loads(events[-1]["data"])
    assert done == {"status": "input_required", "inputs": [json.loads(events[2]["data"])]}


async def test_the_same_answer_twice__is_one_run(start: Start) -> None:
    service = await start(asking(APPROVAL))
    await chat(service, message="Pay", session_id="s")

    answers = await asyncio.gather(*(chat(service, session_id="s", resume=YES) for _ in range(5)))
    late = await chat(service, session_id="s", resume=YES)

    assert len({answer["run_id"] for answer in (*answers, late)}) == 1
    assert len(service.agent.calls) == 2


async def test_two_answers_at_once__only_the_first_counts(start: Start) -> None:
    service = await start(asking(APPROVAL))
    await chat(service, message="Pay", session_id="s")
    replies = await asyncio.gather(
        *(
            service.client.post(
                "/v1/chat", json={"session_id": "s", "resume": resume(("i-1", choice))}
            )
            for choice in (True, False)
        )
    )

    assert sorted(reply.status for reply in replies) == [200, 409]
    [refused] = [await reply.json() for reply in replies if reply.status == 409]
    assert refused["code"] == "not_waiting"
    assert len(service.agent.calls) == 2


@pytest.mark.parametrize(
    ("answers", "status", "code"),
    [
        ([("other", 1)], 409, "not_waiting"),
        ([("i-1", 1), ("other", 1), ("i-2", 1)], 409, "not_waiting"),
        ([("i-1", 1)], 422, "invalid"),
        ([("i-1", 1), ("i-1", 1)], 422, "invalid"),
    ],
)
async def test_a_wrong_answer__is_refused_and_the_question_stays(
    start: Start, answers: list[tuple[str, Any]], status: int, code: str
) -> None:
    service = await start(asking(APPROVAL, CITY))
    await chat(service, message="Pay", session_id="s")

    problem = await chat(service, status, session_id="s", resume=resume(*answers))
    right = await chat(service, session_id="s", resume=resume(("i-2", "Rome"), ("i-1", True)))

    assert problem["code"] == code
    assert right["message"] == "Paid."
    assert len(service.agent.calls) == 2


async def test_an_answer_where_nothing_was_asked__is_refused(start: Start) -> None:
    service = await start()
    await chat(service, message="Hi", session_id="s")

    for session_id in ("s", "never"):
        problem = await chat(service, 409, session_id=session_id, resume=YES)
        assert problem["code"] == "not_waiting"
    assert len(service.agent.calls) == 1


async def test_a_message__answers_the_only_question(start: Start) -> None:
    service = await start(asking(CITY))
    await chat(service, message="Book", session_id="s")
    answered = await chat(service, message="Rome", session_id="s")
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert answered["message"] == "Paid."
    assert service.agent.calls[1].conversation.answers[0].payload == "Rome"
    assert [message["content"] for message in shown["messages"]] == [
        "Book", "Wait. ", "Rome", "Paid.",
    ]  # fmt: skip


async def test_a_message_that_cannot_be_the_answer__is_told_what_is_open(start: Start) -> None:
    service = await start(asking(APPROVAL, CITY))
    await chat(service, message="Pay", session_id="s")

    problem = await chat(service, 409, message="yes", session_id="s")

    assert problem["code"] == "input_required"
    assert [question["id"] for question in problem["inputs"]] == ["i-1", "i-2"]
    assert len(service.agent.calls) == 1


async def test_a_clients_tool__is_asked_and_its_result_told(start: Start) -> None:
    service = await start(asking(then=([Message("In Rome.")], [Done()])))
    call = ToolStart("c-1", "locate", {"exact": True})
    service.agent.stream = ScriptedAgent(([call], [Done()])).stream  # type: ignore[method-assign]
    asked = await chat(service, message="Where?", session_id="s", tools=[{"name": "locate"}])

    tool = {"id": "c-1", "name": "locate", "args": {"exact": True}}
    assert asked["inputs"] == [{"id": "c-1", "kind": "tool", "tool": tool}]
    assert asked["tool_calls"] == []


async def test_declining__tells_the_agent_and_frees_the_session(start: Start) -> None:
    service = await start(asking(APPROVAL, CITY))
    await chat(service, message="Pay", session_id="s")

    reply = await service.client.post("/v1/sessions/s/inputs/cancel")
    run = await reply.json()
    events = await service.read(await service.client.get(f"/v1/runs/{run['run_id']}/events"))
    again = await service.client.post("/v1/sessions/s/inputs/cancel")
    missing = await service.client.post("/v1/sessions/other/inputs/cancel")

    assert (reply.status, again.status, missing.status) == (200, 204, 404)
    assert events[-1]["event"] == "done"
    answers = service.agent.calls[1].conversation.answers
    assert [(answer.input_id, answer.status) for answer in answers] == [
        ("i-1", "cancelled"),
        ("i-2", "cancelled"),
    ]


@pytest.mark.parametrize(
    "problem", [AgentUnavailable(), AgentUnavailable(agent_called=True, unheard=True)]
)
async def test_an_agent_that_was_not_reached__leaves_its_question_open(
    start: Start, problem: AgentUnavailable
) -> None:
    service = await start(asking(APPROVAL, then=(problem,)))
    await chat(service, message="Pay", session_id="s")

    failed = await chat(service, 503, session_id="s", resume=YES)
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert failed["code"] == "agent_unavailable"
    assert [question["id"] for question in shown["inputs"]] == ["i-1"]


async def test_an_agent_that_failed_on_the_answer__asks_nothing_any_more(start: Start) -> None:
    service = await start(asking(APPROVAL, then=(AgentUnavailable(agent_called=True),)))
    await chat(service, message="Pay", session_id="s")

    await chat(service, 503, session_id="s", resume=YES)
    shown = await (await service.client.get("/v1/sessions/s")).json()

    assert "inputs" not in shown


async def test_a_question_whose_time_is_over__is_not_waited_for(start: Start) -> None:
    over = Input("i-1", "approval", expires_at="2020-01-01T00:00:00Z")
    service = await start(asking(over))
    await chat(service, message="Pay", session_id="s")

    problem = await chat(service, 409, session_id="s", resume=YES)
    await chat(service, message="Something else", session_id="s")

    assert problem["code"] == "not_waiting"
    assert service.agent.calls[1].conversation.text == "Something else"


async def test_another_callers_question__is_none(start: Start) -> None:
    service = await start(asking(APPROVAL))
    await chat(service, message="Pay", session_id="s")
    bob = {"X-API-Key": KEYS["bob"]}

    async with service.client.post(
        "/v1/chat", json={"session_id": "s", "resume": YES}, headers=bob
    ) as reply:
        assert (reply.status, (await reply.json())["code"]) == (409, "not_waiting")
    async with service.client.post("/v1/sessions/s/inputs/cancel", headers=bob) as reply:
        assert reply.status == 404
    assert len(service.agent.calls) == 1


async def test_a_fork__begins_with_the_messages_up_to_a_run(start: Start) -> None:
    service = await start()
    first = await chat(service, message="I am Jo", session_id="s")
    await chat(service, message="Where is Rome?", session_id="s")

    body = {"run_id": first["run_id"], "session_id": "t", "title": "Other"}
    async with service.client.post("/v1/sessions/s/fork", json=body) as reply:
        fork = await reply.json()
        assert reply.status == 201
    shown = await (await service.client.get("/v1/sessions/t")).json()
    await chat(service, message="Who am I?", session_id="t")
    await chat(service, message="More", session_id="t")

    assert fork["forked_from"] == {"session_id": "s", "run_id": first["run_id"]}
    assert (fork["title"], fork["agent"]) == ("Other", "agent")
    assert [message["content"] for message in shown["messages"]] == ["I am Jo", "Hello"]
    *_, told, later = service.agent.calls
    async with service.client.post("/v1/sessions/s/fork") as reply:
        assert (await reply.json())["forked_from"]["run_id"] != first["run_id"]
        assert reply.status == 201
    assert [message.text for message in told.history] == ["I am Jo", "Hello"]
    assert (later.history, told.session_id == later.session_id) == ((), True)
    assert told.session_id != service.agent.calls[0].session_id


async def test_a_fork__of_a_session_whose_last_run_was_forgotten_has_the_others(
    start: Start,
) -> None:
    service = await start()
    first = await chat(service, message="I am Jo", session_id="s")
    second = await chat(service, message="Where is Rome?", session_id="s")
    owner = Principal("key", ("alice",)).id
    assert await service.app[HISTORY].forget(owner, "s", second["run_id"])

    async with service.client.post("/v1/sessions/s/fork", json={"session_id": "t"}) as reply:
        fork = await reply.json()

    assert fork["forked_from"] == {"session_id": "s", "run_id": first["run_id"]}


@pytest.mark.parametrize(
    ("address", "body", "status"),
    [
        ("/v1/sessions/none/fork", {}, 404),
        ("/v1/sessions/s/fork", {"run_id": "run_other"}, 404),
        ("/v1/sessions/s/fork", {"session_id": "s"}, 422),
        ("/v1/sessions/s/fork", {"session_id": "../x"}, 422),
        ("/v1/sessions/s/fork", {"title": ""}, 422),
    ],
)
async def test_a_fork__from_nowhere_or_onto_another_is_refused(
    start: Start, address: str, body: dict[str, Any], status: int
) -> None:
    service = await start()
    await chat(service, message="Hi", session_id="s")

    async with service.client.post(address, json=body) as reply:
        assert reply.status == status


@pytest.mark.parametrize("mode", ["fork", "always", "off"])
async def test_agent_history__says_whom_the_transcript_is_given_to(start: Start, mode: str) -> None:
    service = await start(AGENT_HISTORY=mode)
    for text in ("I am Jo", "Who am I?"):
        await chat(service, message=text, session_id="s")
    async with service.client.post("/v1/sessions/s/fork", json={"session_id": "t"}) as reply:
        assert reply.status == 201
    await chat(service, message="And now?", session_id="t")

    given = [[message.text for message in call.history] for call in service.agent.calls]
    everything = ["I am Jo", "Hello", "Who am I?", "Hello"]
    assert (
        given
        == {
            "fork": [[], [], everything],
            "always": [[], ["I am Jo", "Hello"], everything],
            "off": [[], [], []],
        }[mode]
    )


async def test_the_embedded_agent__shows_what_arrived(start: Start) -> None:
    service = await start(EmbeddedAgent())
    for _ in range(2):
        await chat(service, message="Hi", session_id="s")
    turns = await chat(service, message="/turns", session_id="s")
    fields = await chat(
        service, message="/fields", tools=[{"name": "f"}], state={"a": 1}, options={"seed": 1}
    )

    assert turns["message"] == "I have seen 3 turns of this conversation."
    assert fields["message"] == "Fields: options, state, tools (1)."


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        ("/approve 7", {"approved": True}, "Paid 7 to Jo."),
        ("/approve", False, "Not paid: it was declined."),
        ("/ask Where?", "Rome", "You answered: Rome"),
        ("/form", {"name": "Jo", "seats": 2}, 'You answered: {"name":"Jo","seats":2}'),
    ],
)
async def test_the_embedded_agent__asks_and_goes_on(
    start: Start, command: str, answer: Any, said: str
) -> None:
    service = await start(EmbeddedAgent())
    asked = await chat(service, message=command, session_id="s")
    [question] = asked["inputs"]

    answered = await chat(service, session_id="s", resume=resume((question["id"], answer)))

    assert answered["message"] == said


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"message": "a", "resume": YES}, "message"),
        ({"session_id": "s"}, "message"),
        ({"message": []}, "message"),
        ({"message": [{"type": "text", "text": ""}]}, "message.0"),
        ({"message": [{"type": "image", "source": {"type": "url", "value": "http://x"}}]},
         "message.0"),
        ({"message": [{"type": "image", "source": {"type": "data", "value": "AA=="}}]},
         "message.0"),
        ({"message": [{"type": "virus"}]}, "message.0"),
        ({"message": "a", "tools": [{"title": "x"}]}, "tools.0"),
        ({"message": "a", "context": [{"value": 1}]}, "context.0"),
        ({"message": "a", "options": []}, "options"),
        ({"message": "a", "metadata": {"a": "x" * 17_000}}, "metadata"),
        ({"resume": [{"input_id": "i", "status": "maybe"}]}, "resume.0"),
        ({"resume": []}, "resume"),
        ({"resume": YES}, "session_id"),
    ],
)  # fmt: skip
async def test_a_wrong_field__is_named(start: Start, body: dict[str, Any], field: str) -> None:
    service = await start()

    problem = await chat(service, 422, **body)

    assert problem["errors"][0]["field"].startswith(field)
    assert service.agent.calls == []


async def test_a_question_outlives_the_runs_log__and_is_answered_all_the_same(
    start: Start,
) -> None:
    service = await start(asking(APPROVAL), RUN_RETENTION="1")
    asked = await chat(service, message="Pay", session_id="s")
    session = await service.app[HISTORY].session(service.agent.calls[0].actor_id, "s")
    assert session is not None

    # another service over the same history knows nothing of the run, and all of the question
    path = service.app[HISTORY]
    other = await start(asking(APPROVAL), history=path)
    async with other.client.get(f"/v1/runs/{asked['run_id']}") as reply:
        assert reply.status == 404
    answered = await chat(other, session_id="s", resume=YES)

    assert answered["message"] == "Paid."
    assert len(other.agent.calls) == 1
    problem = await chat(service, 409, session_id="s", resume=YES)
    assert problem["code"] == "not_waiting"
