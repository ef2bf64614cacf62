"""The response object of OpenAI's Responses.

https://platform.openai.com/docs/api-reference/responses/object. It says back what was asked for;
that part is kept with the run, so that it is the same whenever and wherever it is read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bff.api.openai.responses.input import response_id
from bff.api.openai.responses.items import Item, OutputItems
from bff.events import JSON, Done, Failed, Message, Record, Thinking, dumps
from bff.runs.log import Run

MAX_ECHO_CHARACTERS = 32 * 1024
"""So much of a request, as JSON, is kept with its run to be said back."""

_LARGE = ("tools", "instructions", "text", "metadata", "answers")
"""What is left out of it where it is more, in this order."""


def echo_of(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """What of a request is kept to be said back."""
    kept = {name: value for name, value in fields.items() if value is not None}
    for name in _LARGE:
        if len(dumps(kept)) <= MAX_ECHO_CHARACTERS:
            break
        kept.pop(name, None)
    return kept


class Response:
    """One response, at any time of its run."""

    def __init__(
        self, run_id: str, agent: str, created_at: float, echo: Mapping[str, Any] | None
    ) -> None:
        self._id = response_id(run_id)
        self._agent = agent
        self._created_at = int(created_at)
        self._echo = echo or {}

    @classmethod
    def of(cls, run: Run) -> Response:
        return cls(run.run_id, run.request.agent, run.created_at, run.request.echo)

    @property
    def label(self) -> str:
        """What stands for the server of the agent's tools: the client's own name for one."""
        for tool in self._echo.get("tools") or ():
            match tool:
                case {"type": "mcp", "server_label": str(label)}:
                    return label
        return self._agent

    def fields(
        self,
        status: str,
        output: Sequence[Item],
        *,
        usage: Mapping[str, int] | None = None,
        problem: Mapping[str, Any] | None = None,
        ended_at: float | None = None,
    ) -> dict[str, JSON]:
        """The object; `usage` is the agent's, `problem` what failed it.

        `ended_at` is None for a run that ends now.
        """
        told = self._echo
        ended = status != "in_progress"
        error = None
        if problem is not None:
            error = {"code": problem["code"], "message": problem["detail"]}
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            "background": told.get("background", False),
            "completed_at": int(ended_at or time.time()) if status == "completed" else None,
            "conversation": told.get("conversation"),
            "error": error,
            "incomplete_details": None,
            "instructions": told.get("instructions"),
            "max_output_tokens": told.get("max_output_tokens"),
            "max_tool_calls": told.get("max_tool_calls"),
            "metadata": told.get("metadata", {}),
            "model": told.get("model", self._agent),
            "output": list(output),
            "parallel_tool_calls": told.get("parallel_tool_calls", True),
            "previous_response_id": told.get("previous_response_id"),
            "prompt_cache_key": told.get("prompt_cache_key"),
            "reasoning": told.get("reasoning", {"effort": None, "summary": None}),
            "safety_identifier": told.get("safety_identifier"),
            "service_tier": "default",
            "store": told.get("store", True),
            "temperature": told.get("temperature"),
            "text": told.get("text", {"format": {"type": "text"}}),
            "tool_choice": told.get("tool_choice", "auto"),
            "tools": told.get("tools", []),
            "top_logprobs": told.get("top_logprobs", 0),
            "top_p": told.get("top_p"),
            "truncation": told.get("truncation", "disabled"),
            "usage": _usage(usage) if ended else None,
            "user": told.get("user"),
        }

    def fold(self, run: Run, records: Sequence[Record]) -> dict[str, JSON]:
        """The object as these records make it: its run's, from the first on."""
        items = OutputItems(run, label=self.label, tell=_nobody)
        for record in records:
            match record.event:
                case Done() | Failed() as end:
                    return self.ended(items, end, at=run.ended_at)
                case Message() | Thinking():
                    _ = items.add_piece(record)
                case event:
                    items.add(event)
        items.show()
        return self.fields("in_progress", items.items)

    def ended(self, items: OutputItems, end: Done | Failed, *, at: float | None) -> dict[str, JSON]:
        """The object at its run's end, with which its items end; `at` as `fields` has it."""
        match end:
            case Done("cancelled"):
                items.break_off()
                return self.fields("cancelled", items.items)
            case Done(_, usage, inputs):
                items.ask(inputs)
                items.end()
                return self.fields("completed", items.items, usage=usage, ended_at=at)
            case Failed(problem):
                items.break_off()
                return self.fields("failed", items.items, problem=problem)


def _nobody(type: str, fields: Mapping[str, JSON]) -> None:
    """Nobody is told."""


def _usage(usage: Mapping[str, int] | None) -> dict[str, JSON]:
    """Tokens; zeros where the agent did not say."""
    usage = usage or {}
    asked, answered = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.get("total_tokens", asked + answered),
    }
