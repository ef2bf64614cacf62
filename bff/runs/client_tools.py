"""A call of the client's own tool: the agent cannot run it, so it is a question to the client.

Agents tell such a call as any other. It is held back until it is clear who runs it: with a result
from the agent it is a tool call like the rest, without one it is asked when the answer ends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bff.events import Event, Input, ToolEnd, ToolStart, ToolUse


class ClientTools:
    """The calls of one run that may be the client's to run."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._held: dict[str, ToolStart] = {}

    def pass_on(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events without calls that are held back, and with those that turned out otherwise."""
        if not self._names:
            return events
        passed: list[Event] = []
        for event in events:
            match event:
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
