"""`/v1/ui/chat`: the AI SDK's UI message stream, for `useChat`, in parts that both v6 and v7 take.

https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol. Tools are `dynamic`, since the page does not know
the agent's, and `providerExecuted`, since a page that could run or answer them would send the turn
again. The chat's id is the session. `stop()` only closes the connection, which looks like a closed
tab and leaves the run going: the cancel address stops it. docs/protocols.md has a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from bff.api import PRINCIPAL, RUNS
from bff.api.body import read_model
from bff.api.foreign_messages import MAX_FOREIGN_ID_CHARACTERS, FirstError
from bff.api.last_message import Part, Tolerant, checked, invalid, last_user_index
from bff.api.runs import run_state
from bff.api.start_run import Asked, start_run
from bff.api.streaming import stream_run
from bff.events import (
    Custom,
    Done,
    Failed,
    File,
    Gap,
    Input,
    Record,
    Source,
    ToolEnd,
    ToolStart,
    dumps,
    input_fields,
)
from bff.identity.principals import foreign_id
from bff.messages import Conversation, user_message
from bff.runs.log import Run


class UIMessage(Tolerant):
    """One message of the conversation as the page has it."""

    role: str
    parts: Annotated[list[Part], FirstError()] = Field(default_factory=list)


class UIChatRequest(Tolerant):
    """What `DefaultChatTransport` sends; what a page adds with `body` is taken and ignored."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_FOREIGN_ID_CHARACTERS)]
    messages: Annotated[list[UIMessage], Field(min_length=1), FirstError()]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"


async def send_ui_message(request: web.Request) -> web.StreamResponse:
    """The answer to the last user message, which is also what regenerating sends again."""
    asked = await read_model(request, UIChatRequest)
    message = user_message(last_user_text(asked.messages))
    wanted = Asked(
        conversation=Conversation(new=(message,)),
        name=foreign_id(asked.id),
        on_disconnect="continue",
        streaming=True,
    )
    follower = await start_run(request, wanted)
    return await stream_run(request, follower, UIEncoder(follower.run))


async def resume_ui_chat(request: web.Request) -> web.StreamResponse:
    """The chat's open run from its start; 204 when there is none."""
    run = await _open_run(request)
    if run is None:
        return web.Response(status=204)
    follower = await request.app[RUNS].follow(run)
    return await stream_run(request, follower, UIEncoder(follower.run))


async def cancel_ui_chat(request: web.Request) -> web.StreamResponse:
    """Stop the chat's open run and say what became of it; 204 when there is none."""
    run = await _open_run(request)
    if run is None:
        return web.Response(status=204)
    return run_state(await request.app[RUNS].cancel(run))


async def _open_run(request: web.Request) -> Run | None:
    session_id = foreign_id(request.match_info["id"])
    return await request.app[RUNS].find_open(request[PRINCIPAL].id, session_id)


def last_user_text(messages: Sequence[UIMessage]) -> str:
    """The text of what goes to the agent; raises `Invalid` naming what cannot."""
    index = last_user_index(messages)
    field, texts = f"messages.{index}.parts", []
    for number, part in enumerate(messages[index].parts):
        if part.type == "file":
            raise invalid(f"{field}.{number}", "must not be a file, the agent takes text")
        if part.type == "text" and part.text is not None:
            texts.append(part.text)
    return checked(field, "\n".join(texts))


