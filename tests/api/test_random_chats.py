"""Random conversations of all protocols, over two tasks and restarts of them.

Whatever a client does, the agent is called once for each message, and what it then knows of the
conversation, by its own memory and by what it is told, is what the client sees: no wrong session,
no branch mixed with another, nothing told twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bff.agents import Prompt
from bff.conversations.questions import answers_as_text
from bff.events import Done, Event, Input, Message
from tests.api.conftest import Service, Start
from tests.api.reading import frames
from tests.fakes.scripted import ScriptedAgent

NUMBERS = itertools.count()


class Remembering(ScriptedAgent):
    """An agent with a memory of each of its sessions; its answer follows from what it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[str, list[str]] = defaultdict(list)
        self.heard: list[list[str]] = []
        """Of each call, all that it knew of the conversation, with the new message."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        known = self.memory[prompt.session_id]
        known += [message.text for message in prompt.history]
        said = prompt.conversation
        known.append(answers_as_text(prompt.questions, said.answers) or said.text)
        self.heard.append(list(known))
        known.append(answer_to(known))
        yield [Message(known[-1])]
        if said.text == "Pay":
            yield [Input(f"i-{len(known)}", "approval", "May I?")]
        yield [Done()]


def answer_to(known: Sequence[str]) -> str:
    """The same for the same, so that conversations that begin alike stay alike."""
    return f"answer {hashlib.sha256('/'.join(known).encode()).hexdigest()[:8]}"


class Tasks:
    """Two tasks that share a history and the agents."""

    def __init__(self, start: Start, path: Path) -> None:
        self.agent = Remembering()
        self._start = start
        self._history = f"sqlite:///{path}/bff.db"
        self._tasks: list[Service] = []

    async def restart(self, task: int) -> None:
        service = await self._start(
            self.agent, HISTORY=self._history, RATE_LIMIT_REQUESTS="100000", AGENT_PAYLOAD="openai"
        )
        if len(self._tasks) < 2:
            self._tasks.append(service)
        else:
            stopped, self._tasks[task] = self._tasks[task], service
            await stopped.client.close()
            await stopped.runner.cleanup()

    async def post(self, task: int, path: str, body: Any, status: int = 200) -> str:
        async with self._tasks[task].client.post(path, json=body) as reply:
            text = await reply.text()
            assert reply.status == status, (path, body, text)
            return text

    async def read(self, task: int, path: str, body: Any) -> Any:
        async with self._tasks[task].client.post(path, json=body) as reply:
            assert reply.status in (200, 201), (path, body, await reply.text())
            return await reply.json()

    async def delete(self, task: int, path: str) -> None:
        async with self._tasks[task].client.delete(path) as reply:
            assert reply.status == 200, await reply.text()

    async def try_to(self, task: int, path: str, body: Any) -> tuple[int, Any]:
        async with self._tasks[task].client.post(path, json=body) as reply:
            return reply.status, await reply.json()


@dataclass
class Chat:
    """A client's conversation: what was said in it as texts, the user's first."""

    tasks: Tasks
    name: str
    texts: list[str]
    ids: list[str]
    """Of its messages, as far as the protocol has them."""

    def copy(self) -> Chat:
        return type(self)(self.tasks, self.name, list(self.texts), list(self.ids))

    @property
    def turns(self) -> int:
        return len(self.texts) // 2

    async def say(self, task: int, text: str) -> None:
        """The agent is called once, and knows what the client has."""
        heard = self.tasks.agent.heard
        calls = len(heard)
        self.texts.append(text)
        self.ids.append(f"{self.name}-{next(NUMBERS)}")
        answer, id = await self.ask(task)
        self.texts.append(answer)
        self.ids.append(id)
        assert len(heard) == calls + 1
        # what it is told is what the client has, white space and all
        assert [text.removesuffix("\n") for text in heard[-1]] == self.texts[:-1]
        assert answer == answer_to(heard[-1])

    async def edit(self, task: int, turn: int, text: str) -> None:
        """Another message in the place of an earlier one."""
        del self.texts[2 * turn :], self.ids[2 * turn :]
        await self.say(task, text)

    async def ask(self, task: int) -> tuple[str, str]:
        """Send the last message; the answer and its id."""
        raise NotImplementedError

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [
            self.message(role, text, id)
            for role, text, id in zip(
                itertools.cycle(("user", "assistant")), self.texts, self.ids, strict=False
            )
        ]

    def message(self, role: str, text: str, id: str) -> dict[str, Any]:
        return {"role": role, "content": text}


class OpenAI(Chat):
    async def ask(self, task: int) -> tuple[str, str]:
        body = {"model": "agent", "messages": self.messages}
        reply = await self.tasks.read(task, "/v1/chat/completions", body)
        return reply["choices"][0]["message"]["content"], ""

    async def end_wrong(self, task: int) -> None:
        body = {"model": "agent", "messages": self.messages}
        _ = await self.tasks.post(task, "/v1/chat/completions", body, 422)

    async def title(self, task: int) -> None:
        """A call that Open WebUI makes for itself."""
        asked = self.message("user", "### Task:\nMake a title", "")
        body = {"model": "agent", "messages": [*self.messages, asked]}
        _ = await self.tasks.read(task, "/v1/chat/completions", body)


class InstructedOpenAI(OpenAI):
    """One that begins with instructions, and keeps white space as it likes."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [{"role": "system", "content": "Be brief."}, *super().messages]

    def message(self, role: str, text: str, id: str) -> dict[str, Any]:
        if role == "user":
            return {"role": role, "content": text}
        return {"role": role, "content": [{"type": "text", "text": f"{text}\n"}]}


