"""Strands agents that stop to ask: interrupts from hooks and tools, raw, filtered and returned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from container import Zoo
from script import DELETE, Call, Turn, delete_file, unhurried
from strands import Agent, ToolContext, tool
from strands.hooks import BeforeToolCallEvent, HookProvider, HookRegistry
from strands_models import Ask, ScriptedModel, converse, default_str, filtered, raw

REASON = {"path": "a.txt", "why": "it is old"}


class Approval(HookProvider):
    """Asks before a file is deleted, as the documentation of interrupts does."""

    def register_hooks(self, registry: HookRegistry, **kwargs: Any) -> None:
        registry.add_callback(BeforeToolCallEvent, self.approve)

    def approve(self, event: BeforeToolCallEvent) -> None:
        if event.tool_use["name"] == "delete_file":
            answer = event.interrupt("approval", reason=REASON)
            if answer != "yes":
                event.cancel_tool = "The user said no."


def approving() -> Agent:
    return Agent(
        model=ScriptedModel(
            Turn(say=("Let me", " see", "."), calls=[DELETE]), Turn(say=("It is", " done", "."))
        ),
        tools=[tool(delete_file)],
        hooks=[Approval()],
        callback_handler=None,
    )


@tool(context=True)
def choose(topic: str, tool_context: ToolContext) -> str:
    """Ask the user for a choice."""
    answer = tool_context.interrupt("choice", reason=f"Which {topic}?")
    return f"The user chose {answer}."


def choosing() -> Agent:
    call = Call("call_choose", "choose", {"topic": "color"})
    return Agent(
        model=ScriptedModel(Turn(calls=[call]), Turn(say=("Blue", " it is", "."))),
        tools=[choose],
        callback_handler=None,
    )


def add_asking(zoo: Zoo) -> None:
    def prompt(ask: Ask, agent: Agent) -> Any:
        if "resume" not in ask:
            return "Delete a.txt."
        return [
            {"interruptResponse": {"interruptId": id, "response": ask["resume"]}}
            for id in agent._interrupt_state.interrupts
        ]

    def streamed(make: Callable[[], Agent], way: Callable[[Any], Any]) -> Any:
        async def answer(ask: Ask) -> AsyncIterator[Any]:
            agent = zoo.kept(ask, make)
            async for event in unhurried(agent.stream_async(prompt(ask, agent))):
                told = way(event)
                if told is not None:
                    yield told

        return answer

    def returned(make: Callable[[], Agent], way: Callable[[Any], Any]) -> Any:
        async def answer(ask: Ask) -> Any:
            agent = zoo.kept(ask, make)
            return way(await agent.invoke_async(prompt(ask, agent)))

        return answer

    waiting = {
        "text": "Let me see.",
        "tools": None,
        "inputs": [{"tool": ["delete_file", DELETE.args]}],
        "ends": "input_required",
    }
    ways: dict[str, Callable[[Any], Any]] = {
        "raw": raw,
        "default-str": default_str,
        "filtered": filtered,
        "converse": converse,
    }
    for name, way in ways.items():
        zoo.add(f"asks-{name}", streamed(approving, way), waiting)
    kinds: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
        "result": (lambda result: result, {"text": None}),
        "result-field": (lambda result: {"result": result}, {"text": None}),
        "message-field": (lambda result: {"result": result.message}, {}),
        "to-dict": (lambda result: result.to_dict(), {}),
        "interrupts": (
            lambda r: {
                "stop_reason": r.stop_reason,
                "message": r.message,
                "interrupts": [i.to_dict() for i in r.interrupts],
            },
            {},
        ),
    }
    for name, (way, other) in kinds.items():
        wanted = waiting | other
        if name.startswith("result"):  # printed: only the question is in it
            wanted = wanted | {"inputs": [{"holds": ["it is old"]}]}
            wanted["beside"] = True
        zoo.add(f"asks-return-{name}", returned(approving, way), wanted)
    for name in ("raw", "filtered"):
        zoo.add(
            f"asks-{name}-resumed",
            streamed(approving, ways[name]),
            {"text": "It is done.", "tools": None},
            asks={"resume": "yes"},
            after=f"asks-{name}",
        )
    zoo.add(
        "asks-default-str-refused",
        streamed(approving, default_str),
        {"text": "It is done.", "tools": None},
        asks={"resume": "no"},
        after="asks-default-str",
    )
    chosen = {
        "tools": None,
        "inputs": [{"message": "Which color?"}],
        "ends": "input_required",
    }
    for name in ("raw", "default-str"):
        zoo.add(f"chooses-{name}", streamed(choosing, ways[name]), chosen)
