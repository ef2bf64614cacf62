"""What a client of each protocol sends to be asked, to answer, and to find a question again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import aiohttp

Choice = Literal["approve", "decline", "wrong id"]
JSON = Any


@dataclass
class Said:
    """What came back: the run's text, and `state`, what this client keeps for its answer."""

    status: int
    run_id: str | None
    text: str = ""
    asks: bool = False
    code: str | None = None
    state: JSON = field(default=None, repr=False)


class Client(Protocol):
    """One protocol. `name` is the conversation's, and its question's words hold it."""

    async def ask(self, at: str, agent: str, name: str) -> Said: ...

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said: ...

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        """What a page that was reloaded knows of the question."""
        ...


def words(name: str) -> str:
    return f"Pay Jo for {name}"


class Native:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, at: str, agent: str, name: str) -> Said:
        return await self._post(at, {"session_id": name, "agent": agent, "message": words(name)})

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said:
        return await self._post(at, {"session_id": name, "resume": resume(state, choice)})

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        async with self.http.get(f"{at}/v1/sessions/{name}") as reply:
            return (await reply.json())["inputs"]

    async def _post(self, at: str, body: JSON) -> Said:
        async with self.http.post(f"{at}/v1/chat", json=body) as reply:
            said = await reply.json()
        inputs = said.get("inputs")
        return Said(
            reply.status,
            said.get("run_id"),
            said.get("message", ""),
            bool(inputs),
            said.get("code"),
            inputs,
        )


def resume(inputs: JSON, choice: Choice) -> JSON:
    """The answer of a client that declines without words, and approves with the agent's."""
    if choice == "wrong id":
        return [{"input_id": "other", "status": "resolved", "payload": "yes"}]
    if choice == "decline":
        return [{"input_id": item["id"], "status": "cancelled"} for item in inputs]
    return [{"input_id": item["id"], "status": "resolved", "payload": "yes"} for item in inputs]


class WebSocket(Native):
    async def _post(self, at: str, body: JSON) -> Said:
        async with self.http.ws_connect(f"{at}/v1/ws/chat") as socket:
            await socket.send_json(body)
            said = Said(200, None)
            while True:
                frame = await socket.receive_json(timeout=60)
                said.run_id = frame.get("run_id") or said.run_id
                match frame["event"], frame["data"]:
                    case "message", {"content": content}:
                        said.text += content
                    case "done", data:
                        said.state = data.get("inputs")
                        said.asks = bool(said.state)
                        return said
                    case "error", problem:
                        said.status, said.code = problem["status"], problem["code"]
                        return said
                    case _:
                        pass


class AiSdk:
    """`useChat`: the whole conversation, the answer in the state of the message's tool part."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, at: str, agent: str, name: str) -> Said:
        user = {"id": "u", "role": "user", "parts": [{"type": "text", "text": words(name)}]}
        return await self._post(at, agent, name, [user])

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said:
        messages = json.loads(json.dumps(state))
        for part in messages[-1]["parts"]:
            if part.get("state") == "approval-requested":
                if choice == "wrong id":
                    part["approval"]["id"] = part["toolCallId"] = "other"
                part["state"] = "approval-responded"
                part["approval"]["approved"] = choice != "decline"
        return await self._post(at, agent, name, messages)

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        async with self.http.get(f"{at}/v1/ui/chat/{name}") as reply:
            return await reply.json()

    async def _post(self, at: str, agent: str, name: str, messages: list[JSON]) -> Said:
        body = {"id": name, "messages": messages}
        async with self.http.post(f"{at}/v1/ui/chat?agent={agent}", json=body) as reply:
            if reply.status != 200:
                return Said(reply.status, None, code=(await reply.json())["code"])
            parts = [json.loads(data) for data in await data_of(reply)]
        said = Said(200, reply.headers["X-Run-Id"])
        message: JSON = {"id": None, "role": "assistant", "parts": []}
        tools: dict[str, JSON] = {}
        for part in parts:
            match part:
                case {"type": "start", "messageId": id}:
                    message["id"] = id
                case {"type": "text-delta", "delta": delta}:
                    said.text += delta
                case {"type": "tool-input-available", "toolCallId": id}:
                    tools[id] = {
                        "type": "dynamic-tool",
                        "toolName": part["toolName"],
                        "toolCallId": id,
                        "input": part["input"],
                        "state": "input-available",
                    }
                case {"type": "tool-approval-request", "approvalId": approval, "toolCallId": id}:
                    tools[id] |= {"state": "approval-requested", "approval": {"id": approval}}
                    said.asks = True
                case {"type": "error", "errorText": text}:
                    said.code = text
        message["parts"] = [{"type": "text", "text": said.text}, *tools.values()]
        said.state = [*messages, message]
        return said


class Completions:
    """Chat completions: no session, the whole conversation each time, the answer in words."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, at: str, agent: str, name: str) -> Said:
        return await self._post(at, agent, [{"role": "user", "content": words(name)}])

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said:
        last: JSON = {"role": "user", "content": "yes" if choice == "approve" else "no"}
        if choice == "wrong id":
            last = {"role": "tool", "tool_call_id": "other", "content": "yes"}
        return await self._post(at, agent, [*state, last])

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        return state  # these clients keep all there is

    async def _post(self, at: str, agent: str, messages: list[JSON]) -> Said:
        body = {"model": agent, "messages": messages}
        async with self.http.post(f"{at}/v1/chat/completions", json=body) as reply:
            said = await reply.json()
        if reply.status != 200:
            return Said(reply.status, None, code=said["error"]["code"])
        message = said["choices"][0]["message"]
        text = message["content"] or ""
        asks = "May I pay" in text
        return Said(200, reply.headers["X-Run-Id"], text, asks, state=[*messages, message])