class Responses(Chat):
    async def ask(self, task: int) -> tuple[str, str]:
        body: dict[str, Any] = {"model": "agent", "input": self.texts[-1]}
        if self.turns:
            body["previous_response_id"] = self.ids[-2]
        return self.answered(await self.tasks.read(task, "/v1/responses", body))

    async def forget_last(self, task: int, chats: Sequence[Chat]) -> None:
        """All who have the last response go on from the one before."""
        gone = self.ids[-1]
        await self.tasks.delete(task, f"/v1/responses/{gone}")
        for chat in chats:
            if gone in chat.ids:
                del chat.texts[chat.ids.index(gone) - 1 :], chat.ids[chat.ids.index(gone) - 1 :]

    def answered(self, reply: Any) -> tuple[str, str]:
        return reply["output"][0]["content"][0]["text"], reply["id"]


class WholeResponses(Responses):
    """One that sends all that was said as its input."""

    async def ask(self, task: int) -> tuple[str, str]:
        body = {"model": "agent", "input": self.messages}
        return self.answered(await self.tasks.read(task, "/v1/responses", body))

    async def end_wrong(self, task: int) -> None:
        body = {"model": "agent", "input": self.messages}
        _ = await self.tasks.post(task, "/v1/responses", body, 422)


class AISDK(Chat):
    async def ask(self, task: int, **fields: Any) -> tuple[str, str]:
        parts = frames(await self.tasks.post(task, "/v1/ui/chat", self.body(**fields)))
        answer = "".join(part["delta"] for part in parts[:-1] if part["type"] == "text-delta")
        return answer, parts[0]["messageId"]

    def body(self, **fields: Any) -> dict[str, Any]:
        return {"id": self.name, "messages": self.messages, "trigger": "submit-message", **fields}

    def message(self, role: str, text: str, id: str) -> dict[str, Any]:
        return {"id": id, "role": role, "parts": [{"type": "text", "text": text}]}

    async def end_wrong(self, task: int) -> None:
        _ = await self.tasks.post(task, "/v1/ui/chat", self.body(), 422)

    async def edit(self, task: int, turn: int, text: str) -> None:
        """The page says which message is replaced, and keeps its id."""
        id = self.ids[2 * turn]
        del self.texts[2 * turn :], self.ids[2 * turn :]
        await self.replace(task, text, id, messageId=id)

    async def regenerate(self, task: int) -> None:
        """The last answer again; the page sends all up to its question."""
        text, id = self.texts[-2], self.ids[-2]
        del self.texts[-2:], self.ids[-2:]
        await self.replace(task, text, id, trigger="regenerate-message")

    async def replace(self, task: int, text: str, id: str, **fields: Any) -> None:
        calls = len(self.tasks.agent.heard)
        self.texts.append(text)
        self.ids.append(id)
        answer, answer_id = await self.ask(task, **fields)
        heard = self.tasks.agent.heard
        assert heard[calls:] == [self.texts]
        self.texts.append(answer)
        self.ids.append(answer_id)


class AGUI(Chat):
    async def ask(self, task: int) -> tuple[str, str]:
        parts = frames(await self.tasks.post(task, "/v1/agui", self.body))
        said = [part for part in parts if part["type"] == "TEXT_MESSAGE_CONTENT"]
        return "".join(part["delta"] for part in said), said[0]["messageId"]

    def message(self, role: str, text: str, id: str) -> dict[str, Any]:
        return {"id": id, "role": role, "content": text}

    @property
    def body(self) -> dict[str, Any]:
        return {"threadId": self.name, "runId": f"r{next(NUMBERS)}", "messages": self.messages}

    async def edit(self, task: int, turn: int, text: str) -> None:
        """But of the first: a new message alone is one that a client sends without the others."""
        await super().edit(task, max(turn, 1), text)

    async def end_wrong(self, task: int) -> None:
        _ = await self.tasks.post(task, "/v1/agui", self.body, 422)


