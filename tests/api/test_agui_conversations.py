"""What AG-UI clients of any version hold with an agent that counts turns and asks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from bff.agents import Prompt
from bff.agents.embedded import EmbeddedAgent
from bff.events import Done, Event, Message
from tests.api.agui_page import Page, called, interrupt, said
from tests.api.asking import CITY
from tests.api.conftest import KEYS, Start
from tests.api.reading import frames
from tests.fakes.scripted import ScriptedAgent

LAST_WORD = "the last message must be the user's"


async def page(start: Start, **fields: Any) -> Page:
    return Page(await start(EmbeddedAgent()), **fields)


both = pytest.mark.parametrize("version", ["1.0", None])


@both
async def test_turns__are_counted_in_one_session(start: Start, version: str | None) -> None:
    one = await page(start, version=version)

    _ = await one.say("I am Jo")
    _ = await one.say("What is 15 * 23?")
    events = await one.say("/turns")

    assert said(events) == "I have seen 3 turns of this conversation."
    assert one.headers["X-Session-Id"] == "thread-1"
    ids = [message["id"] for message in one.messages]
    assert len(ids) == len(set(ids))


async def test_only_the_new_message__does_as_well(start: Start) -> None:
    one = await page(start)

    _ = await one.say("I am Jo")
    one.messages = [{"id": "another", "role": "user", "content": "/turns"}]
    events = await one.run()

    assert said(events) == "I have seen 2 turns of this conversation."


async def test_an_edited_message__branches_off(start: Start) -> None:
    one = await page(start)
    _ = await one.say("I am Jo")
    _ = await one.say("I am not")
    one.messages = one.messages[:2]

    edited = await one.say("/turns")
    then = await one.say("/turns")

    assert said(edited) == "I have seen 2 turns of this conversation."
    assert said(then) == "I have seen 3 turns of this conversation."


async def test_a_page_that_asks_what_its_user_may_say_next__leaves_no_session(start: Start) -> None:
    """As CopilotKit does after each answer, in a thread of its own with all that was said."""
    one = await page(start)
    _ = await one.say("I am Jo")
    ask = "Suggest what the user could say next. Provide clear, highly relevant suggestions by"
    suggest: dict[str, Any] = {"name": "copilotkitSuggest", "description": "", "parameters": {}}
    aside = Page(one.service, thread="suggestions-1")
    aside.messages = list(one.messages)
    events = await aside.say(f"{ask} calling the tool.", tools=[suggest])
    person = Page(one.service, thread="thread-2")
    _ = await person.say(f"{ask} me.")
    listed = await (await one.service.client.get("/v1/sessions")).json()

    assert events[-1]["threadId"] == "suggestions-1"
    assert said(events).startswith("You said: Suggest")
    assert {each["session_id"] for each in listed["sessions"]} == {"thread-1", "thread-2"}


async def test_an_approval__is_answered_by_resume_and_is_one_run(start: Start) -> None:
    one = await page(start)
    asked = await one.say("/approve 7")
    resume = [{"interruptId": interrupt(asked)["id"], "status": "resolved",
               "payload": {"approved": True}}]  # fmt: skip
    sent = list(one.messages)

    paid = await one.run(resume=resume)
    run_id = one.headers["X-Run-Id"]
    one.messages = sent
    again = await one.run(resume=resume)

    assert interrupt(asked)["toolCallId"] == called(asked)
    assert (said(paid), said(again)) == ("Paid 7 to Jo.", "Paid 7 to Jo.")
    [result] = [event for event in paid if event["type"] == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == (called(asked), "paid")
    assert one.headers["X-Run-Id"] == run_id
    assert "TOOL_CALL_START" not in [event["type"] for event in paid]
    assert said(await one.say("/turns")) == "I have seen 2 turns of this conversation."


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "resolved", "payload": {"approved": False, "reason": "too dear"}},
        {"status": "cancelled"},
    ],
)
async def test_an_approval__is_declined(start: Start, answer: dict[str, Any]) -> None:
    one = await page(start)
    asked = await one.say("/approve 7")

    events = await one.run(resume=[{"interruptId": interrupt(asked)["id"], **answer}])

    assert said(events).startswith("Not paid: it was declined")


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        ({"content": '{"approved": true}'}, "Paid 7 to Jo."),
        ({"content": "yes"}, "Paid 7 to Jo."),
        ({"content": "", "error": "no"}, "Not paid: it was declined."),
    ],
)
async def test_an_approval__may_be_answered_as_the_calls_result(
    start: Start, answer: dict[str, Any], end: str
) -> None:
    one = await page(start)
    asked = await one.say("/approve 7")
    one.messages.append({"id": "a", "role": "tool", "toolCallId": called(asked), **answer})

    assert said(await one.run()) == end


@pytest.mark.parametrize("answer", [{"approved": True}, '{"approved": true}'])
async def test_an_older_clients_answer__is_in_forwarded_props(start: Start, answer: Any) -> None:
    one = await page(start, version=None)
    asked = await one.say("/approve 7")
    [question] = [event for event in asked if event["type"] == "CUSTOM"]

    events = await one.run(
        forwardedProps={"command": {"resume": answer, "interruptEvent": question["value"]}}
    )

    assert question["name"] == "on_interrupt"
    assert said(events) == "Paid 7 to Jo."


async def test_a_message_asked_before__is_not_said_again_beside_its_answer(start: Start) -> None:
    one = await page(start)
    asked = await one.say("/ask Which city?")
    one.messages = one.messages[:1]  # the agent asked without a word

    events = await one.run(
        resume=[{"interruptId": interrupt(asked)["id"], "status": "resolved", "payload": "Rome"}]
    )

    assert said(events) == "You answered: Rome"
    assert said(await one.say("/turns")) == "I have seen 2 turns of this conversation."


async def test_a_clients_tool__is_run_by_the_client(start: Start) -> None:
    one = await page(start)
    tools = [{"name": "locate", "description": "", "parameters": {"type": "object"}}]
    asked = await one.say("/tool locate {}", tools=tools)
    one.answer(called(asked), '{"city":"Rome"}')

    events = await one.run(tools=tools)

    assert asked[-1]["outcome"]["pendingToolCallIds"] == [called(asked)]
    assert said(events) == 'You answered: {"city":"Rome"}'


@pytest.mark.parametrize(
    ("ending", "field"),
    [
        ({"id": "a", "role": "assistant", "content": "Hi"}, "messages"),
        ({"id": "a", "role": "tool", "toolCallId": "x", "content": "1"}, "messages"),
        ({"id": "a", "role": "reasoning", "content": "hm"}, "messages"),
        ({"id": "a", "role": "activity", "activityType": "P", "content": {}}, "messages"),
        ({"id": "a", "role": "news", "content": "hm"}, "messages"),
        (None, "messages"),
    ],
)
async def test_a_last_word_that_is_not_the_users__is_422(
    start: Start, ending: dict[str, Any] | None, field: str
) -> None:
    agent = ScriptedAgent()
    service = await start(agent)
    asked = [{"id": "u", "role": "user", "content": "Pay 10"}, ending]
    system = [{"id": "s", "role": "system", "content": "Be short."}]
    body = {"threadId": "t", "runId": "r", "messages": asked if ending else system}

    async with service.client.post("/v1/agui", json=body) as reply:
        problem = await reply.json()

    assert reply.status == 422
    assert problem["errors"][0]["field"] == field
    assert LAST_WORD in problem["errors"][0]["message"]
    assert agent.calls == []


async def test_an_answer_that_nobody_waits_for__is_409(start: Start) -> None:
    one = await page(start)
    _ = await one.say("Hi")
    body = {"threadId": "thread-1", "runId": "r", "messages": one.messages,
            "resume": [{"interruptId": "i", "status": "resolved"}]}  # fmt: skip

    async with one.service.client.post("/v1/agui", json=body) as reply:
        problem = await reply.json()

    assert (reply.status, problem["code"]) == (409, "not_waiting")


async def test_everything_a_client_sends__reaches_the_agent(start: Start) -> None:
    agent = ScriptedAgent()
    service = await start(agent)
    data = {"type": "data", "value": "iVBORw==", "mimeType": "image/png"}
    image = {"type": "image", "source": data}
    context = [{"description": "page", "value": "home"}]
    old = {"type": "binary", "mimeType": "image/png", "url": "https://a.example/b.png"}
    body = {
        "threadId": "t",
        "runId": "r",
        "messages": [
            {"id": "0", "role": "developer", "content": "Be short."},
            {"id": "1", "role": "user", "content": [{"type": "text", "text": "See"}, image, old]},
        ],
        "tools": [{"name": "locate", "description": "Where", "parameters": {"type": "object"}}],
        "context": context,
        "state": {"n": 1},
        "forwardedProps": {"temperature": 0.5, "metadata": {"plan": "pro"}},
        "somethingNew\r\n": 1,
    }

    async with service.client.post("/v1/agui", json=body) as reply:
        assert reply.status == 200
        await reply.read()

    said = agent.calls[0].conversation
    assert (said.text, said.system) == ("See", "Be short.")
    assert [file.kind for file in said.files] == ["image", "image"]
    assert [tool.name for tool in said.tools] == ["locate"]
    assert (said.context, said.state) == (tuple(context), {"n": 1})
    assert (said.options, said.metadata) == ({"temperature": 0.5}, {"plan": "pro"})
    assert reply.headers["X-Ignored"] == "somethingNew\\r\\n"


async def test_connect__brings_the_thread_back(start: Start) -> None:
    one = await page(start)
    _ = await one.say("What is 15 * 23?")
    asked = await one.say("/approve 7")
    after = Page(one.service)

    events = await after.run("/v1/agui/connect", messages=[])

    assert [event["type"] for event in events] == [
        "RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED",
    ]  # fmt: skip
    assert [message["role"] for message in after.messages] == [
        "user", "assistant", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert after.messages[2]["content"] == "345"
    assert interrupt(events) == interrupt(asked)
    paid = await after.run(
        resume=[{"interruptId": interrupt(events)["id"], "payload": {"approved": True}}]
    )
    assert said(paid) == "Paid 7 to Jo."
    turns = await after.say("/turns")
    assert said(turns) == "I have seen 3 turns of this conversation."
    again = await after.run("/v1/agui/connect")
    assert json.dumps(again).count("paid") == 1


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_question_without_a_word__is_answered_after_a_reload(
    start: Start, legacy: bool
) -> None:
    """As LangGraph's `interrupt()` asks: what comes back ends with the user's message."""

    class Silent(ScriptedAgent):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
            self.calls.append(prompt)
            yield [Message("Rome it is.") if prompt.questions else CITY, Done()]

    service = await start(Silent())
    one = Page(service)
    for question in ("Book it", "And another"):
        _ = await one.say(question)
        events = await one.run("/v1/agui/connect")
        assert one.messages[-1]["content"] == question
        resume = [{"interruptId": interrupt(events)["id"], "status": "resolved", "payload": "Rome"}]
        given = (
            {"forwardedProps": {"command": {"resume": "Rome"}}} if legacy else {"resume": resume}
        )
        assert said(await one.run(**given)) == "Rome it is."

    asked = [(call.conversation.text, len(call.questions)) for call in service.agent.calls]
    assert asked == [("Book it", 0), ("", 1), ("And another", 0), ("", 1)]
    assert len({call.session_id for call in service.agent.calls}) == 1


async def test_connect__to_a_thread_nobody_knows_is_empty(start: Start) -> None:
    one = await page(start)
    _ = await one.say("Hi")
    unknown = Page(one.service, thread="other")
    bobs = one.service.client.post(
        "/v1/agui/connect",
        json={"threadId": "thread-1", "runId": "r", "messages": []},
        headers={"X-API-Key": KEYS["bob"]},
    )

    nothing = await unknown.run("/v1/agui/connect")
    async with bobs as reply:
        other = frames(await reply.text())

    for events in (nothing, other):
        assert [event["type"] for event in events] == [
            "RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED",
        ]  # fmt: skip
        assert events[1]["messages"] == []
