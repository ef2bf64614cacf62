"""CopilotKit as examples/chat_clients has it: its runtime, and its page in a real Chromium.

It is large, so `make test` does not install it: make tests/clients/copilotkit/node_modules/.ready
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bff.events import Custom, Done, Message
from tests.clients.conftest import KEY, ROOT, Start
from tests.fakes.browser import open_browser
from tests.fakes.page import AgentByMessage
from tests.fakes.scripted import Step

EXAMPLES = ROOT / "examples/chat_clients"
COPILOTKIT = ROOT / "tests/clients/copilotkit"
LISTENER = "createCopilotNodeListener({ runtime, basePath: '/api/copilotkit' })"
LISTEN = f"createServer({LISTENER}).listen(4000)"

pytestmark = [
    pytest.mark.npm,
    pytest.mark.browser,
    pytest.mark.skipif(
        not (COPILOTKIT / "node_modules/.ready").exists(),
        reason="CopilotKit is not installed: make tests/clients/copilotkit/node_modules/.ready",
    ),
]


@asynccontextmanager
async def site(folder: Path, service: str) -> AsyncIterator[str]:
    """The example's page and runtime, as their reader fills them in; the address of the page."""
    runtime = (EXAMPLES / "copilotkit_runtime.mjs").read_text()
    assert LISTEN in runtime
    runtime = runtime.replace("http://127.0.0.1:8000", service).replace(
        LISTEN, f"export const listener = {LISTENER}"
    )
    (folder / "copilotkit_runtime.mjs").write_text(runtime)
    shutil.copy(EXAMPLES / "copilotkit_page.tsx", folder)
    for name in ("main.tsx", "serve.mjs", "package.json"):
        shutil.copy(COPILOTKIT / name, folder)
    (folder / "node_modules").symlink_to(COPILOTKIT / "node_modules")
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        *(node, "serve.mjs", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "COPILOTKIT_TELEMETRY_DISABLED": "true"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(200):
            while not (line := await process.stdout.readline()).startswith(b"ready "):
                assert line
        yield f"http://127.0.0.1:{int(line.split()[1])}/?token={KEY}&thread=thread-1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox").fill(text)
    await page.keyboard.press("Enter")


STATE: Sequence[Step] = [
    [Custom({"step": 1}, "STATE_SNAPSHOT")],
    [Custom([{"op": "replace", "path": "/step", "value": 2}], "STATE_DELTA")],
    [Message("Done."), Done()],
]


async def test_copilotkit__talks_shows_state_runs_its_tool_asks_and_comes_back(
    stage: Start, tmp_path: Path
) -> None:
    agent = AgentByMessage(lambda message: STATE if message == "State" else None)
    service = await stage(agent)
    async with site(tmp_path, service.url) as address, open_browser() as browser:
        page = await browser.new_page()
        await page.goto(address)

        await say(page, "I am Jo")
        await expect(page.get_by_text("You said: I am Jo")).to_be_visible()
        await say(page, "What is 15 * 23?")
        await expect(page.get_by_text("The result of 15 * 23 = 345.")).to_be_visible()
        await say(page, "/turns")
        await expect(page.get_by_text("I have seen 3 turns of this conversation.")).to_be_visible()

        await say(page, "State")
        await expect(page.locator("output")).to_have_text('{"step":2}')

        await say(page, "/tool locate {}")
        await expect(page.get_by_text('You answered: {"city":"Rome"}')).to_be_visible()

        await say(page, "/approve 7")
        await expect(page.get_by_role("button", name="Approve")).to_be_visible()
        await page.reload()
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_text("Paid 7 to Jo.")).to_be_visible()

        await page.reload()
        await expect(page.get_by_text("I am Jo", exact=True)).to_be_visible()
        await expect(page.get_by_text("Paid 7 to Jo.")).to_be_visible()
        await say(page, "/turns")
        await expect(page.get_by_text("I have seen 6 turns of this conversation.")).to_be_visible()
        await page.close()
    assert agent.messages.count("/approve 7") == 1
    assert set(service.statuses("/v1/agui/connect")) == {200}
