"""The configurations of examples/chat_clients, each by what its client does with it.

Clients that are programs run with it; those that are applications or editors are imitated: what
is sent is what they send (docs in the files), the address, key and headers are the file's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from bff.agents.embedded import EmbeddedAgent
from tests.clients.chat_client import ANSWERS, SAID, say
from tests.clients.conftest import KEY, ROOT, Play, Stage, Start
from tests.clients.running import output_of

EXAMPLES = ROOT / "examples/chat_clients"
ADDRESS = "http://127.0.0.1:8000"


def configured(stage: Stage, name: str) -> str:
    """The file as its reader fills it in."""
    text = (EXAMPLES / name).read_text()
    assert ADDRESS in text
    return text.replace(ADDRESS, stage.url)


async def python(stage: Stage, *command: str | Path, **environ: str) -> str:
    """What a program of `.envs/openai3` prints."""
    environment = ROOT / ".envs/openai3"
    if not (environment / ".ready").exists():
        pytest.skip("the clients of openai3 are not installed: make test installs them")
    environ = {"PATH": os.environ["PATH"], "BFF_URL": stage.url, "BFF_KEY": KEY, **environ}
    return await output_of(environment / "bin/python", *command, env=environ)


@pytest.mark.parametrize(
    "script", ["langchain_chat.py", "pydantic_ai_chat.py", "openai_agents_chat.py"]
)
async def test_a_library__holds_a_chat(stage: Start, script: str) -> None:
    service = await stage(EmbeddedAgent())

    shown = await python(service, EXAMPLES / script, *SAID)

    assert shown.splitlines() == ANSWERS


async def test_openai_agents__runs_its_tool_when_the_agent_calls_it(stage: Start) -> None:
    service = await stage(EmbeddedAgent())

    shown = await python(service, EXAMPLES / "openai_agents_chat.py", "/tool locate {}", "/turns")

    assert shown.splitlines() == [
        "You answered: Rome",
        "I have seen 2 turns of this conversation.",
    ]


async def test_llm__goes_on_with_its_last_chat(stage: Start, tmp_path: Path) -> None:
    service = await stage(EmbeddedAgent())
    configuration = configured(service, "extra-openai-models.yaml")
    (tmp_path / "extra-openai-models.yaml").write_text(configuration)
    llm = ["-m", "llm"]

    home = {"LLM_USER_PATH": str(tmp_path), "HOME": str(tmp_path)}
    await python(service, *llm, "keys", "set", "bff", "--value", KEY, **home)
    asked = ("-m", "agent", "-s", "Be brief.", "I am Jo")
    shown = [
        await python(service, *llm, *asked, **home),
        await python(service, *llm, "-c", "/system", **home),
        await python(service, *llm, "-c", "/turns", **home),
    ]

    assert [text.strip() for text in shown] == ANSWERS


async def chat(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> list[str]:
    """A chat of three turns over a stream of chat completions, all of it sent each time."""
    said: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    answers: list[str] = []
    async with aiohttp.ClientSession(headers=headers) as client:
        for text in SAID:
            said.append({"role": "user", "content": text})
            answers.append(await say(client, url, {**body, "messages": said}))
            said.append({"role": "assistant", "content": answers[-1]})
    return answers


async def sessions(stage: Stage) -> Sequence[str]:
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": KEY}) as client,
        client.get(f"{stage.url}/v1/sessions") as reply,
    ):
        return [session["session_id"] for session in (await reply.json())["sessions"]]


async def test_open_webui__finds_its_models_and_holds_a_chat(stage: Start) -> None:
    service = await stage(EmbeddedAgent())
    lines = configured(service, "open_webui.env").splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    chat_id = "b6b1b1de-3c1f-4b5e-9d3a-6f1f8a4f6d11"
    headers = {"Authorization": f"Bearer {given['OPENAI_API_KEY'].replace('YOUR-KEY', KEY)}"}
    if given["ENABLE_FORWARD_USER_INFO_HEADERS"] == "true":
        headers |= {
            "X-OpenWebUI-User-Name": "Jo%20Smith",
            "X-OpenWebUI-User-Id": "9e2a6a0e-52bb-4c43-a2b4-3f4ad5e7a001",
            "X-OpenWebUI-User-Email": "jo@example.com",
            "X-OpenWebUI-User-Role": "user",
            "X-OpenWebUI-Chat-Id": chat_id,
        }
    url = given["OPENAI_API_BASE_URL"]
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"{url}/models") as reply,
    ):
        [model] = (await reply.json())["data"]

    assert await chat(url, headers, {"model": model["id"]}) == ANSWERS
    assert await sessions(service) == [chat_id]


async def test_librechat__holds_each_chat_in_its_session(stage: Start) -> None:
    service = await stage(EmbeddedAgent())
    given = yaml.safe_load(configured(service, "librechat.yaml"))["endpoints"]["custom"][0]
    headers = {"Authorization": f"Bearer {given['apiKey'].replace('${BFF_KEY}', KEY)}"}
    body = {"model": given["models"]["default"][0], "user": "65f0c0ffee"}
    for id in ("one", "two"):
        filled = {
            name: value.replace("{{LIBRECHAT_BODY_CONVERSATIONID}}", id)
            for name, value in given["headers"].items()
        }
        assert await chat(given["baseURL"], headers | filled, body) == ANSWERS

    assert sorted(await sessions(service)) == ["one", "two"]


async def test_continue__holds_a_chat(stage: Start) -> None:
    """It sends content in parts, and its key in two headers."""
    service = await stage(EmbeddedAgent())
    [given] = yaml.safe_load(configured(service, "continue.yaml"))["models"]
    key = re.sub(r"\$\{\{ secrets\.BFF_KEY \}\}", KEY, given["apiKey"])
    headers = {"Authorization": f"Bearer {key}", "api-key": key}
    body = {"model": given["model"], "max_tokens": 4096}

    assert given["provider"] == "openai"
    assert await chat(given["apiBase"], headers, body) == ANSWERS
    assert len(await sessions(service)) == 1


@pytest.mark.npm
async def test_assistant_ui__holds_a_chat_and_runs_its_tool(
    stage: Start, play: Play, node: Path
) -> None:
    service = await stage(EmbeddedAgent())

    shown = await play(service, node, "assistant_ui.mjs")

    assert shown["answers"] == [
        "You said: I am Jo",
        "I was instructed: Be brief.",
        "Fields: options, tools (1), system.",
        "I have seen 4 turns of this conversation.",
        "You answered: Rome",
    ]
    assert await sessions(service) == ["assistant-ui"]
    used = (EXAMPLES / "assistant_ui.tsx").read_text()
    assert "AssistantChatTransport({\n  api: 'http://127.0.0.1:8000/v1/ui/chat'" in used
