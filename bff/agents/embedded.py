"""The agent that needs nothing: it always answers the same, and shows every kind of event.

It is what `make run` talks to and what clients are tested against, so it has what real agents have:
words that stream, a tool it uses, reasoning, a slow answer, a failure in mid-answer.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from bff.agents import Prompt
from bff.errors import AgentFailed
from bff.events import Done, Event, Message, Thinking, ToolEnd, ToolStart

SLOW_SECONDS = 0.1
MOST_SLOW_WORDS = 36_000
"""An hour of them."""


class EmbeddedAgent:
    """Scripted answers, word by word."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep

    def __repr__(self) -> str:
        return "<EmbeddedAgent>"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        said = 0
        async with aclosing(self._answer(prompt.conversation.text.strip())) as events:
            async for event in events:
                said += len(event.content.split()) if isinstance(event, Message) else 0
                yield [event]
        yield [Done(usage=_usage(prompt.conversation.text, said))]

    async def stop(self, session_id: str) -> None:
        """Nothing is kept for a session."""

    async def ping(self) -> None:
        """Always there."""

    async def _answer(self, message: str) -> AsyncGenerator[Event, None]:
        command, _, rest = message.partition(" ")
        match command:
            case "/slow" if re.fullmatch(r"[1-9][0-9]{0,4}", rest.strip()):
                for number in range(1, min(int(rest), MOST_SLOW_WORDS) + 1):
                    await self._sleep(SLOW_SECONDS)
                    yield Message(f"{'' if number == 1 else ' '}word{number}")
                return
            case "/fail":
                for word in _words("This will fail"):
                    await self._sleep(0)
                    yield Message(word)
                raise AgentFailed(agent_called=True)
            case "/think":
                for word in _words("Let me think about that for a moment."):
                    await self._sleep(0)
                    yield Thinking(word)
                text = f"I thought about it: {shortened(rest)}" if rest else "I thought about it."
            case _:
                text = ""
                expression = find_expression(message)
                if expression:
                    result = calculate(expression)
                    yield ToolStart("call-1", "calculator", {"expression": expression})
                    await self._sleep(0)
                    if result is None:
                        yield ToolEnd("call-1", "calculator", error="cannot calculate that")
                        text = f"I could not calculate {expression}."
                    else:
                        yield ToolEnd("call-1", "calculator", result)
                        text = f"The result of {expression} = {result}."
                text = text or f"You said: {shortened(message)}"
        for word in _words(text):
            await self._sleep(0)
            yield Message(word)


def shortened(text: str) -> str:
    """What of a message is repeated."""
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"


def _words(text: str) -> list[str]:
    """The text in pieces of a word and what white space is before it; joined, it is the same."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def _usage(message: str, said: int) -> dict[str, int]:
    asked = len(message.split())
    return {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}


_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
_ATOM = rf"(?:\(\s*){{0,9}}(?:-\s*)?{_NUMBER}(?:\s*\)){{0,9}}"
_EXPRESSION = re.compile(
    rf"(?:^|\b(?:is|of|much|calculate|compute|solve|evaluate)[\s:]\s*)"
    rf"({_ATOM}(?:\s*[-+*/x\u00d7\u00f7]\s*{_ATOM}){{1,20}})\s*[?=.!]*$",
    re.IGNORECASE,
)
_LONGEST_QUESTION = 400
_LONGEST_ECHO = 2000
_SIGNS = str.maketrans({"x": "*", "X": "*", "\u00d7": "*", "\u00f7": "/"})
_TOKEN = re.compile(rf"\s*({_NUMBER}|[-+*/()])")
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def find_expression(message: str) -> str | None:
    """The arithmetic a message ends with, if that is what it asks for."""
    if len(message) > _LONGEST_QUESTION:
        return None
    found = _EXPRESSION.search(message)
    return found.group(1) if found else None


def calculate(expression: str) -> str | None:
    """The value of sums, products and parentheses, or None if it has none."""
    plain = expression.translate(_SIGNS)
    tokens = _TOKEN.findall(plain)
    try:
        value = _Parser(tokens).value()
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return str(value) if isinstance(value, int) else f"{value:.12g}"


class _Parser:
    """Recursive descent over at most as many tokens as the expression's pattern lets through."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def value(self) -> float:
        value = self._sum()
        if self._tokens:
            raise ValueError("something is left")
        return value

    def _sum(self) -> float:
        return self._chain("+-", self._product)

    def _product(self) -> float:
        return self._chain("*/", self._atom)

    def _chain(self, operators: str, part: Callable[[], float]) -> float:
        value = part()
        while self._tokens and self._tokens[-1] in operators:
            value = _OPERATORS[self._tokens.pop()](value, part())
        return value

    def _atom(self) -> float:
        match self._tokens.pop():
            case "-":
                return -self._atom()
            case "(":
                value = self._sum()
                if self._tokens.pop() != ")":
                    raise ValueError("an open parenthesis")
                return value
            case ")" | "+" | "*" | "/" as misplaced:
                raise ValueError(misplaced)
            case number:
                return float(number) if "." in number else int(number)
