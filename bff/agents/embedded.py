"""The agent that needs nothing: it always answers the same, and shows every kind of event.

It is what `make run` talks to and what clients are tested against, so it has what real agents have:
words that stream, a tool it uses, reasoning, a slow answer, a failure in mid-answer, a memory of
its sessions, and questions it cannot go on without. docs/agents.md has the list of its commands.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing

from bff.agents import Prompt
from bff.agents.answers import payload_of
from bff.agents.arithmetic import calculate, find_expression
from bff.agents.payload import FIELDS
from bff.errors import AgentFailed
from bff.events import (
    JSON,
    Done,
    Event,
    Input,
    Message,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
    dumps,
)

SLOW_SECONDS = 0.1
MOST_SLOW_WORDS = 36_000
"""An hour of them."""
MOST_SESSIONS = 10_000
"""Sessions it remembers; past that the longest unused is forgotten."""
_LONGEST_ECHO = 2000

FORM: JSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your name"},
        "seats": {"type": "integer", "title": "Seats", "minimum": 1, "maximum": 9},
        "window": {"type": "boolean", "title": "At the window"},
    },
    "required": ["name", "seats"],
}
"""What `/form` asks for."""


class EmbeddedAgent:
    """Scripted answers, word by word."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._turns: OrderedDict[str, int] = OrderedDict()

    def __repr__(self) -> str:
        return f"<EmbeddedAgent {len(self._turns)} sessions>"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        said = 0
        turns = self._remember(prompt)
        async with aclosing(self._answer(prompt, turns)) as events:
            async for event in events:
                said += len(event.content.split()) if isinstance(event, Message) else 0
                yield [event]
        yield [Done(usage=_usage(prompt.conversation.text, said))]

    async def stop(self, session_id: str) -> None:
        self._turns.pop(session_id, None)

    async def ping(self) -> None:
        """Always there."""

    def _remember(self, prompt: Prompt) -> int:
        """Which turn of its session this is, those counted that it was told of."""
        told = sum(message.role == "user" for message in prompt.history)
        asked = 0 if prompt.questions else 1
        turns = self._turns.pop(prompt.session_id, 0) + told + asked
        self._turns[prompt.session_id] = turns
        while len(self._turns) > MOST_SESSIONS:
            self._turns.popitem(last=False)
        return turns

    async def _answer(self, prompt: Prompt, turns: int) -> AsyncGenerator[Event, None]:
        message = prompt.conversation.text.strip()
        command, _, rest = message.partition(" ")
        text: str | None = None
        events: Iterator[Event] = iter(())
        match command:
            case _ if prompt.questions:
                events, text = _go_on(prompt), ""
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
            case "/approve" | "/ask" | "/form" | "/tool":
                events, text = _ask(command, rest, prompt), ""
            case "/turns":
                text = f"I have seen {turns} turn{'' if turns == 1 else 's'} of this conversation."
            case "/system":
                system = prompt.conversation.system
                text = f"I was instructed: {shortened(system)}" if system else "No instructions."
            case "/fields":
                text = f"Fields: {', '.join(_fields(prompt)) or 'none'}."
            case _:
                if expression := find_expression(message):
                    events, text = _calculated(expression), ""
                text = f"You said: {shortened(message)}" if text is None else text
        for event in events:
            await self._sleep(0)
            if isinstance(event, Message):
                for word in _words(event.content):
                    await self._sleep(0)
                    yield Message(word)
            else:
                yield event
        for word in _words(text):
            await self._sleep(0)
            yield Message(word)


def _calculated(expression: str) -> Iterator[Event]:
    result = calculate(expression)
    yield ToolStart("call-1", "calculator", {"expression": expression})
    if result is None:
        yield ToolEnd("call-1", "calculator", error="cannot calculate that")
        yield Message(f"I could not calculate {expression}.")
    else:
        yield ToolEnd("call-1", "calculator", result)
        yield Message(f"The result of {expression} = {result}.")


def _ask(command: str, rest: str, prompt: Prompt) -> Iterator[Event]:
    """A question that the run ends with. Its id is the run's, so that none comes twice."""
    id = prompt.run_id
    match command:
        case "/approve":
            pay = ToolUse(f"pay-{id}", "pay", {"amount": _number(rest), "to": "Jo"})
            yield Message("I would like to pay.")
            yield ToolStart(pay.id, pay.name, pay.args)
            value = {"tool": pay.name, "args": pay.args}
            yield Input(f"approve-{id}", "approval", "May I pay?", pay, value=value)
        case "/ask":
            question = rest.strip() or "Which city?"
            yield Input(f"ask-{id}", "input", question, value=question)
        case "/form":
            yield Input(f"form-{id}", "input", "Please fill in.", schema=FORM, value={"form": FORM})
        case "/tool":
            name, _, args = rest.strip().partition(" ")
            yield ToolStart(f"tool-{id}", name or "tool", _json(args))


def _go_on(prompt: Prompt) -> Iterator[Event]:
    """What an answer leads to."""
    answers = {answer.input_id: answer for answer in prompt.conversation.answers}
    for question in prompt.questions:
        told = payload_of(question, answers[question.id])
        if question.kind != "approval" or question.tool is None:
            yield Message(
                f"You answered: {shortened(told if isinstance(told, str) else dumps(told))}"
            )
        elif _is_yes(told):
            args = {**question.tool.args, **_other_args(told)}
            yield ToolEnd(question.tool.id, question.tool.name, "paid")
            yield Message(shortened(f"Paid {args['amount']} to {args['to']}."))
        else:
            yield ToolEnd(question.tool.id, question.tool.name, error="declined")
            yield Message("Not paid: it was declined.")


def _other_args(told: JSON) -> dict[str, JSON]:
    """The arguments that a call is approved with, where they are not those asked about."""
    match told:
        case {"args": dict(args)} | {"editedArgs": dict(args)}:
            return args
    return {}


def _is_yes(told: JSON) -> bool:
    match told:
        case bool():
            return told
        case str():
            return told.strip().lower() in ("y", "yes", "ok", "approve", "approved", "true")
        case {"approved": bool(approved)} | {"approve": bool(approved)}:
            return approved
        case {"type": "approve"} | {"decisions": [{"type": "approve"}, *_]}:
            return True
    return False


def _fields(prompt: Prompt) -> list[str]:
    """Which of a client's fields arrived, and how many of what comes in numbers."""
    conversation = prompt.conversation
    names = []
    for name in sorted(FIELDS):
        value = getattr(conversation, name)
        if value:
            names.append(f"{name} ({len(value)})" if isinstance(value, tuple) else name)
    if conversation.system:
        names.append("system")
    if prompt.history:
        names.append(f"history ({len(prompt.history)})")
    return names


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else 10


def _json(text: str) -> JSON:
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return {"text": text}


def shortened(text: str) -> str:
    """What of a message is repeated."""
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"


def _words(text: str) -> list[str]:
    """The text in pieces of a word and what white space is before it; joined, it is the same."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def _usage(message: str, said: int) -> dict[str, int]:
    asked = len(message.split())
    return {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}
