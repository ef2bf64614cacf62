"""Tool calls that are not the agent's alone: the client's own, and those it was asked about.

A call of the client's own tool is told by agents as any other. It is held back until it is clear
who runs it: with a result from the agent it is a tool call like the rest, without one it is a
question when the answer ends.

A run that answers a question goes on with a call that an earlier run has told. Agents tell it
again; clients must not be told: only its result is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bff.events import Event, Input, ToolEnd, ToolStart, ToolUse
from bff.messages import ClientTool


class ClientTools:
    """What one run has to know of such calls."""

    __slots__ = ("_held", "_names", "_told")

    def __init__(self, tools: Iterable[ClientTool], answered: Iterable[Input]) -> None:
        self._names = dict.fromkeys(tool.name for tool in tools)
        self._told = {question.tool.id: question.kind for question in answered if question.tool}
        self._held: dict[str, ToolStart] = {}

    def pass_on(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events as clients are to see them."""
        passed: list[Event] = []
        for event in events:
            match event:
                case ToolStart(id) if id in self._told:
                    pass
                case ToolEnd(id) if self._told.get(id) == "tool":
                    pass  # the client's own result, said back
                case ToolStart(id, tool) if tool in self._names:
                    self._held[id] = event
                case ToolEnd(id) if id in self._held:
                    passed += [self._held.pop(id), event]
                case Input(tool=ToolUse(id)) if id in self._held:
                    # the agent asks about the call itself: an approval comes first
                    passed += [self._held.pop(id), event]
                case _:
                    passed.append(event)
        return passed

    def questions(self) -> list[Input]:
        """The calls that nobody has answered, as questions."""
        return [
            Input(call.id, "tool", tool=ToolUse(call.id, call.tool, call.args))
            for call in self._held.values()
        ]
