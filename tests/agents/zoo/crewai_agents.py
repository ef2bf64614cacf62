"""CrewAI: crews of one and of two, their output in every form, chunks, flows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from container import Zoo
from crewai import LLM, Agent, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.tools import tool
from openai_server import base_url, model_of
from pydantic import BaseModel
from script import (
    QUESTION,
    SECRET,
    SHORT,
    STEPS,
    USED,
    Turn,
    calculating,
    calculator,
    unhurried,
)

Ask = dict[str, Any]
ANSWER = "".join(STEPS)


def llm(turns: list[Turn], stream: bool = False) -> Any:
    return LLM(
        model=f"openai/{model_of(turns)}", base_url=base_url(), api_key="none", stream=stream
    )


def member(
    role: str, turns: list[Turn], stream: bool = False, tools: list[Any] | None = None
) -> Any:
    return Agent(
        role=role,
        goal="Answer",
        backstory="Always eager",
        llm=llm(turns, stream),
        tools=tools or [],
        verbose=False,
    )


def crew(*turns: Turn, stream: bool = False, **more: Any) -> Any:
    worker = member("Math", list(turns), stream, [tool("calculator")(calculator)])
    task = Task(description=QUESTION, expected_output="A number", agent=worker, **more)
    return Crew(
        agents=[worker], tasks=[task], process=Process.sequential, stream=stream, verbose=False
    )


def two(stream: bool = False) -> Any:
    first = member("Researcher", [Turn(say=("Rome is", " sunny", ":\n", "22 °C", "."))], stream)
    second = member("Writer", [Turn(say=("All", " done", ":\n\n", "- 345"))], stream)
    tasks = [
        Task(description="Look", expected_output="Weather", agent=first),
        Task(description="Write", expected_output="Text", agent=second),
    ]
    return Crew(agents=[first, second], tasks=tasks, stream=stream, verbose=False)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Talk(Flow):
    """Two steps, the second of which answers."""

    @start()
    def think(self) -> str:
        return "a note between steps"

    @listen(think)
    def answer(self, note: str) -> str:
        return ANSWER


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().kickoff_async(inputs={"prompt": QUESTION}))

    return answer


def streamed(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        session = await make().kickoff_async(inputs={"prompt": QUESTION})
        async for chunk in unhurried(session):
            told = way(chunk)
            if told is not None:
                yield told

    return answer


zoo = Zoo("CrewAI", "crewai")
turns = [Turn(calls=calculating()[0].calls), Turn(say=STEPS)]
once = {"text": [ANSWER], "tools": None}
results: dict[str, Callable[[Any], Any]] = {
    "raw-text": lambda result: result.raw,  # AWS's template
    "result": lambda result: {"result": result.raw},
    "output": lambda result: result,
    "dump": lambda result: result.model_dump(mode="json"),
    "text": str,
    "to-dict": lambda result: {"output": result.raw, "tasks": len(result.tasks_output)},
}
for name, way in results.items():
    zoo.add(f"return-{name}", returned(lambda: crew(*turns), way), once)
said = {"text": ["All done:\n\n- 345"], "beside": True, "tools": None}
zoo.add("two-return-dump", returned(two, lambda result: result.model_dump(mode="json")), said)
zoo.add("two-return-output", returned(two, lambda result: result), said)
person = Turn(say=('{"name": ', '"Jo Ann"', ', "age": 3}'))
for name, shape in {
    "pydantic": {"output_pydantic": Person},
    "json": {"output_json": Person},
}.items():
    zoo.add(
        f"structured-{name}",
        returned(lambda shape=shape: crew(person, **shape), lambda r: r.model_dump(mode="json")),
        {"holds": ["Jo Ann"], "tools": None},
    )
zoo.add(
    "structured-to-dict",
    returned(lambda: crew(person, output_json=Person), lambda r: r.to_dict()),
    {"holds": ["Jo Ann"]},
)
brief = [Turn(calls=calculating()[0].calls), Turn(say=SHORT)]
zoo.add(
    "chunks-raw",
    streamed(lambda: crew(*brief, stream=True), lambda chunk: chunk),
    {"text": ["It is 345."], "tools": None},
)
zoo.add(
    "chunks-dump",
    streamed(lambda: crew(*brief, stream=True), lambda chunk: chunk.model_dump(mode="json")),
    {"text": ["It is 345."], "tools": [{"tool": "calculator", "args": USED["args"]}]},
)
zoo.add(
    "chunks-text",
    streamed(lambda: crew(Turn(say=STEPS), stream=True), lambda chunk: chunk.content or None),
    {"text": ANSWER},
)
zoo.add(
    "two-chunks-dump",
    streamed(lambda: two(True), lambda chunk: chunk.model_dump(mode="json")),
    {"text": ["Rome is sunny:\n22 °C.", "All done:\n\n- 345"], "tools": None},
)
zoo.add(
    "flow-return", lambda ask: Talk().kickoff_async(), {"text": ANSWER, "never": ["a note between"]}
)


@zoo.scenario("raises", ends="failed")
async def raises(ask: Ask) -> AsyncIterator[Any]:
    yield {"type": "status", "status": "started"}
    raise RuntimeError(SECRET)


if __name__ == "__main__":
    zoo.run()
