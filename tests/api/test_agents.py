"""Several agents behind one service: which of them answers, and who goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.asking import chat
from tests.api.conftest import Start
from tests.fakes.history import ListHistory

TWO = {
    "first": {"url": "embedded:"},
    "second": {"url": "embedded:", "payload": "langgraph", "description": "the other"},
}


async def test_agents__are_chosen_by_name_and_a_session_stays_with_its_own(start: Start) -> None:
    service = await start(AGENTS=json.dumps(TWO))
    problem = await chat(service, 422, message="Hi", agent="third")
    await chat(service, message="Hi", session_id="s", agent="second")
    await chat(service, message="More", session_id="s")
    await chat(service, message="Hi")
    shown = await (await service.client.get("/v1/sessions/s")).json()
    ready = await (await service.client.get("/ready")).json()

    assert problem["errors"][0] == {"field": "agent", "message": "must be one of first, second"}
    assert [call.agent for call in service.agent.calls] == ["second", "second", "first"]
    assert shown["agent"] == "second"
    assert {"agent first", "agent second"} <= set(ready["checks"])


async def test_another_agent_in_a_session__goes_on_in_a_branch_that_is_given_it(
    start: Start,
) -> None:
    service = await start(AGENTS=json.dumps(TWO))
    await chat(service, message="I am Jo", session_id="s", agent="first")
    other = await chat(service, message="Who am I?", session_id="s", agent="second")
    later = await chat(service, message="More", session_id="s")

    assert other["session_id"] == later["session_id"] != "s"
    _, second, third = service.agent.calls
    assert [message.text for message in second.history] == ["I am Jo", "Hello"]
    assert (third.agent, third.session_id) == ("second", second.session_id)


@pytest.mark.parametrize("named", [True, False], ids=["named", "by transcript"])
async def test_a_session_whose_agent_is_no_longer_there__goes_on_with_the_default_one(
    start: Start, named: bool
) -> None:
    history = ListHistory()
    earlier = await start(history=history, AGENTS=json.dumps(TWO))
    service = await start(history=history)
    said: list[Any] = [{"role": "user", "content": "I am Jo"}]
    again = [*said, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Who?"}]
    if named:
        await chat(earlier, message="I am Jo", session_id="s", agent="second")
        reply = await chat(service, message="Who?", session_id="s")
        later = await chat(service, message="More", session_id="s")
        assert reply["session_id"] == later["session_id"] != "s"
    else:
        for each, model, messages in ((earlier, "second", said), (service, "agent", again)):
            body = {"model": model, "messages": messages}
            async with each.client.post("/v1/chat/completions", json=body) as answer:
                assert answer.status == 200, await answer.text()

    call = service.agent.calls[0]
    assert call.agent == "agent"
    assert [message.text for message in call.history] == ["I am Jo", "Hello"]
