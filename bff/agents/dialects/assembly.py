"""What one run's answer has come to so far; every dialect writes into it.

It holds the memory that saying things once needs: text, reasoning, tool calls, usage. The dialects
themselves remember nothing.
"""

from __future__ import annotations

from bff.agents.dialects.text_once import TextOnce
from bff.agents.dialects.tool_calls import ToolCalls
from bff.events import JSON, Custom, Event, Message, Thinking

_MOST_USAGES = 1000
"""Model calls whose tokens are kept apart; beyond that they are one sum."""


class InBandError(Exception):
    """The agent said in its answer that it failed; the text is for the operator."""


class Assembly:
    """Events waiting to be handed on in `out`, and what must be remembered to say nothing twice."""

    def __init__(self) -> None:
        self.out: list[Event] = []
        self.text = TextOnce(self.out, Message)
        self.thinking = TextOnce(self.out, Thinking)
        self.tools = ToolCalls(self.out, self.pause)
        self.customs = 0
        self.junk = 0
        """Frames that were Python's print of an object: never told, counted for the log."""
        self.unfinished = False
        """An AG-UI run was announced and has not ended."""
        self.role = "assistant"
        """Whose message the agent is streaming, in dialects that say it only at its start."""
        self.streaming: str | None = None
        """Its id: a chunk that has none goes on with the last."""
        self.message = 0
        """Which one, counted: blocks of a message are known by an index within it."""
        self.state: dict[str, JSON] = {}
        """What a graph's latest state holds beside its messages."""
        self._usage: dict[str, dict[str, int]] = {}

    @property
    def has_content(self) -> bool:
        return self.text.heard or self.tools.told or self.customs > 0

    def custom(self, value: JSON, *, content: bool = True) -> None:
        """Keep what is none of the others; an agent's state alone is no content."""
        self.customs += content
        self.out.append(Custom(value))

    def pause(self) -> None:
        """The next text is another piece than the last."""
        self.text.pause()
        self.thinking.pause()

    def end(self) -> None:
        """Tell what only the end makes sure of."""
        self.tools.settle()
        rest = {name: value for name, value in self.state.items() if isinstance(value, dict | list)}
        if any(rest.values()):
            self.custom(rest, content=False)
        self.thinking.end()
        self.text.end()

    def take(self) -> list[Event]:
        """What is ready, once."""
        events = self.out[:]
        self.out.clear()
        return events

    def use(self, usage: JSON, *, key: str, add: bool = False) -> None:
        """Note the tokens one model call used; `key` names the call, told again it is replaced."""
        counts = _counts(usage)
        if not counts:
            return
        if add and key in self._usage:
            old = self._usage[key]
            counts = {name: old.get(name, 0) + counts.get(name, 0) for name in {**old, **counts}}
        if len(self._usage) >= _MOST_USAGES:
            self._usage = {"": self.usage() or {}}
        self._usage[key] = counts

    def use_total(self, usage: JSON) -> None:
        """Note the tokens of the whole run, whatever was noted before."""
        counts = _counts(usage)
        if counts:
            self._usage = {"": counts}

    def usage(self) -> dict[str, int] | None:
        """The tokens of the whole run, if anything said so."""
        if not self._usage:
            return None
        total: dict[str, int] = {}
        for counts in self._usage.values():
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        return total


_USAGE_NAMES = {
    "input_tokens": "input_tokens",
    "inputTokens": "input_tokens",
    "prompt_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "outputTokens": "output_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "totalTokens": "total_tokens",
}

_MOST_TOKENS = 10**12
"""More in one call is no count: their sum must be a number that every client can read."""


def _counts(usage: JSON) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    counts = {
        ours: usage[theirs]
        for theirs, ours in _USAGE_NAMES.items()
        if type(usage.get(theirs)) is int and 0 <= usage[theirs] <= _MOST_TOKENS
    }
    if counts and "total_tokens" not in counts:
        counts["total_tokens"] = sum(counts.values())
    ordered = ("input_tokens", "output_tokens", "total_tokens")
    return {name: counts.get(name, 0) for name in ordered} if counts else {}
