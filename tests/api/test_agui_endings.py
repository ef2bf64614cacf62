"""Random AG-UI conversations: the agent is called for a user's last word or an answer only."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.api.agui.run_input import RunAgentInput, wanted
from bff.errors import Invalid
from bff.events import Done, Input, ToolUse
from tests.api.conftest import Service, Start
from tests.fakes.scripted import ScriptedAgent

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "\ud800", "run_1-t-c1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)
PART = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["text", "image", "binary", "new"]),
        "text": ODD,
        "source": ODD,
    },
)
CALL = st.fixed_dictionaries(
    {}, optional={"id": ODD, "type": ODD, "function": st.fixed_dictionaries({"name": ODD})}
)
FIELDS = {
    "id": ODD,
    "content": ODD | st.lists(PART, max_size=2),
    "toolCallId": ODD,
    "toolCalls": ODD | st.lists(CALL, max_size=2),
    "error": ODD,
}
NOT_THE_USERS = ["assistant", "tool", "reasoning", "activity", "news"]


def messages_of(*roles: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"role": st.sampled_from(roles)}, optional=FIELDS)


ANY = st.lists(messages_of("user", "system", "developer", *NOT_THE_USERS) | ODD, max_size=5)
ENDING = messages_of(*NOT_THE_USERS).flatmap(
    lambda last: st.lists(messages_of("system", "developer"), max_size=2).map(
        lambda behind: [last, *behind]
    )
)


@given(ANY, ENDING, ODD, ODD)
def test_a_last_word_that_is_not_the_users__is_no_question(
    before: list[Any], ending: list[Any], state: Any, props: Any
) -> None:
    asked = RunAgentInput(
        threadId="t", runId="r", messages=[*before, *ending], state=state, forwardedProps=props
    )
    try:
        found = wanted(asked)
    except Invalid:
        return
    assert not found.conversation.new
    assert found.conversation.answers
    assert all(answer.is_result for answer in found.conversation.answers)


@given(ANY)
def test_whatever_was_said_before__a_good_question_is_taken(before: list[Any]) -> None:
    said = {"id": "u", "role": "user", "content": "Hi"}
    end = {"id": "a", "role": "assistant", "content": "?"}

    found = wanted(RunAgentInput(threadId="t", runId="r", messages=[*before, end, said]))

    assert found.conversation.text == "Hi"


WORDS = ["pay 10", "", "yes", "\ud800"]
PAY = Input("i1", "approval", "May I?", ToolUse("c1", "pay", {}))
OWN = Input("c1", "tool", tool=ToolUse("c1", "locate", {}))


def conversation(chance: random.Random) -> list[dict[str, Any]]:
    """One that ends in a word that is not the user's and answers nothing."""
    roles = ["user", "system", *NOT_THE_USERS]
    said = [message(chance, chance.choice(roles)) for _ in range(chance.randrange(6))]
    said.append(message(chance, chance.choice(NOT_THE_USERS)))
    return said + [message(chance, "system") for _ in range(chance.randrange(2))]


def message(chance: random.Random, role: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": f"m{chance.randrange(9)}", "role": role}
    if chance.random() < 0.8:
        fields["content"] = chance.choice(WORDS)
    if role == "assistant" and chance.random() < 0.5:
        function = {"name": "pay", "arguments": "{}"}
        fields["toolCalls"] = [{"id": "other", "type": "function", "function": function}]
    if role == "tool":
        fields["toolCallId"] = chance.choice(["other", "", "run_1-t-other"])
    return fields


@pytest.mark.parametrize("question", [None, PAY, OWN], ids=["nothing", "approval", "tool"])
async def test_the_agent__is_not_called(start: Start, question: Input | None) -> None:
    agent = ScriptedAgent([[question, Done()]] if question else [])
    service = await start(agent, RATE_LIMIT_REQUESTS="10000")
    if question:
        async with service.client.post("/v1/agui", json=body([USER])) as reply:
            await reply.read()
        async with service.client.get("/v1/sessions/waiting") as reply:
            assert [asked["id"] for asked in (await reply.json())["inputs"]] == [question.id]
    chance, calls = random.Random(6), len(agent.calls)

    for _ in range(100):
        said = conversation(chance)
        await refused(service, body(said, protocolVersion=chance.choice(["1.0", None])), said)

    assert len(agent.calls) == calls


USER = {"id": "u", "role": "user", "content": "pay 10"}


def body(messages: list[Any], **fields: Any) -> dict[str, Any]:
    return {"threadId": "waiting", "runId": "r", "messages": messages, **fields}


async def refused(service: Service, request: dict[str, Any], said: list[Any]) -> None:
    async with service.client.post("/v1/agui", json=request) as reply:
        problem = await reply.json()
    assert (reply.status, problem["errors"][0]["field"]) == (422, "messages"), said