class UIEncoder:
    """A run as UI message stream parts; what is open is closed before any end."""

    headers: Mapping[str, str] = {
        "X-Vercel-AI-UI-Message-Stream": "v1",
        "X-Accel-Buffering": "no",
    }
    reconnects = False

    def __init__(self, run: Run) -> None:
        self._run = run
        self._started = False
        self._open: str | None = None
        self._blocks = 0
        self._tools: set[str] = set()

    def __call__(self, records: Sequence[Record]) -> bytes:
        return "".join([self._frames(record) for record in records]).encode()

    def _frames(self, record: Record) -> str:
        start = "" if self._started else self._start()
        match record.name:
            case "start":
                return start
            case "message":
                return start + self._delta("text", record.content)
            case "thinking":
                return start + self._delta("reasoning", record.content)
            case _:
                return start + self._close() + self._other(record)

    def _start(self) -> str:
        self._started = True
        metadata = {"runId": self._run.run_id, "sessionId": self._run.session_id}
        start = {"type": "start", "messageId": self._run.run_id, "messageMetadata": metadata}
        return _part(start) + _part({"type": "start-step"})

    def _delta(self, kind: str, content: str) -> str:
        opening = ""
        if self._open != kind:
            opening = self._close()
            self._open = kind
            self._blocks += 1
            opening += f'data: {{"type":"{kind}-start","id":"{self._blocks}"}}\n\n'
        delta = f'{{"type":"{kind}-delta","id":"{self._blocks}","delta":{content}}}'
        return f"{opening}data: {delta}\n\n"

    def _close(self) -> str:
        if self._open is None:
            return ""
        end = f'data: {{"type":"{self._open}-end","id":"{self._blocks}"}}\n\n'
        self._open = None
        return end

    def _other(self, record: Record) -> str:
        match record.event:
            case ToolStart(id, tool, args):
                return self._call(id, tool, args)
            case ToolEnd(id, tool, result, error):
                # a result without its call (that was in a gap, say) would break the client
                opening = "" if id in self._tools else self._call(id, tool, {})
                self._tools.discard(id)
                return opening + _outcome(id, result, error)
            case Source(url, title):
                cited = {"type": "source-url", "sourceId": f"source-{record.id}", "url": url}
                return _part(cited if title is None else {**cited, "title": title})
            case File(mime_type, url, data):
                url = url or f"data:{mime_type};base64,{data}"
                return _part({"type": "file", "url": url, "mediaType": mime_type})
            case Custom(value, name):
                kind = name if name and name.startswith("data-") else "data-custom"
                return _part({"type": kind, "data": value})
            case Input():
                return _part({"type": "data-input", "data": input_fields(record.event)})
            case Gap(first, last):
                return _part({"type": "data-gap", "data": {"from": first, "to": last}})
            case Done("cancelled"):
                abort = _part({"type": "abort", "reason": "cancelled"})
                return self._unanswered("cancelled") + abort + _DONE
            case Done(_, usage):
                return self._unanswered(None) + self._finish("stop", usage)
            case Failed(problem):
                text = problem["error"]["message"]
                error = _part({"type": "error", "errorText": text})
                return self._unanswered(text) + error + self._finish("error", None)
            case _:
                raise AssertionError(record)

    def _call(self, id: str, tool: str, args: object) -> str:
        self._tools.add(id)
        call = {"type": "tool-input-available", "toolCallId": id, "toolName": tool, "input": args}
        return _part({**call, **_RUN_BY_AGENT})

    def _unanswered(self, error: str | None) -> str:
        """An outcome for each call that has none, or its card would wait for ever."""
        return "".join([_outcome(id, "", error) for id in sorted(self._tools)])

    def _finish(self, reason: str, usage: Mapping[str, int] | None) -> str:
        finish: dict[str, object] = {"type": "finish", "finishReason": reason}
        if usage is not None:
            finish["messageMetadata"] = {"usage": camel_usage(usage)}
        return _part({"type": "finish-step"}) + _part(finish) + _DONE


def _outcome(id: str, result: str | None, error: str | None) -> str:
    outcome = (
        {"type": "tool-output-available", "toolCallId": id, "output": result}
        if error is None
        else {"type": "tool-output-error", "toolCallId": id, "errorText": error}
    )
    return _part({**outcome, **_RUN_BY_AGENT})


_RUN_BY_AGENT = {"dynamic": True, "providerExecuted": True}
_DONE = "data: [DONE]\n\n"


def camel_usage(usage: Mapping[str, int]) -> dict[str, int]:
    """Usage under the names of the JavaScript world."""
    return {
        ours: usage[name]
        for name, ours in (
            ("input_tokens", "inputTokens"),
            ("output_tokens", "outputTokens"),
            ("total_tokens", "totalTokens"),
        )
        if name in usage
    }


def _part(part: Mapping[str, object]) -> str:
    return f"data: {dumps(part)}\n\n"
