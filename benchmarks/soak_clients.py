"""What `benchmarks.soak` asks the service: requests of every kind, in a random order."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import aiohttp

from benchmarks.agentcore import Answer
from benchmarks.client import KEY

Status = int | str
Kind = Callable[[], Coroutine[Any, Any, Status]]


class Clients:
    """Requests of every kind to one service; each returns how it ended, for the table."""

    def __init__(self, url: str, http: aiohttp.ClientSession, seed: int) -> None:
        self._url = url
        self._http = http
        self._random = random.Random(seed)
        self._number = itertools.count()
        self.kinds: Mapping[Kind, int] = {
            self.ask: 8,
            self.repeat: 2,
            self.stream: 5,
            self.leave: 4,
            self.cancel: 2,
            self.hold_socket: 3,
            self.chat_completions: 2,
            self.responses: 1,
            self.ai_sdk: 2,
            self.agui: 2,
            self.keep_file: 1,
            self.read_sessions: 1,
            self.be_refused: 2,
            self.break_off: 1,
        }
        """With how often each is made."""

    def next_kind(self) -> Kind:
        [kind] = self._random.choices(list(self.kinds), list(self.kinds.values()))
        return kind

    def _message(self) -> str:
        answers = (
            Answer(),
            Answer(5, 5),
            Answer(40, burst=True),
            Answer(10, 30),
        )
        # the last is no such prompt, and the agent fails
        return self._random.choice([*(answer.prompt() for answer in answers), "{"])

    def _session(self) -> str:
        return f"soak-{next(self._number) % 400}"

    async def _send(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> tuple[int, Any]:
        async with self._http.request(method, self._url + path, json=body, **options) as reply:
            said = await reply.read()
            is_json = reply.content_type == "application/json"
            return reply.status, json.loads(said) if is_json else None

    async def ask(self) -> Status:
        body = {"message": self._message(), "session_id": self._session()}
        status, _ = await self._send("POST", "/v1/chat", body)
        return status

    async def repeat(self) -> Status:
        headers = {"Idempotency-Key": f"key-{next(self._number)}"}
        body = {"message": self._message()}
        sent = [self._send("POST", "/v1/chat", body, headers=headers) for _ in range(2)]
        (first, _), (second, _) = await asyncio.gather(*sent)
        return f"{first} {second}"

    async def stream(self) -> Status:
        status, _ = await self._send("POST", "/v1/chat/stream", {"message": self._message()})
        return status

    async def leave(self) -> Status:
        """Leave in the middle, perhaps come back, and perhaps leave again."""
        body = {
            "message": Answer(20, 20).prompt(),
            "on_disconnect": self._random.choice(["continue", "cancel"]),
        }
        async with self._http.post(self._url + "/v1/chat/stream", json=body) as reply:
            await reply.content.readany()
            run_id = reply.headers["X-Run-Id"]
        if self._random.random() < 0.4:
            return "left"
        headers = {"Last-Event-ID": "2"}
        url = f"{self._url}/v1/runs/{run_id}/events"
        async with self._http.get(url, headers=headers) as reply:
            async for _ in reply.content:
                if self._random.random() < 0.1:
                    return "left twice"
            return reply.status

    async def cancel(self) -> Status:
        body = {"message": Answer(50, 20).prompt()}
        async with self._http.post(self._url + "/v1/chat/stream", json=body) as reply:
            await reply.content.readany()
            path = f"/v1/runs/{reply.headers['X-Run-Id']}/cancel"
            status, _ = await self._send("POST", path)
            await reply.read()
            return status

    async def hold_socket(self) -> Status:
        async with self._http.ws_connect(self._url + "/v1/ws/chat") as socket:
            for _ in range(self._random.randint(1, 3)):
                await socket.send_json({"message": self._message()})
                while (await socket.receive_json())["event"] not in ("done", "error"):
                    pass
        return "closed"

    async def chat_completions(self) -> Status:
        messages: list[Any] = []
        status, who = 0, f"person-{next(self._number) % 50}"
        for _ in range(self._random.randint(1, 4)):
            prompt = Answer(self._random.randint(0, 6)).prompt()
            messages.append({"role": "user", "content": prompt})
            body = {"model": "agent", "messages": messages, "user": who}
            status, said = await self._send("POST", "/v1/chat/completions", body)
            if status != 200:
                break
            messages.append(said["choices"][0]["message"])
        return status

    async def responses(self) -> Status:
        before: str | None = None
        for _ in range(3):
            body = {"model": "agent", "input": Answer(3).prompt(), "previous_response_id": before}
            status, said = await self._send("POST", "/v1/responses", body)
            if status != 200:
                return status
            before = said["id"]
        status, _ = await self._send("DELETE", f"/v1/responses/{before}")
        return status

    async def ai_sdk(self) -> Status:
        parts = [{"type": "text", "text": self._message()}]
        body = {
            "id": f"chat-{next(self._number)}",
            "messages": [{"id": "1", "role": "user", "parts": parts}],
            "trigger": "submit-message",
        }
        status, _ = await self._send("POST", "/v1/ui/chat", body)
        return status

    async def agui(self) -> Status:
        body = {
            "threadId": f"thread-{next(self._number)}",
            "runId": f"run-{next(self._number)}",
            "messages": [{"id": "1", "role": "user", "content": self._message()}],
            **{"tools": [], "context": [], "state": {}, "forwardedProps": {}},
        }
        status, _ = await self._send("POST", "/v1/agui", body)
        return status

    async def keep_file(self) -> Status:
        form = aiohttp.FormData()
        form.add_field("purpose", "user_data")
        form.add_field("file", os.urandom(self._random.randint(10, 300_000)), filename="a.bin")
        async with self._http.post(self._url + "/v1/files", data=form) as reply:
            if reply.status != 200:
                return reply.status
            file_id = (await reply.json())["id"]
        await self._send("GET", f"/v1/files/{file_id}/content")
        status, _ = await self._send("DELETE", f"/v1/files/{file_id}")
        return status

    async def read_sessions(self) -> Status:
        """Read some, delete some, fork one."""
        status, page = await self._send("GET", "/v1/sessions?limit=20")
        if status != 200:
            return status
        ids = [session["session_id"] for session in page["sessions"]]
        for session_id in ids[:3]:
            await self._send("GET", f"/v1/sessions/{session_id}")
        for session_id in ids[10:14]:
            await self._send("DELETE", f"/v1/sessions/{session_id}")
        for session_id in ids[:1]:
            status, _ = await self._send("POST", f"/v1/sessions/{session_id}/fork", {})
        return status

    async def be_refused(self) -> Status:
        number = next(self._number)
        method, path, body, headers = self._random.choice(
            [
                ("POST", "/v1/chat", {"message": "x" * 200_000}, {}),
                ("POST", "/v1/chat", {"message": "x", f"field{number}": 1}, {}),
                ("POST", "/v1/chat", {"message": "x"}, {"X-API-Key": f"wrong-{number}"}),
                ("GET", f"/v1/unknown-{number}", None, {}),
                ("GET", f"/v1/runs/run_{number:032x}", None, {}),
            ]
        )
        status, _ = await self._send(method, path, body, headers=headers)
        return status

    async def break_off(self) -> Status:
        """Be gone in the middle of a request."""
        host, _, port = self._url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/chat HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: 99\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        return "broken off"
