"""Prints what becomes of every kind of agent, as a table: `python -m tests.agents.show`.

The agents are real ones behind AgentCore's front door; see record.py for the kinds.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from bff.agents import Prompt
from bff.errors import Problem
from bff.events import Event
from tests.agents.conftest import (
    ANSWER,
    QUESTION,
    OpenWire,
    customs,
    serving,
    text,
    tools,
    wired,
)
from tests.agents.environments import ROOT
from tests.agents.record import CASES

FAILS = {
    "langgraph-prints": "",
    "langgraph-empty": "",
    "langgraph-fails": "Before it broke",
    "app-error": ANSWER,
}


def expected(name: str) -> str:
    if name in FAILS:
        return f"{FAILS[name]} + agent_failed".removeprefix(" + ")
    said_before = name.startswith("strands") and name != "strands-body"
    return f"Let me see. {ANSWER}" if said_before else ANSWER


async def row(url: str, name: str, open_wire: OpenWire) -> list[str]:
    """Shape, answer expected, whether it was got, other events, calls of the agent."""
    case, modes = CASES[name]
    payload = {"prompt": "$message", "session_id": "$session_id", "case": case, "modes": modes}
    events: list[Event] = []
    ended = ""
    async with open_wire(url, payload) as (agent, wire):
        try:
            async for batch in agent.stream(Prompt(QUESTION, name.ljust(40, "-"), "a", "r")):
                events.extend(batch)
        except Problem as problem:
            ended = f" + {problem.code}"
    got = f"{text(events)}{ended}".removeprefix(" + ")
    right = "yes" if got == expected(name) and not wire.wrong else f"NO: {got} {wire.wrong}"
    told = f"{len(tools(events))} tool, {len(customs(events))} custom"
    return [name, expected(name), right, told, str(len(wire.invocations))]


async def show(url: str) -> None:
    print("| agent shape | answer expected | got | tool events | calls |")
    print("| --- | --- | --- | --- | --- |")
    for name in CASES:
        print(f"| {' | '.join(await row(url, name, wired(os.environ.__setitem__)))} |")


def main() -> None:
    program = ROOT / "tests" / "agents" / "zoo" / "agent.py"
    with (
        tempfile.TemporaryDirectory() as logs,
        serving("agents", program, Path(logs) / "log") as url,
    ):
        asyncio.run(show(url))


if __name__ == "__main__":
    main()
