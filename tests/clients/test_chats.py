"""Three turns through each chat client, over two tasks: one session, one call of the agent a turn.

The tasks share what two tasks of a deployment share: runs in a Valkey, a history, and the agent,
which counts the turns that it has seen in a session and thinks, uses a tool, cites and draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bff.agents import Prompt
from bff.events import Done, Event, File, Source, Thinking, ToolEnd, ToolStart
from tests.clients.chat_client import ANSWERS, SAID, say
from tests.clients.conftest import ROOT, Play, Stage, Start
from tests.fakes.page import AgentByMessage
from tests.runs.valkey.valkey import running_valkey

SCRIPT = Path(__file__).with_name("chats.py")
ANSWERS_BY = {
    # sends its system message once, in the first turn's input, where the agent's memory has it
    "langchain-openai previous_response_id": [ANSWERS[0], "No instructions.", ANSWERS[2]]
}
PREFIX = "key-of-"
PYTHON = {
    "openai1": ["openai chat", "openai responses", "openai previous_response_id", "aisuite"],
    "openai2": [
        "openai chat",
        "openai responses",
        "openai previous_response_id",
        "llama-index OpenAILike",
    ],
    "openai3": [
        "openai chat",
        "openai responses",
        "openai previous_response_id",
        "langchain-openai chat",
        "langchain-openai responses",
        "langchain-openai previous_response_id",
        "pydantic-ai chat",
        "pydantic-ai responses",
        "openai-agents chat",
        "openai-agents responses",
        "llm",
        "litellm",
    ],
}
JAVASCRIPT = [
    *(
        f"{alias} {kind}"
        for alias in ("openai6", "openai7")
        for kind in ("chat", "responses", "previous_response_id")
    ),
    *(
        f"{alias} {kind}"
        for alias in ("ai5120", "ai6", "ai7")
        for kind in ("chat", "chat streamed", "responses", "responses streamed")
    ),
]


BEFORE: Sequence[Event] = (
    Thinking("Hm."),
    ToolStart("call-1", "look", {"for": "it"}),
    ToolEnd("call-1", "look", "found"),
    Source("https://example.com/a", "A"),
)
BEHIND: Sequence[Event] = (
    File("image/png", data="iVBORw0KGgo="),
    Source("https://example.com/b"),
    File("text/csv", url="https://example.com/c.csv"),
)


class Telling(AgentByMessage):
    """Has more in its answers than text, which clients send back as they will."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        yield BEFORE
        async with aclosing(super().stream(prompt)) as events:
            async for batch in events:
                yield (*BEHIND, *batch) if isinstance(batch[-1], Done) else batch


class Tasks:
    """Two tasks and their agent."""

    def __init__(self, one: Stage, other: Stage, agent: AgentByMessage) -> None:
        self.one = one
        self.other = other
        self.agent = agent

    async def sessions(self, name: str) -> list[str]:
        """The sessions that the client with this key has."""
        headers = {"X-API-Key": PREFIX + name.replace(" ", "-")}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(self.other.url + "/v1/sessions") as reply,
        ):
            return [session["title"] for session in (await reply.json())["sessions"]]

    async def hold(self, names: Sequence[str], shown: Mapping[str, Any]) -> None:
        """Each of these clients has had its three turns, in one session, as the page says."""
        assert list(shown) == list(names)
        wrong = {
            name: told
            for name, told in shown.items()
            if told.get("answers") != ANSWERS_BY.get(name, ANSWERS)
        }
        assert wrong == {}
        sessions = {name: await self.sessions(name) for name in names}
        assert sessions == {name: ["I am Jo"] for name in names}
        assert set(Counter(self.agent.messages).values()) == {len(names)}
        rows = [f"| {name} | {told['version']} | 3 of 3 | 1 |" for name, told in shown.items()]
        page = (ROOT / "docs/clients.md").read_text().splitlines()
        assert [row for row in rows if row not in page] == []


@pytest.fixture
async def tasks(stage: Start, tmp_path: Path) -> AsyncIterator[Tasks]:
    names = {*JAVASCRIPT, *(name for names in PYTHON.values() for name in names)}
    names |= {"open-webui", "librechat"}
    keys = sorted(name.replace(" ", "-") for name in names)
    agent = Telling(lambda _: None)
    with running_valkey(tmp_path) as valkey:
        shared = {
            "REDIS_URL": valkey.url,
            "API_KEYS": ",".join(f"{name}:{PREFIX}{name}" for name in keys),
        }
        yield Tasks(await stage(agent, **shared), await stage(agent, **shared), agent)


