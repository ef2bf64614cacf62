"""Agno: run events of an agent and a team, raw and as dicts; results; a paused run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.team import Team
from agno.tools import tool
from container import Zoo
from openai_server import base_url, model_of
from pydantic import BaseModel
from script import (
    BROKEN,
    DELETE,
    QUESTION,
    SECRET,
    SHORT,
    STEPS,
    USED,
    USED_STOCKS,
    USED_WEATHER,
    Call,
    Turn,
    broken,
    calculating,
    calculator,
    delete_file,
    failing,
    stocks,
    thinking,
    together,
    truth,
    unhurried,
    weather,
)

Ask = dict[str, Any]


def model(turns: list[Turn]) -> Any:
    return OpenAIChat(id=model_of(turns), base_url=base_url(), api_key="none")


def agent(turns: list[Turn], **more: Any) -> Any:
    tools = [calculator, weather, stocks, broken]
    return Agent(**{"name": "math", "tools": tools, "model": model(turns), **more}, telemetry=False)


def team() -> Any:
    ask = Call("call_hand", "delegate_task_to_member", {"member_id": "rome", "task": "Rome?"})
    member = agent(
        [Turn(say=("It is", " sunny", ":\n", "22 °C", "."))], name="rome", id="rome", tools=[]
    )
    leader = [Turn(calls=[ask]), Turn(say=("Rome", " says", " sunny", "."))]
    return Team(name="team", members=[member], model=model(leader), telemetry=False)


def approving() -> Any:
    made = tool(requires_confirmation=True)(delete_file)
    return agent([Turn(say=("Let me", " see", "."), calls=[DELETE])], tools=[made])


def text(event: Any) -> Any:
    """The documentation's way: only what is said."""
    return event.content if event.event in ("RunContent", "TeamRunContent") else None


WAYS: dict[str, Callable[[Any], Any]] = {
    "raw": lambda event: event,
    "dict": lambda event: event.to_dict(),
    "json": lambda event: event.to_json(indent=None),
    "text": lambda event: text(event) or None,
    "typed": lambda event: {"event": event.event, "content": getattr(event, "content", None)},
}


def streamed(make: Any, way: Callable[[Any], Any], **how: Any) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        events = make().arun(QUESTION, stream=True, session_id="s", **how)
        async for event in unhurried(events):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().arun(QUESTION, session_id="s"))

    return answer


class Person(BaseModel):
    """A person."""

    name: str
    age: int


ALL = {"stream_events": True}
zoo = Zoo("Agno", "agno")
steps, short, calm = thinking(STEPS), thinking(SHORT), calculating(STEPS)
zoo.add("events-dict", streamed(lambda: agent(steps), WAYS["dict"], **ALL), truth(steps, USED))
zoo.add("events-json", streamed(lambda: agent(short), WAYS["json"], **ALL), truth(short, USED))
zoo.add(
    "events-raw",
    streamed(lambda: agent(calculating(SHORT)), WAYS["raw"], **ALL),
    truth(calculating(SHORT), USED),
)
spoken = {**truth(calm), "tools": None}
zoo.add("content-dict", streamed(lambda: agent(calm), WAYS["dict"]), spoken)
zoo.add("content-text", streamed(lambda: agent(calm), WAYS["text"]), truth(calm))
zoo.add("content-typed", streamed(lambda: agent(calm), WAYS["typed"]), spoken)
zoo.add(
    "two-tools",
    streamed(lambda: agent(together()), WAYS["dict"], **ALL),
    truth(together(), USED_WEATHER, USED_STOCKS),
)
missed = {"tool": "broken", "args": BROKEN.args, "error": {"holds": "no such city"}}
zoo.add(
    "failing-tool",
    streamed(lambda: agent(failing()), WAYS["dict"], **ALL),
    truth(failing(), missed),
)
told = {"text": ["Rome says sunny."], "beside": True, "tools": [], "more_tools": True}
zoo.add("team-dict", streamed(team, WAYS["dict"], **ALL), told)
zoo.add("team-return", returned(team, lambda r: r.to_dict()), told)
results: dict[str, Callable[[Any], Any]] = {
    "content": lambda run: run.content,
    "result": lambda run: {"result": run.content},
    "to-dict": lambda run: run.to_dict(),
    "run": lambda run: run,
}
for name, way in results.items():
    whole = [truth(calm)["text"][1]]
    zoo.add(
        f"return-{name}",
        returned(lambda: agent(calm), way),
        {"text": whole, "beside": True, "tools": None},
    )
waiting = {
    "text": None,
    "tools": None,
    "inputs": [{"tool": ["delete_file", DELETE.args]}],
    "ends": "input_required",
}
zoo.add("paused-dict", streamed(approving, WAYS["dict"], **ALL), waiting | {"text": "Let me see."})
zoo.add("paused-return", returned(approving, lambda run: run.to_dict()), waiting)
person = [Turn(say=('{"name": ', '"Jo Ann"', ', "age": 3}'))]
zoo.add(
    "structured-return",
    returned(lambda: agent(person, output_schema=Person, tools=[]), lambda run: run.content),
    {"holds": ["Jo Ann"]},
)


@zoo.scenario("raises", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    yield {"event": "RunStarted", "run_id": "r"}
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
