"""`POST /v1/agui`: the Agent User Interaction Protocol, version 1.0 (https://docs.ag-ui.com).

Its client throws when a run does not begin with RUN_STARTED or finishes with a message still open,
takes a bare end for success, and takes a tool call without a result for one that the page has to
run: the encoder leaves none of these. Ids of messages and tool calls are made from the run's, so
that none ever repeats within a thread. docs/protocols.md has a transcript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field

from bff.api.ai_sdk.parts import camel_usage
from bff.api.body import FirstError, read_model
from bff.api.foreign_messages import MAX_FOREIGN_ID_CHARACTERS
from bff.api.last_message import ConversationMessage, Tolerant, last_user_message
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
)
from bff.identity.principals import foreign_id
from bff.messages import Conversation, user_message
from bff.runs.log import Run

PROTOCOL_VERSION = "1.0"


class RunAgentInput(Tolerant):
    """What AG-UI clients send. The agent has its own tools and state: the client's are ignored."""

    thread_id: Annotated[
        str, Field(alias="threadId", min_length=1, max_length=MAX_FOREIGN_ID_CHARACTERS)
    ]
    run_id: Annotated[str, Field(alias="runId", min_length=1, max_length=MAX_FOREIGN_ID_CHARACTERS)]
    messages: Annotated[list[ConversationMessage], Field(min_length=1), FirstError()]


async def run_agent(request: web.Request) -> web.StreamResponse:
    """The answer to the thread's last user message; closing the connection cancels the run."""
    asked = await read_model(request, RunAgentInput)
    wanted = Asked(
        conversation=Conversation(new=(user_message(last_user_message(asked.messages)),)),
        name=foreign_id(asked.thread_id),
        on_disconnect="cancel",
        streaming=True,
    )
    follower = await start_run(request, wanted)
    encoder = AgUiEncoder(follower.run, thread_id=asked.thread_id, run_id=asked.run_id)
    return await stream_run(request, follower, encoder)


class AgUiEncoder:
    """A run as AG-UI events. `thread_id` and `run_id` are the client's and only echoed."""

    headers: Mapping[str, str] = {"X-Accel-Buffering": "no"}
    reconnects = False

    def __init__(self, run: Run, *, thread_id: str, run_id: str) -> None:
        self._run = run
        self._names = {"threadId": thread_id, "runId": run_id}
        self._started = self._ended = False
        self._open: str | None = None  # the kind of message that is open
        self._message = ""
        self._parent: str | None = None  # the message that the next tool call belongs to
        self._calls: dict[str, str] = {}  # those without a result: the agent's id -> ours
        self._count = 0

    def __call__(self, records: Sequence[Record]) -> bytes:
        return "".join([self._frames(record) for record in records if not self._ended]).encode()

    def _frames(self, record: Record) -> str:
        start = "" if self._started else self._start()
        match record.name:
            case "start":
                return start
            case "message":
                return start + self._delta("TEXT", record.content)
            case "thinking":
                return start + self._delta("REASONING", record.content)
            case _:
                return start + self._close() + self._other(record)

    def _start(self) -> str:
        self._started = True
        return _event("RUN_STARTED", **self._names, protocolVersion=PROTOCOL_VERSION)

    def _delta(self, kind: str, content: str) -> str:
        opening = "" if self._open == kind else self._close() + self._begin(kind)
        delta = (
            f'{{"type":"{kind}_MESSAGE_CONTENT","messageId":"{self._message}","delta":{content}}}'
        )
        return f"{opening}data: {delta}\n\n"

    def _begin(self, kind: str) -> str:
        self._open, self._message = kind, self._new_id("m")
        if kind == "TEXT":
            self._parent = self._message
            return _event("TEXT_MESSAGE_START", messageId=self._message, role="assistant")
        return _event("REASONING_START", messageId=self._message) + _event(
            "REASONING_MESSAGE_START", messageId=self._message, role="reasoning"
        )

    def _close(self) -> str:
        if self._open is None:
            return ""
        end = _event(f"{self._open}_MESSAGE_END", messageId=self._message)
        if self._open == "REASONING":
            end += _event("REASONING_END", messageId=self._message)
        self._open = None
        return end

    def _other(self, record: Record) -> str:
        match record.event:
            case ToolStart(id, tool, args):
                return self._call(id, tool, args)
            case ToolEnd(id, tool, result, error):
                # a result whose call never came (it was in a gap, say) is given one
                opening = "" if id in self._calls else self._call(id, tool, {})
                return opening + self._result(id, (result if error is None else error) or "")
            case Source() | File() | Input():
                return _event("CUSTOM", name=record.name, value=json.loads(record.data))
            case Custom(value, name):
                return _event("CUSTOM", name=name or "custom", value=value)
            case Done(status, usage):
                return self._finish(status != "cancelled", usage)
            case Failed(problem):
                return self._fail(problem["error"]["message"], problem["code"])
            case Gap(first, last):
                return self._fail(
                    f"Events {first} to {last} of this run are no longer kept.", "gap"
                )
            case _:
                raise AssertionError(record)

    def _call(self, id: str, tool: str, args: object) -> str:
        self._calls[id] = ours = self._new_id("t")
        parent = {} if self._parent is None else {"parentMessageId": self._parent}
        return (
            _event("TOOL_CALL_START", toolCallId=ours, toolCallName=tool, **parent)
            + _event("TOOL_CALL_ARGS", toolCallId=ours, delta=dumps(args))
            + _event("TOOL_CALL_END", toolCallId=ours)
        )

    def _result(self, id: str, content: str) -> str:
        self._parent = None
        return _event(
            "TOOL_CALL_RESULT",
            messageId=self._new_id("m"),
            toolCallId=self._calls.pop(id),
            content=content,
            role="tool",
        )

    def _finish(self, complete: bool, usage: Mapping[str, int] | None) -> str:
        self._ended = True
        results = "".join([self._result(id, "") for id in list(self._calls)]) if complete else ""
        counts = {} if usage is None else {"usage": [camel_usage(usage)]}
        outcome = {"type": "success" if complete else "cancelled"}
        return results + _event("RUN_FINISHED", **self._names, outcome=outcome, **counts)

    def _fail(self, message: str, code: str) -> str:
        self._ended = True
        return _event("RUN_ERROR", message=message, code=code)

    def _new_id(self, kind: str) -> str:
        self._count += 1
        return f"{self._run.run_id}-{kind}{self._count}"


def _event(type: str, **fields: object) -> str:
    return f"data: {dumps({'type': type, **fields})}\n\n"
