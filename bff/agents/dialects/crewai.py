"""CrewAI: the output of a crew, and the chunks and events that it streams.

https://docs.crewai.com/. `raw` is the text of an output; each task's agent is one of the speakers.
"""

from __future__ import annotations

from collections.abc import Callable

from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.agents.json_values import parse
from bff.events import JSON

_FAILED = frozenset({"crew_kickoff_failed", "flow_failed"})


def read_output(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A CrewOutput or a TaskOutput."""
    raw = frame.get("raw")
    if not isinstance(raw, str) or frame.keys().isdisjoint(_BESIDE):
        return False
    answer.dialects.add("crewai")
    for task in items(frame.get("tasks_output")):
        match task:
            case {"raw": str(text), **rest}:
                _say(answer, text, rest.get("agent"))
    if raw.strip():
        answer.text.whole(raw, "crew")
    typed = frame.get("pydantic") or frame.get("json_dict")
    if typed is not None:
        answer.structured = typed
    answer.usage.set_total(frame.get("token_usage"))
    return True


_BESIDE = frozenset({"tasks_output", "json_dict", "pydantic", "token_usage", "agent", "summary"})


def _say(answer: Assembly, text: str, agent: JSON, source: str = "task") -> None:
    if text.strip():
        _heard(answer, agent, text, lambda value: answer.text.whole(value, source))


def _heard(answer: Assembly, agent: JSON, value: JSON, read: Callable[[JSON], None]) -> None:
    """Read what an agent said; whose it is may not be told."""
    if isinstance(agent, str) and agent.strip():
        answer.speak(agent.strip(), value, read)
    else:
        read(value)


def read_chunk(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StreamChunk: a piece of text or of a tool call, with the agent it is of."""
    kind = frame.get("chunk_type")
    agent = frame.get("agent_role")
    answer.dialects.add("crewai")
    match frame:
        case {"chunk_type": "text", "content": str(text)}:
            _heard(answer, agent, text, lambda value: answer.text.delta(value, "crew chunks"))
        case {"tool_call": dict(call)} if kind == "tool_call":
            _heard(answer, agent, call, lambda value: _read_piece(answer, value))
        case _:
            return False
    return True


def _read_piece(answer: Assembly, call: JSON) -> None:
    id, tool = call.get("tool_id"), call.get("tool_name")
    args = call.get("arguments")
    if isinstance(id, str) and isinstance(tool, str) and isinstance(args, str):
        answer.tools.so_far("crewai", id, tool, args)  # each piece repeats those before it


def read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An event of CrewAI's bus, bare or as the `data` of a frame."""
    data = frame.get("data")
    fields = {**data, **frame} if isinstance(data, dict) else frame
    kind = frame["type"]
    name = fields.get("tool_name")
    agent = fields.get("agent_role")
    answer.dialects.add("crewai")
    match kind:
        case "llm_stream_chunk":
            chunk = fields.get("chunk")
            if isinstance(chunk, str) and not isinstance(fields.get("tool_call"), dict):
                _heard(answer, agent, chunk, lambda value: answer.text.delta(value, "crew chunks"))
        case "llm_thinking_chunk":
            chunk = fields.get("chunk")
            if isinstance(chunk, str):
                _heard(
                    answer, agent, chunk, lambda value: answer.thinking.delta(value, "crew chunks")
                )
        case "tool_usage_started" if isinstance(name, str):
            args = fields.get("tool_args")
            answer.tools.whole("crewai", None, name, parse(args) if isinstance(args, str) else args)
        case "tool_usage_finished" if isinstance(name, str):
            answer.tools.result(None, name, as_text(fields.get("output")))
        case "tool_usage_error" if isinstance(name, str):
            answer.tools.result(None, name, None, as_text(fields.get("error")))
        case "crew_kickoff_completed" | "task_completed" | "agent_execution_completed":
            found = fields.get("output")
            if isinstance(found, dict) and isinstance(found.get("raw"), str):
                agent = agent or found.get("agent")
                found = found["raw"]
            if isinstance(found, str) and found.strip():
                if kind == "crew_kickoff_completed":
                    answer.text.whole(found, "crew")
                else:
                    _say(answer, found, agent, kind)
        case _ if kind in _FAILED:
            raise InBandError(f"{kind} in its stream")
        case _:
            answer.custom(frame, content=False)
    return True


BY_TYPE = dict.fromkeys(
    [
        *_FAILED,
        "llm_stream_chunk",
        "llm_thinking_chunk",
        "llm_call_started",
        "llm_call_completed",
        "tool_usage_started",
        "tool_usage_finished",
        "tool_usage_error",
        "crew_kickoff_started",
        "crew_kickoff_completed",
        "task_started",
        "task_completed",
        "task_failed",
        "agent_execution_started",
        "agent_execution_completed",
        "agent_execution_error",
        "flow_started",
        "flow_finished",
        "method_execution_started",
        "method_execution_finished",
        "method_execution_failed",
    ],
    read_event,
)
BY_KEY = {"raw": read_output, "chunk_type": read_chunk}
