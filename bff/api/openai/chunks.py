"""A run as OpenAI's chat completions: `chat.completion.chunk`s, or one message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bff.api.openai.messages import NOTHING_SAID, arguments_text
from bff.conversations.questions import questions_as_text
from bff.errors import RunCancelled
from bff.events import (
    JSON,
    Done,
    Event,
    Failed,
    File,
    Gap,
    Input,
    Record,
    Source,
    ToolUse,
    dumps,
    encode,
)
from bff.events import Message as Said
from bff.runs.log import Run
from bff.runs.transcript import Transcript


def completion_id(run: Run) -> str:
    return f"chatcmpl-{run.run_id.removeprefix('run_')}"


def tokens(usage: Mapping[str, int] | None) -> dict[str, int]:
    """Usage as OpenAI counts it; zeros where the agent did not say."""
    usage = usage or {}
    asked, answered = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": usage.get("total_tokens", asked + answered),
    }


def message_of(transcript: Transcript) -> tuple[dict[str, JSON], str]:
    """The assistant's message, and why it ends.

    A question of the agent's is told in words, since this format has no place for one: the next
    message answers it.
    """
    asked = questions_as_text(transcript.inputs)
    calls = [tool_call(question) for question in transcript.inputs if question.kind == "tool"]
    text = "\n\n".join(part for part in (transcript.text, asked) if part)
    message: dict[str, JSON] = {
        "role": "assistant",
        "content": text or (None if calls else NOTHING_SAID),
        "refusal": None,
    }
    if transcript.reasoning:
        message["reasoning_content"] = message["reasoning"] = transcript.reasoning
    if calls:
        message["tool_calls"] = calls
    sources = [part for part in transcript.parts if part["type"] == "source"]
    files = [part for part in transcript.parts if part["type"] != "source"]
    if sources:
        message["annotations"] = [citation(part["url"], part.get("title")) for part in sources]
    if files:
        message["images"] = [_image(part["source"]) for part in files]
    return message, "tool_calls" if calls else "stop"


def tool_call(question: Input) -> dict[str, JSON]:
    """A call of the client's own tool."""
    tool = question.tool or ToolUse(question.id, "tool", {})
    function = {"name": tool.name, "arguments": arguments_text(tool.args)}
    return {"id": tool.id, "type": "function", "function": function}


def citation(url: str, title: str | None) -> dict[str, JSON]:
    cited = {"url": url, "title": title or url, "start_index": 0, "end_index": 0}
    return {"type": "url_citation", "url_citation": cited}


def _image(source: Mapping[str, JSON]) -> dict[str, JSON]:
    """A file the agent made, as gateways that stream images tell it."""
    url = source["value"]
    if source["type"] == "data":
        url = f"data:{source['mimeType']};base64,{url}"
    return {"type": "image_url", "image_url": {"url": url}}


class ChunkEncoder:
    """A run as chunks; reasoning is told under both names that clients look for."""

    reconnects = False

    def __init__(
        self, run: Run, *, model: str, include_usage: bool, headers: Mapping[str, str]
    ) -> None:
        self.headers: Mapping[str, str] = {"X-Accel-Buffering": "no", **headers}
        self._include_usage = include_usage
        self._ended = False
        self._said = False
        self._calls = self._files = 0
        self._sources: list[JSON] = []
        head = {
            "id": completion_id(run),
            "object": "chat.completion.chunk",
            "created": int(run.created_at),
            "model": model,
        }
        self._head = f"data: {dumps(head)[:-1]},"
        self._usage = ',"usage":null' if include_usage else ""

    def __call__(self, records: Sequence[Record]) -> bytes:
        return "".join([self._frames(record) for record in records if not self._ended]).encode()

    def _frames(self, record: Record) -> str:
        match record.name:
            case "start":
                return self._chunk('{"role":"assistant","content":""}')
            case "message":
                self._said = self._said or record.content != '""'
                return self._chunk('{"content":' + record.content + "}")
            case "thinking":
                content = record.content
                return self._chunk(f'{{"reasoning_content":{content},"reasoning":{content}}}')
            case "done" | "error" | "gap":
                self._ended = True
                return self._end(record.event) + "data: [DONE]\n\n"
            case "input" | "source" | "file":
                return self._part(record)
            case _:  # tools have been run, and this format has no place for what is custom
                return ""

    def _part(self, record: Record) -> str:
        # entries of lists are numbered, or openai's own client cannot add them up
        match record.event:
            case Input(kind="tool") as question:
                call = {"index": self._calls, **tool_call(question)}
                self._calls += 1
                return self._chunk(dumps({"tool_calls": [call]}))
            case Source(url, title):
                self._sources.append({"index": len(self._sources), **citation(url, title)})
            case File(mime_type, url, data):
                source = {"type": "url" if url else "data", "value": url or data}
                image = {"index": self._files, **_image({**source, "mimeType": mime_type})}
                self._files += 1
                return self._chunk(dumps({"images": [image]}))
        return ""

    def _chunk(self, delta: str, finish: str = "null") -> str:
        choice = f'"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]'
        return f"{self._head}{choice}{self._usage}}}\n\n"

    def _end(self, event: Event) -> str:
        # sources stand where OpenAI's own do, in the last chunk: some clients look for them in no
        # other, and some keep none that came before the text
        cited = dumps({"annotations": self._sources}) if self._sources else "{}"
        if isinstance(event, Done) and event.status != "cancelled":
            end = ""
            if asked := questions_as_text(event.inputs):
                end = self._chunk(encode(Said(f"\n\n{asked}" if self._said else asked)))
            elif not self._said and not self._calls:
                end = self._chunk(encode(Said(NOTHING_SAID)))
            end += self._chunk(cited, '"tool_calls"' if self._calls else '"stop"')
            if self._include_usage:
                end += f'{self._head}"choices":[],"usage":{dumps(tokens(event.usage))}}}\n\n'
            return end
        told = self._chunk(cited) if self._sources else ""
        match event:
            case Done():
                return told + _error(RunCancelled().document(request_id="", instance="")["error"])
            case Failed(problem):
                return told + _error(problem["error"])
            case Gap(message=message):
                error = {"message": message, "type": "server_error", "code": "gap", "param": None}
                return told + _error(error)
            case _:
                raise AssertionError(event)


def _error(error: Mapping[str, Any]) -> str:
    """An error: as data, which OpenAI's clients read, and named as such for those that read names.

    LangChain4j takes data without choices for none, and the stream for a short answer.
    """
    return f"event: error\ndata: {dumps({'error': error})}\n\n"
