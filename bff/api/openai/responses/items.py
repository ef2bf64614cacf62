"""A run as the output items of OpenAI's Responses, and the events that tell of them.

https://platform.openai.com/docs/api-reference/responses/object#responses/object-output. Items are
built event by event, whether anybody is told or not: a response that is read whole and one that is
streamed are the same. Every id is made of the run's and the item's place, so they are the same
again when the run is replayed on any task, and a later request may refer to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bff.api.openai.messages import NOTHING_SAID, arguments_text
from bff.api.openai.responses.input import approval_id
from bff.conversations.questions import questions_as_text, run_by_client
from bff.events import (
    JSON,
    Event,
    File,
    Input,
    Record,
    Source,
    ToolEnd,
    ToolStart,
    ToolUse,
    dumps,
)
from bff.runs.log import Run

Item = dict[str, Any]
Tell = Callable[[str, Mapping[str, JSON]], None]
"""Takes an event's type and its fields, without the sequence number. It is to render them at once:
items go on growing."""


class OutputItems:
    """The items of one response, and what is told while they grow.

    `label` stands where OpenAI names the MCP server that runs the agent's tools. The pieces of a
    text are not told from here: `add_piece` takes them, and whoever streams writes them himself.
    """

    def __init__(self, run: Run, *, label: str, tell: Tell) -> None:
        self.items: Final[list[Item]] = []
        self._run = run
        self._hex = run.run_id.removeprefix("run_")
        self._label = label
        self._tell = tell
        self._open: Item | None = None
        self._last: Item | None = None  # to which the last piece belonged
        self._texts: list[str] = []
        self._pieces: list[str] = []
        self._characters = 0
        self._calls: dict[str, int] = {}

    def add_piece(self, piece: Record) -> bool:
        """Take a `message` or `thinking`; true if it belongs to another item than the one before.

        That item need not begin with it: a message may begin with what it cites.
        """
        self._open_as("message" if piece.name == "message" else "reasoning")
        self._pieces.append(piece.content)
        if self._open is self._last:
            return False
        self._last = self._open
        return True

    def add(self, event: Event) -> None:
        """Take any other event that is not an end."""
        match event:
            case ToolStart(id, tool, args):
                self._start_call(id, tool, args)
            case ToolEnd(id, tool, result, error):
                self._end_call(id, tool, result, error)
            case Source(url, title):
                self._annotate(url, title)
            case File(mime_type, url, data, filename):
                self._add_file(mime_type, url, data, filename)
            case Input(kind="tool") as question:
                self._ask_client(question)
            case _:  # this format has no place for what is custom
                pass

    def ask(self, questions: Iterable[Input]) -> None:
        """Tell what the agent asks: in words, for any client, and approvals as items as well."""
        questions = tuple(questions)
        if questions:
            self.close()
        self._break_off_calls()  # what waits for an approval is told again once it is given
        if asked := questions_as_text(questions):
            self._say(asked)
            self.close()
        for question in questions:
            if question.kind == "approval":
                self._ask_approval(question)

    def _say(self, text: str) -> None:
        """Add words of ours to the open message, or to a new one."""
        self._open_as("message")
        self._pieces.append(dumps(text))
        fields = {**self.open_place, "delta": text, "logprobs": []}
        self._tell("response.output_text.delta", fields)

    def end(self) -> None:
        """Close an answer that came to its end; one without text or a question has a line break."""
        self.show()
        if not any(map(_is_answer, self.items)):
            self._say(NOTHING_SAID)
        self.close()

    def close(self, status: str = "completed") -> None:
        """Close the item that is open, if one is."""
        item, self._open = self._open, None
        if item is None:
            return
        place = self._place(item)
        item["status"] = status
        text, part = self._fill(item)
        if item["type"] == "reasoning":
            self._tell("response.reasoning_summary_text.done", {**place, "text": text})
            self._tell("response.reasoning_summary_part.done", {**place, "part": part})
        else:
            self._tell("response.output_text.done", {**place, "text": text, "logprobs": []})
            self._tell("response.content_part.done", {**place, "part": part})
        self._texts.clear()
        self._characters = 0
        self._done(item)

    def break_off(self) -> None:
        """Close what is open without having come to its end."""
        self.close("incomplete")
        self._break_off_calls()

    def _break_off_calls(self) -> None:
        for index in self._calls.values():
            self.items[index]["status"] = "incomplete"
            self._done(self.items[index])
        self._calls.clear()

    def show(self) -> None:
        """Have the open item hold its text so far."""
        if self._open is not None:
            _ = self._fill(self._open)

    @property
    def open_place(self) -> dict[str, JSON]:
        """Where a piece of the open item's text belongs."""
        assert self._open is not None
        return self._place(self._open)

    def _fill(self, item: Item) -> tuple[str, dict[str, JSON]]:
        """Give the open item its text; returns that and the part that holds it."""
        self._decode()
        text = "".join(self._texts)
        if item["type"] == "message":
            part = item["content"][0]
            part["text"] = text
        else:
            part = {"type": "summary_text", "text": text}
            item["summary"] = [part]
        return text, part

    def _decode(self) -> None:
        """Decode the pieces, which are JSON strings, all at once."""
        if self._pieces:
            text = json.loads('"' + "".join([piece[1:-1] for piece in self._pieces]) + '"')
            self._pieces.clear()
            self._texts.append(text)
            self._characters += len(text)

    def _open_as(self, type: str) -> None:
        """Open an item of that type, if the open one is not."""
        if self._open is not None and self._open["type"] == type:
            return
        self.close()
        item: Item
        if type == "message":
            item = {"type": type, "status": "in_progress", "role": "assistant", "content": []}
            item = self._begin("msg", item)
            part: dict[str, JSON] = {
                "type": "output_text",
                "text": "",
                "annotations": [],
                "logprobs": [],
            }
            self._open = item
            self._tell("response.content_part.added", {**self._place(item), "part": part})
            item["content"] = [part]
        else:
            item = self._begin("rs", {"type": type, "status": "in_progress", "summary": []})
            self._open = item
            part = {"type": "summary_text", "text": ""}
            place = self._place(item)
            self._tell("response.reasoning_summary_part.added", {**place, "part": part})

    def _start_call(self, id: str, tool: str, args: JSON, approved_as: str | None = None) -> None:
        """A tool that the agent runs, as the MCP call it is to a client."""
        self.close()
        item = self._begin(
            "mcp",
            {
                "type": "mcp_call",
                "status": "in_progress",
                "approval_request_id": approved_as,
                "server_label": self._label,
                "name": tool,
                "arguments": "",
                "output": None,
                "error": None,
            },
        )
        place = self._place(item)
        self._tell("response.mcp_call.in_progress", place)
        item["arguments"] = arguments = _arguments(args)
        self._tell("response.mcp_call_arguments.delta", {**place, "delta": arguments})
        self._tell("response.mcp_call_arguments.done", {**place, "arguments": arguments})
        self._calls[id] = place["output_index"]

    def _end_call(self, id: str, tool: str, result: str | None, error: str | None) -> None:
        if id not in self._calls:
            if id in run_by_client(self._run.request.questions):
                return
            self._start_approved(id, tool)
        item = self.items[self._calls.pop(id)]
        item["status"] = "completed" if error is None else "failed"
        item["output"] = result
        if error is not None:
            content = [{"type": "text", "text": error}]
            item["error"] = {"type": "mcp_tool_execution_error", "content": content}
        self._tell(f"response.mcp_call.{item['status']}", self._place(item))
        self._done(item)

    def _start_approved(self, id: str, tool: str) -> None:
        """A call that an earlier response asked about; of any other, only the end was told."""
        request = self._run.request
        for question in request.questions:
            if question.tool and question.tool.id == id:
                asked = request.continues and approval_id(request.continues, question.id)
                self._start_call(id, tool, question.tool.args, asked)
                return
        self._start_call(id, tool, {})

    def _annotate(self, url: str, title: str | None) -> None:
        """What the agent cites, at the end of what it has said so far."""
        self._open_as("message")
        item = self._open
        assert item is not None
        self._decode()
        cited: dict[str, JSON] = {
            "type": "url_citation",
            "url": url,
            "title": title or url,
            "start_index": self._characters,
            "end_index": self._characters,
        }
        annotations = item["content"][0]["annotations"]
        annotations.append(cited)
        fields = {"annotation_index": len(annotations) - 1, "annotation": cited}
        self._tell("response.output_text.annotation.added", {**self._place(item), **fields})

    def _add_file(
        self, mime_type: str, url: str | None, data: str | None, filename: str | None
    ) -> None:
        if data is None or not mime_type.startswith("image/"):
            self._annotate(url or f"data:{mime_type};base64,{data}", filename or mime_type)
            return
        if self._open is not None and self._open["type"] != "message":
            self.close()
        # a message stays open: what is said or cited behind a picture is no message of its own,
        # and an empty last one would be taken for the answer
        item = {"type": "image_generation_call", "status": "in_progress", "result": None}
        item = self._begin("ig", item)
        item |= {
            "status": "completed",
            "result": data,
            "output_format": mime_type.removeprefix("image/"),
        }
        self._tell("response.image_generation_call.completed", self._place(item))
        self._done(item)

    def _ask_client(self, question: Input) -> None:
        """A call of the client's own function."""
        self.close()
        tool = question.tool or ToolUse(question.id, "tool", {})
        call = {"call_id": tool.id, "name": tool.name}
        head = {"type": "function_call", "status": "in_progress", "arguments": ""}
        item = self._begin("fc", head | call)
        place = self._place(item)
        item["arguments"] = arguments = arguments_text(tool.args)
        self._tell("response.function_call_arguments.delta", {**place, "delta": arguments})
        done = {"name": tool.name, "arguments": arguments}
        self._tell("response.function_call_arguments.done", {**place, **done})
        item["status"] = "completed"
        self._done(item)

    def _ask_approval(self, question: Input) -> None:
        tool = question.tool
        asked: Item = {
            "id": approval_id(self._run.run_id, question.id),
            "type": "mcp_approval_request",
            "server_label": self._label,
            "name": tool.name if tool else "approval",
            "arguments": _arguments(tool.args if tool else question.value),
        }
        self.items.append(asked)
        self._tell("response.output_item.added", self._item(asked))
        self._done(asked)

    def _begin(self, prefix: str, fields: Item) -> Item:
        item = {"id": f"{prefix}_{self._hex}_{len(self.items)}", **fields}
        self.items.append(item)
        self._tell("response.output_item.added", self._item(item))
        return item

    def _done(self, item: Item) -> None:
        self._tell("response.output_item.done", self._item(item))

    def _item(self, item: Item) -> dict[str, JSON]:
        return {"output_index": self._index(item), "item": item}

    def _place(self, item: Item) -> dict[str, JSON]:
        place: dict[str, JSON] = {"item_id": item["id"], "output_index": self._index(item)}
        match item["type"]:
            case "message":
                place["content_index"] = 0
            case "reasoning":
                place["summary_index"] = 0
        return place

    def _index(self, item: Item) -> int:
        """The item's place in the output."""
        last = len(self.items) - 1
        return last if self.items[last] is item else self.items.index(item)


def _is_answer(item: Item) -> bool:
    """Whether a client takes an item for an answer, or answers it itself."""
    if item["type"] == "message":
        return bool(item["content"][0]["text"])
    return item["type"] in ("function_call", "mcp_approval_request")


def _arguments(args: JSON) -> str:
    """A call's arguments as JSON, which clients read: an agent may have given text that is none."""
    if isinstance(args, str) and args:
        try:
            json.loads(args)
        except (ValueError, RecursionError):
            return dumps(args)
    return arguments_text(args)
