"""A thread of ours as AG-UI messages, for a client that comes back to it.

A run that answered questions goes on with the calls of the run that asked: what it was told is the
result of a client's own tool, and no message of the user's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bff.api.agui.ids import call_id, result_id, user_id
from bff.api.agui.parts import content_for
from bff.api.agui.versions import Version
from bff.events import JSON, Input, dumps, given_args
from bff.history import StoredMessage

Messages = list[dict[str, Any]]


class Thread:
    """The messages of a thread, and the ids that a client knows open calls by."""

    def __init__(self, stored: Sequence[StoredMessage], version: Version) -> None:
        self.messages: Messages = []
        self._version = version
        self._open: dict[str, str] = {}
        """Calls without a result: the agent's id -> the run that told it."""
        self._answered = ""
        for message in stored:
            if message.role == "assistant":
                self._add_run(message)
            elif message.continues is None:
                self.add_user(message.run_id, message.content, message.parts)
            else:
                self._answered = message.content

    @property
    def calls(self) -> dict[str, str]:
        """What a client knows the calls without a result by, by the agent's own ids."""
        return {id: call_id(run_id, id) for id, run_id in self._open.items()}

    def add_user(self, run_id: str, content: str, parts: Sequence[Mapping[str, Any]]) -> None:
        self.settle()
        shown = content_for(parts, self._version) if parts else content
        self.messages.append({"id": user_id(run_id), "role": "user", "content": shown})

    def _add_run(self, message: StoredMessage) -> None:
        run_id = message.run_id
        earlier = set(self._open)
        new: Messages = []
        results: Messages = []
        for call in message.tool_calls:
            id = call["id"]
            told_by = self._open.get(id, run_id)
            if id not in self._open:
                new.append(_call(call_id(run_id, id), call["tool"], call["args"]))
            if "result" in call or "error" in call:
                _ = self._open.pop(id, None)
                content = call.get("result", call.get("error")) or ""
                results.append(_result(run_id, id, told_by, content))
            else:
                self._open[id] = told_by
        self.settle(earlier & self._open.keys(), self._answered)
        if new and self._open:  # said before it waits
            self._answer(f"{run_id}-m1", message.content, new)
            self.messages += results
            return
        self._answer(f"{run_id}-m0", "", new)
        self.messages += results
        self._answer(f"{run_id}-m1", message.content)

    def _answer(self, id: str, content: str, calls: Sequence[JSON] = ()) -> None:
        shown: dict[str, JSON] = {"id": id, "role": "assistant"}
        if content:
            shown["content"] = content
        if calls:
            shown["toolCalls"] = calls
        if content or calls:
            self.messages.append(shown)

    def settle(self, ids: Collection[str] | None = None, content: str = "") -> None:
        """Give calls a result: a page would take one that has none for its own to run.

        The history has the client's own results as one text.
        """
        for id in list(self._open if ids is None else ids):
            run_id = self._open.pop(id)
            self.messages.append(_result(run_id, id, run_id, content))

    def go_on(self, questions: Sequence[Input], answered: str) -> None:
        """Settle what an open run does not bring the results of: they are the client's own."""
        asked = {question.tool.id: question.kind for question in questions if question.tool}
        own = {id for id, kind in asked.items() if kind == "tool"}
        self.settle(own & self._open.keys(), answered)
        self.settle(self._open.keys() - asked.keys())

    def ask(self, questions: Sequence[Input], run_id: str) -> None:
        """Show the calls that open questions are about, and settle those that nobody asks about."""
        waiting = {question.tool.id: question.tool for question in questions if question.tool}
        self.settle(self._open.keys() - waiting.keys())
        missing = [tool for id, tool in waiting.items() if id not in self._open]
        self._open |= {tool.id: run_id for tool in missing}
        told = [_call(call_id(run_id, tool.id), tool.name, tool.args) for tool in missing]
        self._answer(f"{run_id}-q", "", told)


def _call(id: str, name: str, args: object) -> dict[str, Any]:
    function = {"name": name, "arguments": dumps(given_args(args))}
    return {"id": id, "type": "function", "function": function}


def _result(run_id: str, id: str, told_by: str, content: str) -> dict[str, Any]:
    call = call_id(told_by, id)
    return {"id": result_id(run_id, id), "role": "tool", "toolCallId": call, "content": content}
