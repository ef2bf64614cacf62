"""A run as AG-UI events (https://docs.ag-ui.com/concepts/events), for the version of its client.

Clients throw when a run does not begin with RUN_STARTED or finishes with a message still open, and
take a tool call without a result for one that the page has to run: the encoder leaves none of
these but for those that are. docs/protocols.md has a transcript.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from bff.api.agui.ids import call_id, result_id
from bff.api.agui.interrupts import asked, interrupts, on_interrupt
from bff.api.agui.passed_on import PassedOn
from bff.api.agui.versions import (
    FIRST,
    INTERRUPTS,
    PROTOCOL_VERSION,
    REASONING,
    Version,
    knows_outcomes,
)
from bff.api.ai_sdk.parts import camel_usage
from bff.conversations.questions import run_by_client
from bff.events import (
    JSON,
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
    given_args,
)
from bff.runs.log import Run


class AgUiEncoder:
    """A run as AG-UI events.

    `thread_id` and `run_id` are the client's and only echoed. `calls` are ids that it knows calls
    of earlier runs by, by the agent's own, and `given` those it sent a result of. `before` are the
    messages of the thread, told first to a client that comes back to it.
    """

    headers: Mapping[str, str] = {"X-Accel-Buffering": "no"}
    reconnects = False

    def __init__(
        self,
        run: Run,
        *,
        thread_id: str,
        run_id: str,
        version: Version = FIRST,
        calls: Mapping[str, str] | None = None,
        given: Collection[str] = (),
        before: Sequence[JSON] | None = None,
    ) -> None:
        self._run_id = run.run_id
        self._names = {"threadId": thread_id, "runId": run_id}
        self._version = version
        self._before = before
        self._thoughts = "REASONING" if version >= REASONING else "THINKING"
        self._started = self._ended = False
        self._open: str | None = None  # the kind of message that is open
        self._message = ""
        self._prefix = ""  # of the next delta
        self._parent: str | None = None  # the message that the next tool call belongs to
        self._count: Counter[str] = Counter()
        self._calls: dict[str, str] = {}  # those without a result: the agent's id -> ours
        self._known = {**_asked_about(run), **(calls or {})}  # those of earlier runs
        self._clients = run_by_client(run.request.questions)
        self._unsettled = {
            question.tool.id: run.request.message
            for question in run.request.questions
            if question.tool and question.kind != "tool" and question.tool.id not in given
        }  # calls whose questions were answered -> the answer, until they have a result
        self._asked: list[Input] = []
        self._passed_on = PassedOn(version)

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
                return start + self._delta(self._thoughts, record.content)
            case _:
                return start + self._close() + self._other(record)

    def _start(self) -> str:
        self._started = True
        return started(self._names) + (
            "" if self._before is None else event("MESSAGES_SNAPSHOT", messages=self._before)
        )

    def _delta(self, kind: str, content: str) -> str:
        if content == '""':  # which clients before 0.0.53 refuse
            return ""
        opening = "" if self._open == kind else self._close() + self._begin(kind)
        return f"{opening}{self._prefix}{content}}}\n\n"

    def _begin(self, kind: str) -> str:
        self._open = kind
        self._message = id = self._new_id("m" if kind == "TEXT" else "r")
        named = f'"messageId":"{id}",'
        match kind:
            case "TEXT":
                self._parent = id
                begin = event("TEXT_MESSAGE_START", messageId=id, role="assistant")
            case "REASONING":
                begin = event("REASONING_START", messageId=id) + event(
                    "REASONING_MESSAGE_START", messageId=id, role="reasoning"
                )
            case _:
                kind, named = "THINKING_TEXT", ""
                begin = event("THINKING_START") + event("THINKING_TEXT_MESSAGE_START")
        self._prefix = f'data: {{"type":"{kind}_MESSAGE_CONTENT",{named}"delta":'
        return begin

    def _close(self) -> str:
        kind, self._open = self._open, None
        match kind:
            case None:
                return ""
            case "TEXT":
                return event("TEXT_MESSAGE_END", messageId=self._message)
            case "REASONING":
                return event("REASONING_MESSAGE_END", messageId=self._message) + event(
                    "REASONING_END", messageId=self._message
                )
        return event("THINKING_TEXT_MESSAGE_END") + event("THINKING_END")

    def _other(self, record: Record) -> str:
        match record.event:
            case ToolStart(id, tool, args):
                return self._call(id, tool, args)
            case ToolEnd(id) if id in self._clients and id not in self._calls:
                return ""
            case ToolEnd(id, tool, result, error):
                # a result whose call never came (it was in a gap, say) is given one
                opening = "" if self._is_told(id) else self._call(id, tool, {})
                return opening + self._result(id, (result if error is None else error) or "")
            case Source() | File():
                return event("CUSTOM", name=record.name, value=json.loads(record.data))
            case Custom(value, name):
                if name == "MESSAGES_SNAPSHOT":  # the agent's own, with what became of its calls
                    self._unsettled.clear()
                return frame(self._passed_on.event(name, value))
            case Input() as question:
                return self._ask(question)
            case Done(status, usage, inputs):
                return self._finish(status, usage, inputs or self._asked)
            case Failed(problem):
                return self._fail(problem["error"]["message"], problem["code"])
            case Gap() as gap:
                return self._fail(gap.message, "gap")
            case _:
                raise AssertionError(record)

    def _call(self, id: str, tool: str, args: object) -> str:
        self._calls[id] = ours = call_id(self._run_id, id, self._nth("call", id))
        parent = {} if self._parent is None else {"parentMessageId": self._parent}
        return (
            event("TOOL_CALL_START", toolCallId=ours, toolCallName=tool, **parent)
            + event("TOOL_CALL_ARGS", toolCallId=ours, delta=dumps(given_args(args)))
            + event("TOOL_CALL_END", toolCallId=ours)
        )

    def _is_told(self, id: str) -> bool:
        return id in self._calls or id in self._known

    def _result(self, id: str, content: str) -> str:
        self._parent = None
        self._unsettled.pop(id, None)
        return event(
            "TOOL_CALL_RESULT",
            messageId=result_id(self._run_id, id, self._nth("result", id)),
            toolCallId=self._calls.pop(id, None) or self._known.pop(id),
            content=content,
            role="tool",
        )

    def _ask(self, question: Input) -> str:
        self._asked.append(question)
        tool = question.tool
        call = "" if tool is None or self._is_told(tool.id) else self._call(
            tool.id, tool.name, tool.args
        )  # fmt: skip
        return call + interrupted([question], self._version)

    def _finish(
        self, status: str, usage: Mapping[str, int] | None, questions: Sequence[Input]
    ) -> str:
        self._ended = True
        waiting = {question.tool.id for question in questions if question.tool}
        earlier = {id: said for id, said in self._unsettled.items() if id in self._known}
        left = {**earlier, **dict.fromkeys(self._calls, "")}
        unanswered = "" if status == "cancelled" else "".join(
            [self._result(id, said) for id, said in left.items() if id not in waiting]
        )  # fmt: skip
        ends = "".join([frame(end) for end in self._passed_on.close()])
        counts = {} if usage is None else {"usage": [camel_usage(usage)]}
        calls = {**self._known, **self._calls}
        end = outcome(status, questions, calls, self._version)
        return unanswered + ends + event("RUN_FINISHED", **self._names, **end, **counts)

    def _fail(self, message: str, code: str) -> str:
        self._ended = True
        return event("RUN_ERROR", message=message, code=code)

    def _new_id(self, kind: str) -> str:
        return f"{self._run_id}-{kind}{self._nth(kind, '')}"

    def _nth(self, kind: str, id: str) -> int:
        key = f"{kind} {id}"
        self._count[key] += 1
        return self._count[key]


def _asked_about(run: Run) -> dict[str, str]:
    """What a client knows the calls by whose questions this run answers."""
    request = run.request
    if request.continues is None:
        return {}
    return {
        question.tool.id: call_id(request.continues, question.tool.id)
        for question in request.questions
        if question.tool is not None
    }


def started(names: Mapping[str, str]) -> str:
    return event("RUN_STARTED", **names, protocolVersion=PROTOCOL_VERSION)


def interrupted(questions: Sequence[Input], version: Version) -> str:
    """Questions for clients that may not know the outcome of a run."""
    if version >= INTERRUPTS:
        return ""
    return "".join([frame(on_interrupt(question)) for question in asked(questions)])


def outcome(
    status: str, questions: Sequence[Input], calls: Mapping[str, str], version: Version
) -> dict[str, JSON]:
    """How a run finished, for RUN_FINISHED; where the outcome has no word for it, as its result."""
    if status == "cancelled":
        if version >= FIRST:
            return {"outcome": {"type": "cancelled"}}
        return {"result": {"status": "cancelled"}}
    if not knows_outcomes(version):
        return {}
    if waiting := asked(questions):
        return {"outcome": {"type": "interrupt", "interrupts": interrupts(waiting, calls)}}
    pending = [calls.get(q.tool.id, q.tool.id) for q in questions if q.tool is not None]
    if pending and version >= FIRST:
        return {"outcome": {"type": "success", "pendingToolCallIds": pending}}
    return {"outcome": {"type": "success"}}


def event(type: str, **fields: object) -> str:
    return frame({"type": type, **fields})


def frame(event: Mapping[str, object]) -> str:
    return f"data: {dumps(event)}\n\n"