class Responses:
    """OpenAI Responses: `mcp_approval_request`, answered behind the response that asked."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, at: str, agent: str, name: str) -> Said:
        return await self._post(at, {"model": agent, "input": words(name)})

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said:
        request = "other" if choice == "wrong id" else state["approval"]
        approve = choice != "decline"
        item = {
            "type": "mcp_approval_response",
            "approval_request_id": request,
            "approve": approve,
        }
        body = {"model": agent, "previous_response_id": state["response"], "input": [item]}
        return await self._post(at, body)

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        async with self.http.get(f"{at}/v1/responses/{state['response']}") as reply:
            return self._said(reply, await reply.json()).state

    async def _post(self, at: str, body: JSON) -> Said:
        async with self.http.post(f"{at}/v1/responses", json=body) as reply:
            said = await reply.json()
        if reply.status != 200:
            return Said(reply.status, None, code=said["error"]["code"])
        return self._said(reply, said)

    def _said(self, reply: aiohttp.ClientResponse, said: JSON) -> Said:
        text, approval = "", None
        for item in said["output"]:
            match item:
                case {"type": "message", "content": list(parts)}:
                    text += "".join(part.get("text", "") for part in parts)
                case {"type": "mcp_approval_request", "id": approval}:
                    pass
        state = {"response": said["id"], "approval": approval}
        run_id = reply.headers.get("X-Run-Id")
        return Said(200, run_id, text, approval is not None, state=state)


class Agui:
    """AG-UI 1.0: the outcome `interrupt`, answered by `resume`."""

    declares: Mapping[str, JSON] = {"protocolVersion": "1.0"}

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, at: str, agent: str, name: str) -> Said:
        messages = [{"id": f"u-{name}", "role": "user", "content": words(name)}]
        return await self._run(at, agent, name, messages, {})

    async def answer(self, at: str, agent: str, name: str, state: JSON, choice: Choice) -> Said:
        messages, [question] = state
        return await self._run(at, agent, name, messages, self._told(question, choice))

    def _told(self, question: JSON, choice: Choice) -> JSON:
        entry = {"interruptId": question["id"], "status": "resolved"}
        if choice == "wrong id":
            entry["interruptId"] = "other"
        return {"resume": [{**entry, "payload": {"approved": choice != "decline"}}]}

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        """A page keeps its messages, and is told the question once more."""
        said = await self._post(at, "/v1/agui/connect", name, state[0], {})
        return [state[0], said.state[1]]

    async def _run(self, at: str, agent: str, name: str, messages: JSON, more: JSON) -> Said:
        return await self._post(at, f"/v1/agui?agent={agent}", name, messages, more)

    async def _post(self, at: str, path: str, name: str, messages: list[JSON], more: JSON) -> Said:
        body = {
            "threadId": name,
            "runId": f"run-{uuid.uuid4().hex}",
            "messages": messages,
            "tools": [],
            "context": [],
            "state": {},
            "forwardedProps": {},
            **self.declares,
            **more,
        }
        async with self.http.post(at + path, json=body) as reply:
            if reply.status != 200:
                return Said(reply.status, None, code=(await reply.json())["code"])
            events = [json.loads(data) for data in await data_of(reply)]
        said = Said(200, reply.headers.get("X-Run-Id"))
        questions: list[JSON] = []
        calls: list[JSON] = []
        for event in events:
            match event:
                case {"type": "TEXT_MESSAGE_CONTENT", "delta": delta}:
                    said.text += delta
                case {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": tool}:
                    function = {"name": tool, "arguments": "{}"}
                    calls.append({"id": id, "type": "function", "function": function})
                case {"type": "RUN_FINISHED", "outcome": {"interrupts": list(asked)}}:
                    questions = questions or asked
                case {"type": "CUSTOM", "name": "on_interrupt"}:
                    questions = [event]
                case {"type": "RUN_ERROR"}:
                    said.code = event.get("code")
        answer = {"id": f"a-{name}", "role": "assistant", "content": said.text, "toolCalls": calls}
        said.asks = bool(questions)
        said.state = [[*messages, answer], questions]
        return said


class OldAgui(Agui):
    """AG-UI before 0.0.54: `on_interrupt`, answered in `forwardedProps`, without an id."""

    declares: Mapping[str, JSON] = {}

    def _told(self, question: JSON, choice: Choice) -> JSON:
        if choice == "wrong id":
            return super()._told({"id": "other"}, choice)
        told = "yes" if choice == "approve" else "no"
        return {"forwardedProps": {"command": {"resume": told}}}

    async def _run(self, at: str, agent: str, name: str, messages: JSON, more: JSON) -> Said:
        path = f"/v1/agui?agent={agent}&protocolVersion=0.0.45"
        return await self._post(at, path, name, messages, more)

    async def found_again(self, at: str, name: str, state: JSON) -> JSON:
        return state  # nothing but its own messages


async def data_of(reply: aiohttp.ClientResponse) -> list[str]:
    lines = (await reply.text()).splitlines()
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [data for data in found if data != "[DONE]"]


CLIENTS: dict[str, Callable[[aiohttp.ClientSession], Client]] = {
    "native": Native,
    "WebSocket": WebSocket,
    "AI SDK": AiSdk,
    "chat completions": Completions,
    "Responses": Responses,
    "AG-UI 1.0": Agui,
    "AG-UI 0.0.45": OldAgui,
}
