"""What the scripted models of the zoo say: the one place that the truth of a recording comes from.

Nothing of a framework is imported here. A model plays turns, one a call; each turn is what real
models break decoders with: punctuation and line ends that are tokens of their own, code, lists,
emoji, tool arguments cut anywhere, reasoning.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

QUESTION = "What is 15 * 23?"


@dataclass(frozen=True)
class Call:
    """A tool that the model wants to use, its arguments as the pieces they arrive in."""

    id: str
    tool: str
    args: dict[str, Any]

    @property
    def pieces(self) -> list[str]:
        text = json.dumps(self.args)
        third = max(1, len(text) // 3)
        return [text[:third], text[third : 2 * third], text[2 * third :]]


@dataclass(frozen=True)
class Turn:
    """One call of the model: what it thinks, says and wants to use."""

    say: Sequence[str] = ()
    think: Sequence[str] = ()
    calls: Sequence[Call] = ()
    usage: tuple[int, int] = (10, 5)
    pace: float = 0.0
    """Seconds before each token: speakers side by side take turns the same way each time."""
    late: float = 0.0
    """Seconds before the first."""

    @property
    def text(self) -> str:
        return "".join(self.say)

    @property
    def thought(self) -> str:
        return "".join(self.think)

    def tokens(self) -> Iterator[tuple[str, Any]]:
        """`("think" | "say", text)`, then `("call", Call)`."""
        yield from (("think", text) for text in self.think)
        yield from (("say", text) for text in self.say)
        yield from (("call", call) for call in self.calls)


class Player:
    """Gives a model its next turn, whatever it is asked."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = list(turns)
        self.played = 0

    def next(self) -> Turn:
        turn = self.turns[min(self.played, len(self.turns) - 1)]
        self.played += 1
        return turn


async def paced(turn: Turn) -> AsyncIterator[tuple[str, Any]]:
    """The turn's tokens in its own time."""
    await asyncio.sleep(turn.late or 0.002)  # a time to the first token that is not zero
    for token in turn.tokens():
        await asyncio.sleep(turn.pace)
        yield token


async def unhurried(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The events as they are, each written before the agent goes on and changes what it holds."""
    async for event in events:
        yield event
        await asyncio.sleep(0.005)


# What is said

STEPS = (
    "Steps",
    ":\n\n",
    "1",
    ".",
    " open",
    " the file",
    ":\n\n",
    "```python\n",
    "with open(p) as f",
    ":\n",
    "    f.read()",
    "\n",
    "```",
    "\n\n",
    "- ",
    "**done** ",
    "✅",
    "\n",
    "- ",
    '"quoted"',
    ', {"a": 1}',
    " → 345",
    ".",
)
"""Tokens as models cut them; as a whole it is a list, code and an emoji."""
SHORT = ("It is", " 345", ".")
RESULT = ("The", " result", " of", " 15 * 23", " =", " 345", ".")

CALCULATE = Call("call_calc", "calculator", {"expression": "15 * 23"})
WEATHER = Call("call_weather", "weather", {"city": "Rome, Italy"})
STOCKS = Call("call_stocks", "stocks", {"symbol": "AMZN, NASDAQ"})
DELETE = Call("call_delete", "delete_file", {"path": "a.txt"})
BROKEN = Call("call_broken", "broken", {"city": "Atlantis"})
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAA"
    "ADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel, in base64."""
SECRET = "the database password is hunter2"


def calculating(answer: Sequence[str] = RESULT) -> list[Turn]:
    """Says something, calculates, answers."""
    return [
        Turn(say=("Let me", " see", "."), calls=[CALCULATE]),
        Turn(say=answer, usage=(20, 7)),
    ]


def together(answer: Sequence[str] = ("Sunny, and", " 200", ".")) -> list[Turn]:
    """Two tools at once."""
    return [Turn(calls=[WEATHER, STOCKS]), Turn(say=answer)]


def failing() -> list[Turn]:
    """A tool that fails, which is no failure of the run."""
    return [Turn(calls=[BROKEN]), Turn(say=("I could", " not find", " Atlantis", "."))]


def thinking(answer: Sequence[str] = RESULT) -> list[Turn]:
    return [
        Turn(think=("I need", " a tool", ":\n"), say=("Let me", " see", "."), calls=[CALCULATE]),
        Turn(think=("Now", " I know."), say=answer, usage=(20, 7)),
    ]


# What the tools do


def calculator(expression: str) -> str:
    """Calculate an arithmetic expression."""
    return "345"


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def stocks(symbol: str) -> str:
    """The price of a stock; slower than the weather, so that the order is the same each time."""
    time.sleep(0.05)
    return f"{symbol}: 200"


def delete_file(path: str) -> str:
    """Delete a file."""
    return f"deleted {path}"


def broken(city: str) -> str:
    """A tool that does not work."""
    raise ValueError(f"no such city: {city}")


# What must come of it

USED = {"tool": "calculator", "args": CALCULATE.args, "result": "345"}
USED_WEATHER = {"tool": "weather", "args": WEATHER.args, "result": "sunny in Rome, Italy"}
USED_STOCKS = {"tool": "stocks", "args": STOCKS.args, "result": "AMZN, NASDAQ: 200"}


def truth(turns: Sequence[Turn], *tools: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What must come of these turns where the answer carries all of it."""
    said = [turn.text for turn in turns if turn.say]
    thought = [turn.thought for turn in turns if turn.think]
    found: dict[str, Any] = {"text": said[0] if len(said) == 1 else said}
    if thought:
        found["thinking"] = thought
    if tools:
        found["tools"] = list(tools)
    return {**found, **more}


@dataclass
class Scenario:
    """One answer of one agent, and what must come of it.

    `truth` has, each where it applies and None where it is not judged: `text` (the whole, or parts
    of which each is said exactly once and nothing beside them unless `beside`), `holds` (texts
    somewhere in it or in a `custom`, where the whole is not known), `tools` (`tool`, `args`,
    `result` or `error`, where the answer carries them; `more_tools`: others too), `thinking`,
    `sources` (urls), `files` (`mimeType` and `url` or `data`), `inputs` (what each question must
    have), `customs` (names), `usage`, `never` (what no text may hold), `ends` (`complete`,
    `input_required`, `failed`).
    """

    name: str
    answer: Any
    truth: dict[str, Any]
    asks: dict[str, Any] = field(default_factory=dict)
    """Sent beside prompt and session."""
    after: str | None = None
    """The scenario that this one goes on from, in the same session."""
    recorded: bool = True
