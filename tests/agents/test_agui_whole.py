"""An AG-UI client and a real AG-UI agent: what either has reaches the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bff.agents import open_agent
from bff.settings import Settings
from tests.agents.environments import FOLDER, NotMade, command
from tests.agents.serving import serving
from tests.api.agui_page import Page, interrupt, said
from tests.api.conftest import Start
from tests.api.conftest import start as start

pytestmark = pytest.mark.zoo
AGUI = {"AGENT_PAYLOAD": "agui"}


def of_type(events: list[Any], type: str) -> list[Any]:
    return [event for event in events if event["type"] == type]


@pytest.mark.parametrize("version", ["1.0", None])
async def test_a_langgraph_agent__has_its_state_shown_and_its_questions_answered(
    start: Start, tmp_path: Path, version: str | None
) -> None:
    try:
        python, _ = command("langgraph")
    except NotMade as reason:
        pytest.skip(str(reason))
    script = str(FOLDER / "agui_whole.py")
    with serving([python, script], tmp_path / "agent.log") as url:
        settings = Settings.load({"AGENT_URL": url, **AGUI})
        async with open_agent(settings.agents[0]) as agent:
            service = await start(agent, AGENT_URL=url, **AGUI)
            page = Page(service, version=version)

            first = await page.say("hello", state={"note": "mine"})
            second = await page.say("again")
            asked = await page.say("pay")
            if version:
                answer = {"interruptId": interrupt(asked)["id"], "payload": {"approved": True}}
                paid = await page.run(resume=[answer])
            else:
                [question] = of_type(asked, "CUSTOM")
                told = {"resume": {"approved": True}, "interruptEvent": question["value"]}
                paid = await page.run(forwardedProps={"command": told})
            page.messages = page.messages[:2]
            edited = await page.say("anew")

    assert (said(first), said(second)) == ("1: hello", "2: again")
    assert of_type(first, "STATE_SNAPSHOT")[-1]["snapshot"]["count"] == 1
    [shown] = of_type(second, "MESSAGES_SNAPSHOT")
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"] * 2
    assert interrupt(asked)["message"] == "May I pay?"
    assert said(paid) == "3: paid: {'approved': True}"
    assert said(edited) == "2: anew"  # a branch that was given what was said before
