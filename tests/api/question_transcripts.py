"""docs/questions.md's transcripts: one question, asked and answered in every protocol.

`python -m tests.api.question_transcripts` writes them into the page again after a format was
changed, and the agents of examples/asking_agents beside them. A real service tells them; what
differs from run to run is shortened.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bff.agents import Prompt
from bff.app import create_app
from bff.connections import Runner
from bff.events import Done, Event, Input, Message, ToolEnd, ToolStart, ToolUse
from bff.settings import Settings
from tests.fakes.scripted import ScriptedAgent

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/questions.md"
AGENTS = ("langgraph", "strands")
JSON = Any

CALL = ToolUse("call-1", "pay", {"amount": 10, "to": "Jo"})
QUESTION = Input(
    "approve-1", "approval", "May I pay?", CALL, value={"tool": CALL.name, "args": CALL.args}
)


class Payer(ScriptedAgent):
    """Asks before it pays."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        if prompt.questions:
            yield [ToolEnd(CALL.id, CALL.name, "paid"), Message("Paid 10 to Jo.")]
        else:
            yield [Message("I will pay."), ToolStart(CALL.id, CALL.name, CALL.args), QUESTION]
        yield [Done()]


@dataclass
class Pen:
    """Sends requests, and writes them down with their answers."""

    client: aiohttp.ClientSession
    lines: list[str] = field(default_factory=list)

    async def post(self, path: str, body: JSON, *, only: Sequence[str] = ()) -> str:
        """Send and write down; of an answer with many fields, `only` some."""
        async with self.client.post(path, json=body) as reply:
            text = await reply.text()
            self.lines += [f"POST {path}", json.dumps(body), "", str(reply.status)]
        if only:
            said = json.loads(text)
            shown = json.dumps({name: said[name] for name in only})
            self.lines += [f"{shown[:-1]}, …}}", "", ""]
            return text
        kept = [line for line in text.strip().splitlines() if not line.startswith((":", "retry"))]
        self.lines += [*_without_blank_ends(kept), "", ""]
        return text

    def written(self) -> str:
        text = "\n".join(self.lines).rstrip()
        text = re.sub(r"(run_)[0-9a-f]{8,}", r"\1…", text)
        text = re.sub(r"\b(resp|msg|fc|mcpr|mcp)_[\w-]{16,}", r"\1_…", text)
        text = re.sub(r"(chatcmpl-)[\w-]{8,}", r"\1…", text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "…", text)
        text = re.sub(r'("(?:created|timestamp)": ?)[0-9.]+', r"\g<1>0", text)
        return re.sub(r'("request_id": ?)"[^"]+"', r'\1"…"', text)


def _without_blank_ends(lines: list[str]) -> list[str]:
    return "\n".join(lines).strip().splitlines()


def frames(text: str) -> list[JSON]:
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(data) for data in found if data != "[DONE]"]


async def native(pen: Pen) -> None:
    await pen.post("/v1/chat", {"message": "Pay Jo", "session_id": "native"})
    resume = [{"input_id": QUESTION.id, "status": "resolved"}]
    await pen.post("/v1/chat/stream", {"session_id": "native", "resume": resume})


async def websocket(pen: Pen) -> None:
    resume = [{"input_id": QUESTION.id, "status": "resolved", "payload": True}]
    async with pen.client.ws_connect("/v1/ws/chat") as socket:
        for said in (
            {"type": "message", "message": "Pay Jo", "session_id": "socket"},
            {"type": "message", "session_id": "socket", "resume": resume},
        ):
            await socket.send_json(said)
            pen.lines.append(f">> {json.dumps(said)}")
            while True:
                frame = await socket.receive_str()
                pen.lines.append(f"<< {frame}")
                if json.loads(frame)["event"] == "done":
                    break


async def ai_sdk(pen: Pen) -> None:
    user = {"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "Pay Jo"}]}
    asked = frames(await pen.post("/v1/ui/chat", {"id": "ui", "messages": [user]}))
    [message_id] = [part["messageId"] for part in asked if part["type"] == "start"]
    part = {
        "type": "dynamic-tool",
        "toolName": CALL.name,
        "toolCallId": CALL.id,
        "input": CALL.args,
        "state": "approval-responded",
        "approval": {"id": QUESTION.id, "approved": True},
    }
    assistant = {"id": message_id, "role": "assistant", "parts": [part]}
    await pen.post("/v1/ui/chat", {"id": "ui", "messages": [user, assistant]})


async def agui(pen: Pen) -> None:
    user = {"id": "m-1", "role": "user", "content": "Pay Jo"}
    body = {"threadId": "agui", "runId": "r-1", "protocolVersion": "1.0", "messages": [user]}
    await pen.post("/v1/agui", body)
    resume = [{"interruptId": QUESTION.id, "status": "resolved", "payload": {"approved": True}}]
    body = {**body, "runId": "r-2", "messages": [], "resume": resume}
    await pen.post("/v1/agui", body)


async def completions(pen: Pen) -> None:
    messages = [{"role": "user", "content": "Pay Jo"}]
    said = json.loads(
        await pen.post("/v1/chat/completions", {"model": "agent", "messages": messages})
    )
    content = said["choices"][0]["message"]["content"]
    messages += [{"role": "assistant", "content": content}, {"role": "user", "content": "yes"}]
    await pen.post("/v1/chat/completions", {"model": "agent", "messages": messages})


SHOWN = ("id", "status", "output")


async def responses(pen: Pen) -> None:
    said = json.loads(
        await pen.post("/v1/responses", {"model": "agent", "input": "Pay Jo"}, only=SHOWN)
    )
    [asked] = [item for item in said["output"] if item["type"] == "mcp_approval_request"]
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": asked["id"],
        "approve": True,
    }
    body = {"model": "agent", "previous_response_id": said["id"], "input": [answer]}
    await pen.post("/v1/responses", body, only=SHOWN)


TOLD = {
    "Native": native,
    "WebSocket": websocket,
    "AI SDK": ai_sdk,
    "AG-UI": agui,
    "OpenAI chat completions": completions,
    "OpenAI Responses": responses,
}


@asynccontextmanager
async def served(folder: str) -> AsyncIterator[aiohttp.ClientSession]:
    settings = Settings.load({"HISTORY": f"sqlite:///{folder}/bff.db", "API_KEYS": "a:key"})
    runner = Runner(create_app(settings, agent=Payer()))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(url, headers={"X-API-Key": "key"}) as client:
            yield client
    finally:
        await runner.cleanup()


async def transcripts() -> str:
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        async with served(folder) as client:
            for title, tell in TOLD.items():
                pen = Pen(client)
                await tell(pen)
                parts.append(f"### {title}\n\n```text\n{pen.written()}\n```\n")
    return "\n".join(parts)


def agents() -> str:
    parts = []
    for name in AGENTS:
        path = f"examples/asking_agents/{name}_agent.py"
        parts.append(f"[{path}](../{path}):\n\n```python\n{(ROOT / path).read_text()}```\n")
    return "\n".join(parts)


async def written(page: str) -> str:
    """The page with the agents and the transcripts as they are now."""
    for name, text in (("agents", agents()), ("transcripts", await transcripts())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


if __name__ == "__main__":
    _ = PAGE.write_text(asyncio.run(written(PAGE.read_text())))
