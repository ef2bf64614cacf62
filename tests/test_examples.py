"""Every example, as its reader runs it, against a service on a real socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from bff.events import Done, Message, Thinking, ToolEnd, ToolStart
from bff.identity import sign_token
from tests.fakes.browser import open_browser
from tests.fakes.page import KEY, AgentByMessage, Served, local_settings, serve_page
from tests.fakes.scripted import Step

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
CLIENTS = ROOT / "tests/clients/node/node_modules"
REACT = EXAMPLES / "ai_sdk_react"
ANSWER = "The result of 15 * 23 = 345."

browser = pytest.mark.browser


class Running:
    """An example in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.process = process
        self.output = ""
        self._stdout = process.stdout

    async def says(self, text: str) -> None:
        """Return once it has printed this."""
        async with asyncio.timeout(30):
            while text not in self.output:
                piece = await self._stdout.read(4096)
                assert piece, self.output
                self.output += piece.decode()

    async def end(self) -> str:
        """All it printed, once it has ended well."""
        async with asyncio.timeout(30):
            self.output += (await self._stdout.read()).decode()
            assert await self.process.wait() == 0, self.output
        return self.output


@asynccontextmanager
async def running(
    served: Served, *command: str | Path, folder: Path = ROOT
) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        start_new_session=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "BFF_URL": served.url.rstrip("/"),
            "BFF_KEY": KEY,
        },
    )
    try:
        yield Running(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        await process.communicate()


async def output(served: Served, *command: str | Path, folder: Path = ROOT) -> str:
    async with running(served, *command, folder=folder) as example:
        return await example.end()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve_page(local_settings(tmp_path), AgentByMessage(lambda _: None)) as served:
        yield served


def halves(more: asyncio.Event) -> AgentByMessage:
    """An agent that answers "Halves" in two, the second when told to."""
    steps: Sequence[Step] = [[Message("One ")], more, [Message("two.")], [Done()]]
    return AgentByMessage(lambda message: steps if message == "Halves" else None)


def node() -> str:
    found = shutil.which("node")
    if found is None or not (CLIENTS / ".ready").exists():
        pytest.skip("the JavaScript clients are not installed: make test installs them, with npm")
    return found


def with_packages(tmp_path: Path, script: str, **packages: str) -> Path:
    """The example in a folder where `npm install` has put its packages."""
    for name, installed_as in packages.items():
        place = tmp_path / "node_modules" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(CLIENTS / installed_as)
    return Path(shutil.copy(EXAMPLES / script, tmp_path))


async def test_curl__shows_an_answer_a_stream_and_what_came_behind_an_event(served: Served) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: apt-get install curl")

    shown = await output(served, "sh", EXAMPLES / "curl.sh", 'What is "15 * 23?')

    whole, stream, rest, sessions = shown.split("\n# ")
    assert r'"message":"You said: What is \"15 * 23?"' in whole
    assert stream.count("\nevent: ") == rest.count("\nevent: ") + 3
    assert "\nid: 3\n" not in rest
    assert "\nevent: done\n" in rest
    assert r'"title":"What is \"15 * 23?"' in sessions


async def test_httpx__streams_text_and_tools(served: Served) -> None:
    shown = await output(served, sys.executable, EXAMPLES / "python_httpx.py")

    assert shown == f"[calculator {{'expression': '15 * 23'}} -> 345]\n{ANSWER}\n"


async def test_httpx__goes_on_where_a_broken_connection_ended(tmp_path: Path) -> None:
    more = asyncio.Event()
    agent = halves(more)
    async with (
        serve_page(local_settings(tmp_path), agent) as served,
        running(served, sys.executable, EXAMPLES / "python_httpx.py", "Halves") as example,
    ):
        await example.says("One ")
        served.cut()
        more.set()

        assert await example.end() == "One two.\n"
    assert agent.messages == ["Halves"]


@pytest.mark.parametrize("environment", ["openai1", "openai2", "openai3"])
async def test_openai_in_python__streams_text_and_usage(served: Served, environment: str) -> None:
    python = ROOT / ".envs" / environment / "bin/python"
    if not python.exists():
        pytest.skip(f".envs/{environment} is not there: make test makes it")

    shown = await output(served, python, EXAMPLES / "openai_python.py")

    assert shown == f"{ANSWER}\n13 tokens\n"


@pytest.mark.npm
@pytest.mark.parametrize("version", ["openai6", "openai7"])
async def test_openai_in_node__streams_text_and_usage(
    served: Served, tmp_path: Path, version: str
) -> None:
    program = node()
    script = with_packages(tmp_path, "openai_node.mjs", openai=version)

    assert await output(served, program, script) == f"{ANSWER}\n13 tokens\n"


@pytest.mark.npm
async def test_agui__shows_text_and_tools(served: Served, tmp_path: Path) -> None:
    program = node()
    script = with_packages(tmp_path, "agui.mjs", **{"@ag-ui": "@ag-ui"})

    shown = await output(served, program, script)

    assert shown == f"calculator {{ expression: '15 * 23' }}\n-> 345\n{ANSWER}\n"


@pytest.mark.npm
async def test_eventsource__comes_back_behind_the_last_event(tmp_path: Path) -> None:
    program = node()
    script = with_packages(tmp_path, "eventsource_resume.mjs", eventsource="eventsource")
    more = asyncio.Event()
    agent = halves(more)
    async with (
        serve_page(local_settings(tmp_path), agent) as served,
        running(served, program, script, "Halves") as example,
    ):
        await example.says("One ")
        served.cut()
        more.set()

        assert await example.end() == "One two.\ncomplete\n"
    assert agent.messages == ["Halves"]


@browser
async def test_websocket_in_a_browser__talks_resumes_and_stops(tmp_path: Path) -> None:
    more = asyncio.Event()
    agent = halves(more)
    async with serve_folder(EXAMPLES) as origin, open_browser() as chromium:
        settings = local_settings(tmp_path, cors_origins=(origin,), jwt_secrets=("s" * 32,))
        async with serve_page(settings, agent) as served:
            page = await chromium.new_page()
            await page.goto(f"{origin}/websocket_browser.html")
            await page.get_by_label("Service").fill(served.url.rstrip("/").replace("http", "ws"))
            token = sign_token(settings, "alice", ttl_seconds=60)
            await page.get_by_label("Token").fill(token)
            await page.get_by_role("button", name="Connect").click()
            await expect(page.locator("#state")).to_have_text("connected")
            log = page.locator("#log")

            await page.get_by_role("button", name="Send").click()
            await expect(log).to_have_text(
                f'[calculator {{"expression":"15 * 23"}} -> 345]\n{ANSWER}\n(complete)\n'
            )

            await say(page, "Halves")
            await expect(log).to_contain_text("One")
            served.cut()
            await expect(page.locator("#state")).to_contain_text("closed")
            more.set()
            await expect(log).to_contain_text("(complete)\nOne two.\n(complete)")

            await say(page, "/slow 600")
            await expect(log).to_contain_text("word1")
            await page.get_by_role("button", name="Stop").click()
            await expect(log).to_contain_text("(cancelled)")
            await page.close()
    assert agent.messages == ["What is 15 * 23?", "Halves", "/slow 600"]


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Message").fill(text)
    await page.get_by_role("button", name="Send").click()


@asynccontextmanager
async def serve_folder(folder: Path) -> AsyncIterator[str]:
    """An origin of its own for a page, as `python -m http.server` is one."""
    app = web.Application()
    app.add_routes([web.static("/", folder)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.npm
@browser
async def test_ai_sdk_in_react__shows_everything_resumes_and_stops(tmp_path: Path) -> None:
    program = shutil.which("npm")
    if program is None or not (REACT / "node_modules/.ready").exists():
        pytest.skip("the React example is not installed: make test installs it, with npm")
    more = asyncio.Event()
    call = [ToolStart("1", "find", {"q": "it"})]
    steps: Sequence[Step] = [
        *([Thinking("Hm.")], call, [ToolEnd("1", "find", "found")]),
        *([Message("One ")], more, [Message("two.")], [Done()]),
    ]
    agent = AgentByMessage(lambda message: steps if message == "Halves" else None)
    dist, port = tmp_path / "dist", free_port()
    async with serve_page(local_settings(tmp_path), agent) as served:
        await output(served, program, "run", "build", "--", "--outDir", dist, folder=REACT)
        preview = ("run", "preview", "--", "--outDir", dist, "--host", "127.0.0.1")
        async with (
            running(served, program, *preview, "--port", str(port), folder=REACT) as site,
            open_browser() as chromium,
        ):
            await site.says(f":{port}")
            page = await chromium.new_page()
            await page.goto(f"http://127.0.0.1:{port}/")
            answer = page.locator("[data-role=assistant]").last

            await say(page, "Halves")
            await expect(answer.locator("p")).to_have_text("One")
            await expect(answer.locator("details")).to_contain_text("Hm.")
            await expect(answer.locator("pre")).to_have_text('find {"q":"it"} -> found')

            await page.reload()
            await expect(answer.locator("p")).to_have_text("One")
            more.set()
            await expect(answer.locator("p")).to_have_text("One two.")
            await expect(page.locator("[data-role=assistant]")).to_have_count(1)

            await say(page, "/slow 600")
            await expect(answer).to_contain_text("word1")
            await page.get_by_role("button", name="Stop").click()
            await expect(page.get_by_role("button", name="Send")).to_be_visible()

            await say(page, "/fail")
            await expect(page.get_by_role("alert")).to_contain_text("agent failed")
            await page.close()
    assert agent.messages == ["Halves", "/slow 600", "/fail"]


def free_port() -> int:
    """Vite prints the port it was told, so one is chosen for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_index__names_every_example() -> None:
    named = (EXAMPLES / "README.md").read_text()

    missing = [
        path.name
        for path in EXAMPLES.iterdir()
        if path.suffix != ".md" and f"]({path.name})" not in named and path.suffix != ".js"
    ]
    assert missing == []
