"""A model behind OpenAI's HTTP API on loopback, for frameworks that only know HTTP.

`model_of(turns)` gives the name of a model that plays them; `base_url()` starts the server when it
is first asked for. Chat completions and Responses, both streamed or whole.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from script import Player, Turn

PLAYERS: dict[str, Player] = {}


def model_of(turns: Sequence[Turn]) -> str:
    name = f"scripted-{len(PLAYERS)}"
    PLAYERS[name] = Player(turns)
    return name


@cache
def base_url() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        player = PLAYERS[asked["model"].rpartition("/")[2]]
        turn = player.next()
        is_chat = self.path.endswith("/chat/completions")
        if not asked.get("stream"):
            whole = chat_whole(asked, turn) if is_chat else responses(asked, turn, player.played)
            self.answer("application/json", json.dumps(whole).encode())
            return
        events = chat(asked, turn) if is_chat else response_events(asked, turn, player.played)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        time.sleep(turn.late)
        for event in events:
            time.sleep(turn.pace)
            name = "" if is_chat else f"event: {event['type']}\n"
            self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        if is_chat:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None: ...


def usage_of(turn: Turn, given: str, got: str) -> dict[str, Any]:
    return {given: turn.usage[0], got: turn.usage[1], "total_tokens": sum(turn.usage)}


# Chat completions


def chat_whole(asked: Any, turn: Turn) -> dict[str, Any]:
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.args)},
        }
        for call in turn.calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if calls:
        message["tool_calls"] = calls
    if turn.think:
        message["reasoning_content"] = turn.thought
    reason = "tool_calls" if calls else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1767225600,
        "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": usage_of(turn, "prompt_tokens", "completion_tokens"),
    }


def chat(asked: Any, turn: Turn) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1767225600,
            "model": asked["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }

    yield chunk({"role": "assistant", "content": ""})
    index = -1
    for kind, token in turn.tokens():
        if kind == "call":
            index += 1
            function = {"name": token.tool, "arguments": ""}
            first = {"index": index, "id": token.id, "type": "function", "function": function}
            yield chunk({"tool_calls": [first]})
            for piece in token.pieces:
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        else:
            yield chunk({"reasoning_content" if kind == "think" else "content": token})
    yield chunk({}, "tool_calls" if turn.calls else "stop")
    usage = usage_of(turn, "prompt_tokens", "completion_tokens")
    yield {**chunk({}), "choices": [], "usage": usage}


# Responses


def items(turn: Turn, number: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if turn.think:
        summary = [{"type": "summary_text", "text": turn.thought}]
        made.append({"id": f"rs_{number}", "type": "reasoning", "summary": summary})
    if turn.say:
        text = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        made.append(
            {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [text],
            }
        )
    made += [
        {
            "id": f"fc_{call.id}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.tool,
            "arguments": json.dumps(call.args),
            "status": "completed",
        }
        for call in turn.calls
    ]
    return made


def responses(asked: Any, turn: Turn, number: int, status: str = "completed") -> dict[str, Any]:
    usage = usage_of(turn, "input_tokens", "output_tokens")
    usage["input_tokens_details"] = {"cached_tokens": 0}
    usage["output_tokens_details"] = {"reasoning_tokens": 0}
    done = status == "completed"
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1767225600,
        "model": asked["model"],
        "status": status,
        "output": items(turn, number) if done else [],
        "usage": usage if done else None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def response_events(asked: Any, turn: Turn, number: int) -> Iterator[dict[str, Any]]:
    for at, event in enumerate(_response_events(asked, turn, number)):
        yield {**event, "sequence_number": at}


def _response_events(asked: Any, turn: Turn, number: int) -> Iterator[dict[str, Any]]:
    running = responses(asked, turn, number, "in_progress")
    yield {"type": "response.created", "response": running}
    yield {"type": "response.in_progress", "response": running}
    calls = {call.id: call for call in turn.calls}
    for index, item in enumerate(items(turn, number)):
        at = {"output_index": index, "item_id": item["id"]}
        match item["type"]:
            case "reasoning":
                empty: dict[str, Any] = {"summary": []}
                pieces, part, field = (
                    list(turn.think),
                    "response.reasoning_summary",
                    "summary_index",
                )
            case "message":
                empty = {"content": [], "status": "in_progress"}
                pieces, part, field = list(turn.say), "response.output", "content_index"
            case _:
                empty = {"arguments": "", "status": "in_progress"}
                pieces, part, field = calls[item["call_id"]].pieces, "", ""
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, **empty},
        }
        if part:
            text = "".join(pieces)
            kind = "summary_text" if item["type"] == "reasoning" else "output_text"
            added = (
                "response.reasoning_summary_part" if part.endswith("y") else "response.content_part"
            )
            start: dict[str, Any] = {"type": kind, "text": ""}
            more: dict[str, Any] = {}
            if kind == "output_text":
                start |= {"annotations": [], "logprobs": []}
                more = {"logprobs": []}
            place = {**at, field: 0}
            yield {"type": f"{added}.added", **place, "part": start}
            for piece in pieces:
                yield {"type": f"{part}_text.delta", **place, "delta": piece, **more}
            yield {"type": f"{part}_text.done", **place, "text": text, **more}
            yield {"type": f"{added}.done", **place, "part": {**start, "text": text}}
        else:
            for piece in pieces:
                yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
            yield {
                "type": "response.function_call_arguments.done",
                **at,
                "arguments": item["arguments"],
                "name": item["name"],
            }
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": responses(asked, turn, number)}
