"""A run's events folded into one answer: what blocking replies and the history show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bff.events import (
    JOINED_AT_ONCE,
    JSON,
    Done,
    Event,
    Failed,
    File,
    Gap,
    Input,
    Message,
    Source,
    Thinking,
    ToolEnd,
    ToolStart,
    ToolUse,
    well_formed,
)


class Transcript:
    """A run's answer so far: the events folded into text, tool calls, questions and usage.

    A run that answers questions may bring results of calls that an earlier run has told.

    `size` counts what is held, in characters; past `limit` the text is cut and `whole` is false.
    """

    __slots__ = (
        "_asked",
        "_inputs",
        "_joined",
        "_limit",
        "_parts",
        "_reasoning",
        "_text",
        "_tools",
        "end",
        "size",
        "whole",
    )

    def __init__(self, answered: Iterable[Input] = (), limit: int = 8 * 1024 * 1024) -> None:
        self._asked = _asked_about(answered) if answered else _NOTHING
        self._text: list[str] = []
        self._joined = 0
        self._tools: dict[str, dict[str, JSON]] = {}
        self._limit = limit
        self._inputs: dict[str, Input] = {}
        self._parts: list[dict[str, JSON]] = []
        self._reasoning: list[str] = []
        self.size = 0
        self.whole = True
        self.end: Done | Failed | None = None

    def add(self, *events: Event) -> None:
        for event in events:
            if type(event) is Message:  # nearly all, and a pattern takes as long as the rest
                self.size += len(event.content)
                if self.size > self._limit:
                    self.whole = False
                elif self.whole:
                    self._text.append(event.content)
            else:
                self._add(event)
        if len(self._text) > self._joined + JOINED_AT_ONCE:
            self._text[self._joined :] = ["".join(self._text[self._joined :])]
            self._joined += 1

    def _add(self, event: Event) -> None:
        match event:
            case Thinking(content):
                if self._fits(len(content)):
                    self._reasoning.append(content)
            case ToolStart(id, tool, args):
                if self._fits(len(str(args))):
                    self._tools[id] = {"id": id, "tool": tool, "args": args}
            case ToolEnd(id, tool, result, error):
                if self._fits(len(result or error or "")):
                    args = self._asked[id].args if id in self._asked else {}
                    call = self._tools.setdefault(id, {"id": id, "tool": tool, "args": args})
                    call.update({"result": result} if error is None else {"error": error})
            case Input(id):
                self._inputs[id] = event
            case Source(url, title):
                if self._fits(len(url)):
                    cited = {"type": "source", "url": url}
                    self._parts.append(cited if title is None else {**cited, "title": title})
            case File(mime_type, url, data, filename):
                if self._fits(len(url or data or "")):
                    self._parts.append(_file_part(mime_type, url, data, filename))
            case Done() | Failed():
                self.end = event
            case Gap():
                self.whole = False
            case _:
                pass

    def _fits(self, size: int) -> bool:
        self.size += size
        if self.size > self._limit:
            self.whole = False
        return self.whole

    @property
    def text(self) -> str:
        return well_formed("".join(self._text))

    @property
    def reasoning(self) -> str:
        return well_formed("".join(self._reasoning))

    @property
    def tool_calls(self) -> list[dict[str, JSON]]:
        return list(self._tools.values())

    @property
    def parts(self) -> list[dict[str, JSON]]:
        """The files the agent made and the sources it cited, as the history shows them."""
        return list(self._parts)

    @property
    def inputs(self) -> Sequence[Input]:
        """The agent's questions, in the order they were asked; all are open when the run ends."""
        return tuple(self._inputs.values())

    @property
    def usage(self) -> Mapping[str, int] | None:
        return self.end.usage if isinstance(self.end, Done) else None


_NOTHING: Mapping[str, ToolUse] = {}


def _asked_about(questions: Iterable[Input]) -> Mapping[str, ToolUse]:
    return {question.tool.id: question.tool for question in questions if question.tool}


def _file_part(
    mime_type: str, url: str | None, data: str | None, filename: str | None
) -> dict[str, JSON]:
    """A file as a message's part, in the contract's shape."""
    kind = mime_type.partition("/")[0]
    source = {"type": "url", "value": url} if url else {"type": "data", "value": data}
    part: dict[str, JSON] = {
        "type": kind if kind in ("image", "audio", "video") else "document",
        "source": {**source, "mimeType": mime_type},
    }
    return part if filename is None else {**part, "filename": filename}
