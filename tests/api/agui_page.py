"""An AG-UI client as far as tests need one: it keeps its thread, and sends back all it was told."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import Service
from tests.api.reading import frames


class Page:
    """One thread of a client that declares `version`, or none."""

    def __init__(self, service: Service, thread: str = "thread-1", version: str | None = "1.0"):
        self.service = service
        self.thread = thread
        self.version = version
        self.messages: list[dict[str, Any]] = []
        self.runs = 0

    async def say(self, text: str, **fields: Any) -> list[Any]:
        self.messages.append({"id": f"u{len(self.messages)}", "role": "user", "content": text})
        return await self.run(**fields)

    async def run(self, path: str = "/v1/agui", **fields: Any) -> list[Any]:
        self.runs += 1
        body = {"threadId": self.thread, "runId": f"r{self.runs}", "messages": self.messages}
        if self.version:
            body["protocolVersion"] = self.version
        async with self.service.client.post(path, json={**body, **fields}) as reply:
            assert reply.status == 200, await reply.text()
            self.headers = reply.headers
            events = frames(await reply.text())
        self._apply(events)
        return events

    def _apply(self, events: list[Any]) -> None:
        by_id: dict[str, dict[str, Any]] = {}
        for event in events:
            match event:
                case {"type": "TEXT_MESSAGE_START", "messageId": id}:
                    by_id[id] = {"id": id, "role": "assistant", "content": ""}
                    self.messages.append(by_id[id])
                case {"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": delta}:
                    by_id[id]["content"] += delta
                case {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": name}:
                    call = {"id": id, "type": "function", "function": {"name": name}}
                    self.messages.append({"id": id, "role": "assistant", "toolCalls": [call]})
                case {"type": "TOOL_CALL_ARGS", "delta": delta}:
                    self.messages[-1]["toolCalls"][0]["function"]["arguments"] = delta
                case {"type": "TOOL_CALL_RESULT", "messageId": id, "content": content}:
                    call_id = event["toolCallId"]
                    self.messages.append(
                        {"id": id, "role": "tool", "toolCallId": call_id, "content": content}
                    )
                case {"type": "MESSAGES_SNAPSHOT", "messages": messages}:
                    self.messages = list(messages)

    def answer(self, call: str, content: str) -> None:
        self.messages.append(
            {"id": f"a{call}", "role": "tool", "toolCallId": call, "content": content}
        )


def said(events: list[Any]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "TEXT_MESSAGE_CONTENT")


def called(events: list[Any]) -> str:
    [call] = [event["toolCallId"] for event in events if event["type"] == "TOOL_CALL_START"]
    return str(call)


def interrupt(events: list[Any]) -> dict[str, Any]:
    [asked] = events[-1]["outcome"]["interrupts"]
    return dict(asked)
