"""A scripted model for Strands, and the ways in which samples yield what its agents stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from script import QUESTION, Call, Player, Turn, paced, unhurried
from strands.models import Model

Ask = dict[str, Any]


class ScriptedModel(Model):
    """Plays its turns in Bedrock Converse's words."""

    def __init__(self, *turns: Turn, cites: str | None = None, redacts: str | None = None) -> None:
        self.player = Player(turns)
        self.cites = cites
        self.redacts = redacts

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> Any:
        return {}

    async def structured_output(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        yield {}

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        turn = self.player.next()
        index, open_kind = -1, ""
        yield {"messageStart": {"role": "assistant"}}
        async for kind, token in paced(turn):
            if kind == "call" or kind != open_kind:
                if open_kind:
                    yield {"contentBlockStop": {"contentBlockIndex": index}}
                index, open_kind = index + 1, kind
                yield {
                    "contentBlockStart": {"start": _start(kind, token), "contentBlockIndex": index}
                }
            for delta in _deltas(kind, token):
                yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
        if self.cites:
            location = {"web": {"url": self.cites, "domain": "example.com"}}
            citation = {"title": "Rome", "location": location, "sourceContent": []}
            delta = {"citation": citation}
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
        if self.redacts:
            yield {"redactContent": {"redactAssistantContentMessage": self.redacts}}
        yield {"contentBlockStop": {"contentBlockIndex": index}}
        reason = (
            "tool_use" if turn.calls else "guardrail_intervened" if self.redacts else "end_turn"
        )
        yield {"messageStop": {"stopReason": reason}}
        given, got = turn.usage
        usage = {"inputTokens": given, "outputTokens": got, "totalTokens": given + got}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


def _start(kind: str, token: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": token.id, "name": token.tool}} if kind == "call" else {}


def _deltas(kind: str, token: str | Call) -> list[dict[str, Any]]:
    if isinstance(token, Call):
        return [{"toolUse": {"input": piece}} for piece in token.pieces]
    return [{"reasoningContent": {"text": token}} if kind == "think" else {"text": token}]


# How a stream is yielded


def raw(event: Any) -> Any:
    return event


def default_str(event: Any) -> Any:
    """AWS's full-stack template."""
    return json.loads(json.dumps(dict(event), default=str))


def converse(event: Any) -> Any:
    return event if "event" in event else None


def data(event: Any) -> Any:
    return {"data": event["data"]} if "data" in event else None


def text(event: Any) -> Any:
    """The templates of the starter toolkit, and most samples."""
    return event.get("data")


def filtered(event: Any) -> Any:
    """What JSON can hold, as many front ends do it."""
    kept = ("event", "data", "delta", "current_tool_use", "message", "reasoningText", "citation")
    plain = {name: event[name] for name in kept if name in event}
    if "result" in event:
        plain = {"result": event["result"].to_dict()}
    return plain or None


def typed(event: Any) -> Any:
    """A vocabulary of one's own, as samples with a page of their own have it."""
    match event:
        case {"data": str(words)}:
            return {"type": "text", "content": words}
        case {"reasoningText": str(words)}:
            return {"type": "reasoning", "content": words}
        case {"message": {"role": "assistant", "content": content}}:
            uses = [block["toolUse"] for block in content if "toolUse" in block]
            if uses:
                use = uses[0]
                return {
                    "type": "tool_use",
                    "id": use["toolUseId"],
                    "name": use["name"],
                    "input": use["input"],
                }
        case {"message": {"role": "user", "content": [{"toolResult": result}, *_]}}:
            words = result["content"][0]["text"]
            return {"type": "tool_result", "id": result["toolUseId"], "content": words}
        case {"result": result}:
            return {"type": "complete", "final_response": str(result)}
    return None


def sse(event: Any) -> Any:
    return f"data: {json.dumps({'data': event['data']})}\n\n" if "data" in event else None


def streamed(make: Callable[[], Any], way: Callable[[Any], Any] = raw) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> AsyncIterator[Any]:
        async for event in unhurried(make().stream_async(QUESTION)):
            told = way(event)
            if told is not None:
                yield told

    return answer


def returned(make: Callable[[], Any], way: Callable[[Any], Any]) -> Callable[[Ask], Any]:
    async def answer(ask: Ask) -> Any:
        return way(await make().invoke_async(QUESTION))

    return answer
