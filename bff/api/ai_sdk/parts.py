"""A run as the parts of a UI message stream, in shapes that versions 5, 6 and 7 all take.

5 refuses a part with a field it does not know, so `finish` and `abort` carry nothing but what 5.0.0
knew, and finds the call of an outcome only if both are `dynamic`. The agent's own tools are, since
the page does not know them, and `providerExecuted`, since a page that could run or answer them
would send the turn again. A question is a tool part without that mark, which is what a page waits
for and answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

from bff.api.ai_sdk.messages import call_of
from bff.conversations.questions import run_by_client
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
    given_args,
)
from bff.runs.log import Run


class UIEncoder:
    """A run as UI message stream parts; what is open is closed before any end.

    A run that answers questions goes on with the message that asked. A page that was there has that
    message and sees its calls' results; for one that comes back, `before` is what is in it already.
    """

    headers: Mapping[str, str] = {
        "X-Vercel-AI-UI-Message-Stream": "v1",
        "X-Accel-Buffering": "no",
    }
    reconnects = False

    def __init__(self, run: Run, *, before: Sequence[Mapping[str, Any]] = ()) -> None:
        self._run = run
        self._before = before
        self._started = False
        self._open: str | None = None
        self._blocks = 0
        self._tools: set[str] = set()
        """Calls of this run without a result."""
        self._asked: set[str] = set()
        """Calls that are a question now: the page is to answer them."""
        self._answered = {
            call_of(question).id: question
            for question in run.request.questions
            if question.kind != "tool" and run.request.continues is not None
        }
        """Calls earlier in the message whose questions were answered, without a result yet."""
        self._pages = run_by_client(run.request.questions)

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
        run = self._run
        metadata = {"runId": run.run_id, "sessionId": run.session_id}
        id = run.request.continues or run.run_id
        start = _part({"type": "start", "messageId": id, "messageMetadata": metadata})
        if self._before:
            start += self._replay()
        return start + _part({"type": "start-step"})

    def _replay(self) -> str:
        """The message as it was before this run."""
        frames = []
        for part in self._before:
            match part:
                case {"type": "step-start"}:
                    frames.append(_part({"type": "start-step"}))
                case {"type": "text", "text": text}:
                    frames += [self._delta("text", encode_basestring(text)), self._close()]
                case {"toolCallId": id, "input": args}:
                    name = part.get("toolName") or part["type"].removeprefix("tool-")
                    mark = {"providerExecuted": True} if part.get("providerExecuted") else {}
                    dynamic = part["type"] == "dynamic-tool"
                    frames.append(_call(id, name, args, dynamic, mark))
                    if part["state"] == "output-available":
                        frames.append(_outcome(id, part["output"], None, dynamic))
                    elif part["state"] == "output-error":
                        frames.append(_outcome(id, None, part["errorText"], dynamic))
                case {"type": "source-url" | "file"}:
                    frames.append(_part(part))
        return "".join([*frames, _part({"type": "finish-step"})])

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
                self._tools.add(id)
                return _call(id, tool, args, True, _EXECUTED)
            case ToolEnd(id, tool, result, error):
                return self._result(id, tool, result, error)
            case Source(url, title):
                id = f"{self._run.run_id}-{record.id}"
                cited = {"type": "source-url", "sourceId": id, "url": url}
                return _part(cited if title is None else {**cited, "title": title})
            case File(mime_type, url, data):
                url = url or f"data:{mime_type};base64,{data}"
                return _part({"type": "file", "url": url, "mediaType": mime_type})
            case Custom(value, name):
                return _part({"type": _data_type(name), "data": value})
            case Input() as question:
                return self._ask(question)
            case Gap(first, last):
                return _part({"type": "data-gap", "data": {"from": first, "to": last}})
            case Done("cancelled"):
                return self._unanswered("cancelled") + _part({"type": "abort"}) + _DONE
            case Done(status, usage):
                return self._unanswered(None) + self._finish(status, usage)
            case Failed(problem):
                text = problem["error"]["message"]
                error = _part({"type": "error", "errorText": text})
                return self._unanswered(text) + error + self._finish("failed", None)
            case _:
                raise AssertionError(record)

    def _result(self, id: str, tool: str, result: str | None, error: str | None) -> str:
        # a result without its call (that was in a gap, say) would break the client
        known = id in self._tools or id in self._answered
        if not known and id in self._pages:
            return ""
        opening = "" if known else _call(id, tool, self._args_of(id), True, _EXECUTED)
        self._tools.discard(id)
        self._answered.pop(id, None)
        return opening + _outcome(id, result, error)

    def _args_of(self, id: str) -> object:
        """The arguments of a call that an earlier message told."""
        asked = [question.tool for question in self._run.request.questions if question.tool]
        return next((tool.args for tool in asked if tool.id == id), {})

    def _ask(self, question: Input) -> str:
        call = call_of(question)
        self._tools.discard(call.id)
        self._asked.add(call.id)
        # said again if it was told before: now it is the page's, and no more the agent's alone
        frames = _call(call.id, call.name, call.args, question.kind != "tool", _ASKED)
        if question.kind == "approval":
            asked = {"approvalId": question.id, "toolCallId": call.id}
            frames += _part({"type": "tool-approval-request", **asked})
        return frames

    def _unanswered(self, error: str | None) -> str:
        """An outcome for each call that has none, or its card would wait for ever."""
        outcomes = [_outcome(id, "", error) for id in sorted(self._tools)]
        for id, question in self._answered.items():
            if id in self._asked:
                continue
            declined = question.kind == "approval" and question.id in self._run.request.declined
            if error is None and declined:
                outcomes.append(_part({"type": "tool-output-denied", "toolCallId": id}))
            else:
                outcomes.append(_outcome(id, "", error))
        return "".join(outcomes)

    def _finish(self, status: str, usage: Mapping[str, int] | None) -> str:
        metadata: dict[str, object] = {"status": status}
        if usage is not None:
            metadata["usage"] = camel_usage(usage)
        finish = {"type": "finish", "messageMetadata": metadata}
        return _part({"type": "finish-step"}) + _part(finish) + _DONE


def _call(id: str, tool: str, args: object, dynamic: bool, mark: Mapping[str, bool]) -> str:
    head = {"type": "tool-input-available", "toolCallId": id, "toolName": tool}
    return _part({**head, "input": given_args(args), **(_DYNAMIC if dynamic else {}), **mark})


def _outcome(id: str, result: object, error: str | None, dynamic: bool = True) -> str:
    told = (
        {"type": "tool-output-available", "toolCallId": id, "output": result}
        if error is None
        else {"type": "tool-output-error", "toolCallId": id, "errorText": error}
    )
    return _part({**told, **(_DYNAMIC if dynamic else {})})


def _data_type(name: str | None) -> str:
    """The type of a part for a frame of the agent's own."""
    if name is None:
        return "data-custom"
    return name if name.startswith("data-") else f"data-{name}"


_DYNAMIC = {"dynamic": True}
_EXECUTED = {"providerExecuted": True}
_ASKED = {"providerExecuted": False}
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