@pytest.mark.parametrize("environment", PYTHON)
async def test_python_clients__hold_a_chat_over_two_tasks(
    tasks: Tasks, play: Play, environment: str
) -> None:
    directory = ROOT / ".envs" / environment
    if not (directory / ".ready").exists():
        pytest.skip(f"the clients of {environment} are not installed: make test installs them")

    shown = await play(
        tasks.one,
        directory / "bin/python",
        SCRIPT,
        OTHER_URL=tasks.other.url,
        KEY_PREFIX=PREFIX,
    )

    await tasks.hold(PYTHON[environment], shown)


@pytest.mark.npm
async def test_javascript_clients__hold_a_chat_over_two_tasks(
    tasks: Tasks, play: Play, node: Path
) -> None:
    shown = await play(
        tasks.one,
        node,
        "three_turns.mjs",
        OTHER_URL=tasks.other.url,
        KEY_PREFIX=PREFIX,
    )

    await tasks.hold(JAVASCRIPT, shown)


async def turn(stage: Stage, name: str, headers: Mapping[str, str], **body: Any) -> str:
    """What a client that streams chat completions shows of an answer."""
    headers = {"Authorization": f"Bearer {PREFIX}{name}", **headers}
    async with aiohttp.ClientSession(headers=headers) as client:
        return await say(client, f"{stage.url}/v1", {"model": "agent", **body})


async def test_open_webui__holds_a_chat_and_asks_for_titles_beside_it(tasks: Tasks) -> None:
    """As Open WebUI sends with ENABLE_FORWARD_USER_INFO_HEADERS, its title and tag calls too."""
    chat = {
        "X-OpenWebUI-Chat-Id": "b6b1b1de-3c1f-4b5e-9d3a-6f1f8a4f6d11",
        "X-OpenWebUI-User-Id": "9e2a6a0e-52bb-4c43-a2b4-3f4ad5e7a001",
        "X-OpenWebUI-User-Name": "Jo%20Smith",
        "X-OpenWebUI-User-Email": "jo@example.com",
        "X-OpenWebUI-User-Role": "user",
    }
    said: list[dict[str, str]] = [{"role": "system", "content": "Be brief."}]
    answers, titles = [], []
    for number, text in enumerate(SAID):
        task, other = (tasks.one, tasks.other)[:: 1 if number % 2 else -1]
        said.append({"role": "user", "content": text})
        ids = {"X-OpenWebUI-Message-Id": f"m{number}"}
        answers.append(await turn(task, "open-webui", chat | ids, messages=said))
        said.append({"role": "assistant", "content": answers[-1]})
        task_call = f"### Task:\nGenerate a concise title.\n<chat_history>\n{said}\n</chat_history>"
        messages = [{"role": "user", "content": task_call}]
        titles.append(await turn(other, "open-webui", chat | ids, messages=messages))

    assert answers == ANSWERS
    assert all(titles)
    assert await tasks.sessions("open-webui") == ["I am Jo"]


async def test_librechat__holds_two_chats_of_one_person_apart(tasks: Tasks) -> None:
    """As LibreChat's custom endpoint sends: the person's id in the body, the chat's in a header."""
    answers: dict[str, list[str]] = {"one": [], "two": []}
    said: dict[str, list[dict[str, str]]] = {
        chat: [{"role": "system", "content": "Be brief."}] for chat in answers
    }
    for number, text in enumerate(SAID):
        for chat, task in (("one", tasks.one), ("two", tasks.other)):
            headers = {"X-Conversation-ID": f"6f1c2d3e-{chat}"}
            said[chat].append({"role": "user", "content": text})
            answer = await turn(task, "librechat", headers, messages=said[chat], user="65f0c0ffee")
            answers[chat].append(answer)
            said[chat].append({"role": "assistant", "content": answer})
            if number == 0:
                title = [{"role": "system", "content": "Write a title for this conversation."}]
                assert await turn(task, "librechat", headers, messages=title, user="65f0c0ffee")

    assert answers == {"one": ANSWERS, "two": ANSWERS}
    assert await tasks.sessions("librechat") == ["I am Jo", "I am Jo"]
