"""Every client's files, at a real LangGraph agent: what it says it was given, byte for byte.

`make files` prints it as a table; docs/files.md says the same in words. The agent
(tests/agents/zoo/langgraph_seeing.py) is served as AgentCore serves it, and says of each block what
LangChain reads in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.agents.environments import EXAMPLE, python_of, requirements_of
from tests.agents.serving import serving
from tests.clients.conftest import KEY, ROOT, Play, Stage, Start

AGENT = ROOT / "tests/agents/zoo/langgraph_seeing.py"
PYTHON = Path(__file__).with_name("openai_files.py")
FILES = {
    "PNG": ("image", "image/png", "a.png", b"\x89PNG\r\n\x1a\n" + zlib.compress(bytes(5000))),
    "JPEG": ("image", "image/jpeg", "a.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(999)),
    "WAV": ("audio", "audio/wav", "a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(500)),
    "MP4": ("video", "video/mp4", "a.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(800)),
    "PDF": ("document", "application/pdf", "q3 ü.pdf", b"%PDF-1.7\n" + b"page " * 99),
    "CSV": ("document", "text/csv", "a.csv", b"a,b\n1,2\n" * 50),
}
BLOCKS = {"image": "image", "audio": "audio", "video": "video", "document": "file"}

PYTHONS = ("openai1", "openai2", "openai3")
CLIENTS = (
    *("openai6", "openai7", "ai500", "ai560", "ai5120", "ai6", "ai7"),
    *("agui42", "agui45", "agui59", "@ag-ui/client"),
)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The agent's address."""
    try:
        python = python_of(EXAMPLE)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"cannot install {requirements_of(EXAMPLE).relative_to(ROOT)}: {error}")
    with serving([str(python), str(AGENT)], tmp_path_factory.mktemp("seeing") / "log") as url:
        yield url


Tell = Callable[[str, Mapping[str, Sequence[str]]], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print a client's rows of the table: `yes` where the agent saw the very bytes."""

    def rows(client: str, found: Mapping[str, Sequence[str]]) -> None:
        with capsys.disabled():
            for way, said in found.items():
                pairs = zip(FILES, said, strict=True)
                cells = ["yes" if text == seen(name) else text for name, text in pairs]
                print(f"\n| {client:17} | {way:9} | {' | '.join(cells)} |", end="")

    return rows


@pytest.fixture(scope="module", autouse=True)
def head(request: pytest.FixtureRequest) -> None:
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n| {'client':17} | {'way':9} | {' | '.join(FILES)} |", end="")


def seen(name: str) -> str:
    kind, mime_type, _, data = FILES[name]
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"I see {BLOCKS[kind]} {mime_type} {len(data)} {digest}."


async def shown(
    play: Play, stage: Stage, command: list[str | Path], names: list[str]
) -> dict[str, list[str]]:
    sent = [
        (kind, mime_type, filename, base64.b64encode(data).decode())
        for kind, mime_type, filename, data in (FILES[name] for name in names)
    ]
    found: dict[str, list[str]] = await play(stage, *command, SENT=json.dumps(sent))
    return found


@pytest.mark.npm
@pytest.mark.parametrize("alias", CLIENTS)
async def test_a_client_from_npm__shows_the_agent_every_file(
    stage: Start, play: Play, node: Path, seeing: str, alias: str, tell: Tell
) -> None:
    service = await stage(AGENT_URL=seeing, AGENT_PAYLOAD="langgraph")

    found = await shown(play, service, [node, "files.mjs", alias], list(FILES))

    tell(alias, found)
    assert found == {way: [seen(name) for name in FILES] for way in found}
    assert set(found) == {"chat", *(("responses", "uploaded") if "openai" in alias else ())}


@pytest.mark.parametrize("name", PYTHONS)
async def test_openai_for_python__shows_the_agent_every_file(
    stage: Start, play: Play, seeing: str, name: str, tell: Tell
) -> None:
    environment = ROOT / f".envs/{name}"
    if not (environment / ".ready").exists():
        pytest.skip(f"{name} is not installed: make test makes it")
    service = await stage(AGENT_URL=seeing, AGENT_PAYLOAD="langgraph")

    found = await shown(play, service, [environment / "bin/python", PYTHON], list(FILES))

    tell(f"{name}, Python", found)
    ways = ("chat", "responses", "uploaded")
    assert found == {way: [seen(name) for name in FILES] for way in ways}


async def test_our_own_protocol__shows_the_agent_every_file(
    stage: Start, seeing: str, tell: Tell
) -> None:
    service = await stage(AGENT_URL=seeing, AGENT_PAYLOAD="langgraph")

    found: dict[str, list[str]] = {"chat": [], "uploaded": [], "socket": []}
    async with (
        aiohttp.ClientSession(service.url, headers={"X-API-Key": KEY}) as client,
        client.ws_connect("/v1/ws/chat") as socket,
    ):

        async def chat(part: dict[str, Any]) -> str:
            async with client.post("/v1/chat", json={"message": [part]}) as reply:
                return str((await reply.json()).get("message"))

        async def said(part: dict[str, Any]) -> str:
            await socket.send_json({"message": [part]})
            text = ""
            while (frame := await socket.receive_json(timeout=30))["event"] not in (
                "done",
                "error",
            ):
                text += frame["data"].get("content", "")
            return text

        for kind, mime_type, filename, data in FILES.values():
            source = {"type": "data", "value": base64.b64encode(data).decode()}
            part = {"type": kind, "source": {**source, "mimeType": mime_type}, "filename": filename}
            form = aiohttp.FormData()
            form.add_field("file", data, filename=filename, content_type=mime_type)
            async with client.post("/v1/files", data=form) as reply:
                stored = {"type": "file", "value": (await reply.json())["id"]}
            found["chat"].append(await chat(part))
            found["uploaded"].append(await chat({"type": kind, "source": stored}))
            found["socket"].append(await said(part))

    tell("plain HTTP", found)
    assert found == {way: [seen(name) for name in FILES] for way in found}