class Native(Chat):
    """It sends the new message alone; an edit is a fork, and so is a copy."""

    async def ask(self, task: int) -> tuple[str, str]:
        body = {"message": self.texts[-1], "session_id": self.name}
        reply = await self.tasks.read(task, "/v1/chat", body)
        return reply["message"], reply["run_id"]

    async def edit(self, task: int, turn: int, text: str) -> None:
        await self.fork(task, turn)
        await super().edit(task, turn, text)

    async def pay(self, task: int, answered: Sequence[bool]) -> None:
        """Of answers that reach both tasks at once, and once more later, one reaches the agent."""
        await self.say(task, "Pay")
        heard = self.tasks.agent.heard
        calls = len(heard)
        question = f"i-{len(self.texts)}"
        bodies = [
            {
                "session_id": self.name,
                "resume": [{"input_id": question, "status": "resolved", "payload": yes}],
            }
            for yes in answered
        ]
        replies = await asyncio.gather(
            *(self.tasks.try_to(task ^ n % 2, "/v1/chat", body) for n, body in enumerate(bodies))
        )
        replies += [await self.tasks.try_to(n, "/v1/chat", body) for n, body in enumerate(bodies)]
        [run_id] = {reply["run_id"] for status, reply in replies if status == 200}
        refused = {reply["code"] for status, reply in replies if status != 200}
        assert refused <= {"not_waiting", "overloaded"}
        assert len(heard) == calls + 1
        assert heard[-1][:-1] == self.texts
        self.texts = [*heard[-1], answer_to(heard[-1])]
        self.ids += ["", run_id]

    async def fork(self, task: int, turns: int) -> None:
        name = f"native-{next(NUMBERS)}"
        if turns:
            body = {"run_id": self.ids[2 * turns - 1], "session_id": name}
            _ = await self.tasks.read(task, f"/v1/sessions/{self.name}/fork", body)
        self.name = name


KINDS = (OpenAI, InstructedOpenAI, Responses, WholeResponses, AISDK, AGUI, Native)
WORDS = ("Hi", "What is 1 + 1?", "Grüße 👩🏽\u200d🚀")

numbers = st.integers(0, 30)
tasks = st.integers(0, 1)
words = st.sampled_from(WORDS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(KINDS), tasks, words),
        *[st.tuples(st.just("say"), numbers, tasks, words)] * 4,
        st.tuples(st.just("edit"), numbers, tasks, words, numbers),
        st.tuples(st.just("copy"), numbers, tasks),
        st.tuples(st.just("other"), numbers, tasks, st.tuples(st.booleans(), st.booleans())),
        st.tuples(st.just("restart"), tasks),
    ),
    min_size=4,
    max_size=24,
)


@pytest.fixture
async def two(start: Start, tmp_path: Path) -> Tasks:
    tasks = Tasks(start, tmp_path)
    await tasks.restart(0)
    await tasks.restart(1)
    return tasks


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps)
@example(
    steps=[
        ("begin", InstructedOpenAI, 0, "Hi"),
        *[("say", 0, 1, "Hi")] * 2,
        ("edit", 0, 0, "Hi", 1),
        ("say", 0, 1, "Hi"),
    ]
)
async def test_the_agent__knows_what_each_client_sees(two: Tasks, steps: list[Any]) -> None:
    chats: list[Chat] = []
    for step in steps:
        match step:
            case ("begin", kind, task, text):
                chats.append(kind(two, f"chat-{next(NUMBERS)}", [], []))
                await chats[-1].say(task, text)
            case ("restart", task):
                await two.restart(task)
            case (what, number, task, *more) if chats:
                await act(chats, chats[number % len(chats)], what, task, more)


async def act(chats: list[Chat], chat: Chat, what: str, task: int, more: list[Any]) -> None:
    calls = len(chat.tasks.agent.heard)
    match what, chat:
        case "say", _:
            await chat.say(task, more[0])
        case "edit", _:
            await chat.edit(task, more[1] % max(1, chat.turns), more[0])
        case "copy", _:
            other = chat.copy()
            chats.append(other)
            if isinstance(other, Native):
                await other.fork(task, other.turns)
        case "other", Native():
            await chat.pay(task, more[0])
        case "other", AISDK():
            await chat.regenerate(task)
        case "other", InstructedOpenAI():
            await chat.title(task)
        case "other", OpenAI() | WholeResponses() | AGUI():
            await chat.end_wrong(task)
            assert len(chat.tasks.agent.heard) == calls
        case "other", Responses() if chat.turns:
            await chat.forget_last(task, chats)
