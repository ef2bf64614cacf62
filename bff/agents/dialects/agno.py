"""Agno's run events: `event` names them; those of a team begin with `Team`.

https://docs.agno.com/agents/running-agents. An agent that a team calls, or a step of a workflow,
has a name of its own and speaks for itself.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block, read_sources
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, InputKind, ToolUse

_SPOKEN = frozenset(
    {
        "RunContent",
        "RunIntermediateContent",
        "RunContentCompleted",
        "RunCompleted",
        "RunResponse",
        "RunResponseContent",
        "RunError",
        "RunCancelled",
        "RunPaused",
        "RunStarted",
        "ReasoningStep",
        "ReasoningContentDelta",
        "ToolCallStarted",
        "ToolCallCompleted",
        "ToolCallError",
        "WorkflowStarted",
        "WorkflowCompleted",
        "WorkflowError",
        "StepCompleted",
        "StepOutput",
        "StepError",
    }
)


def is_ours(event: str) -> bool:
    return event.removeprefix("Team") in _SPOKEN or (
        event.endswith(("Started", "Completed", "Continued")) and event[:1].isupper()
    )


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One run event."""
    event = frame["event"]
    if not is_ours(event) or frame.keys().isdisjoint(_IDS):
        return False
    answer.dialects.add("agno")
    name = frame.get("agent_name") or frame.get("agent_id") or frame.get("team_name")
    run_id = frame.get("run_id")
    who = f"{name} {run_id}" if frame.get("parent_run_id") or frame.get("step_id") else name
    if isinstance(who, str) and who and not event.startswith("Workflow"):
        answer.speak(who, frame, lambda value: _read(answer, value))
    else:
        _read(answer, frame)
    return True


_IDS = frozenset({"run_id", "agent_id", "team_id", "session_id", "created_at", "content", "tool"})


def _read(answer: Assembly, frame: JSON) -> None:
    event = frame["event"].removeprefix("Team")
    content: JSON = frame.get("content")
    match event:
        case "RunContent" | "RunResponseContent" | "RunResponse":
            thought = frame.get("reasoning_content")
            if isinstance(thought, str):
                answer.thinking.delta(thought, "agno")
            if isinstance(content, str):
                answer.text.delta(content, "agno")
            elif content is not None:
                answer.structured = content
            _read_extras(answer, frame)
        case "RunCompleted" | "WorkflowCompleted" | "StepCompleted" | "StepOutput":
            _read_output(answer, frame)
        case "ReasoningContentDelta":
            answer.thinking.delta(str(frame.get("reasoning_content") or ""), "agno")
        case "ToolCallStarted" | "ToolCallCompleted" | "ToolCallError":
            if isinstance(frame.get("tool"), dict):
                _read_tool(answer, frame["tool"], ended=event != "ToolCallStarted")
        case "RunPaused":
            read_paused(answer, frame.get("tools"))
        case "RunError" | "WorkflowError":
            raise InBandError(f"{event} in its stream")
        case _ if event not in ("RunStarted", "RunContentCompleted", "ReasoningStep"):
            answer.custom(frame, content=False)


def _read_output(answer: Assembly, frame: dict[str, JSON]) -> None:
    content: JSON = frame.get("content")
    thought = frame.get("reasoning_content")
    if isinstance(thought, str) and thought:
        answer.thinking.whole(thought, "completed")
    for tool in items(frame.get("tools")):
        if isinstance(tool, dict):
            _read_tool(answer, tool, ended=tool.get("result") is not None)
    if isinstance(content, str):
        answer.text.whole(content, "completed")
    elif content is not None:
        answer.structured = content
    _read_extras(answer, frame)
    answer.usage.add(frame.get("metrics"), str(frame.get("run_id") or "") or None)
    answer.pause()


def _read_extras(answer: Assembly, frame: dict[str, JSON]) -> None:
    for kind in ("images", "videos", "audio", "files"):
        for item in items(frame.get(kind)):
            if isinstance(item, dict):
                data = item.get("content") or item.get("base64")
                fields = {**item, "data": data} if data else item
                read_block(answer, {**fields, "type": kind.removesuffix("s")})
    cited = frame.get("citations")
    if isinstance(cited, dict):
        read_sources(answer, cited.get("urls"))


def _read_tool(answer: Assembly, tool: dict[str, JSON], *, ended: bool) -> None:
    id, name = tool.get("tool_call_id"), tool.get("tool_name")
    if not isinstance(name, str):
        return
    id = id if isinstance(id, str) and id else None
    answer.tools.whole("agno", id, name, tool.get("tool_args") or {})
    if ended:
        text, failed = as_text(tool.get("result")), tool.get("tool_call_error") is True
        answer.tools.outcome(id, name, text, failed=failed)


def read_paused(answer: Assembly, tools: JSON) -> None:
    """The calls that wait: for a word, for input, or to be run elsewhere."""
    for tool in tools if isinstance(tools, list) else []:
        match tool:
            case {"tool_call_id": str(id), "tool_name": str(name), **rest}:
                use = ToolUse(id, name, rest.get("tool_args") or {})
                answer.tools.whole("agno", id, name, use.args)
                if rest.get("external_execution_required"):
                    kind: InputKind = "tool"
                else:
                    kind = "input" if rest.get("requires_user_input") else "approval"
                questions.ask(answer, id, tool, kind=kind, tool=use)


def read_run_output(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A RunOutput or a TeamRunOutput, returned whole."""
    if "event" in frame or "content" not in frame or not isinstance(frame.get("run_id"), str):
        return False
    answer.dialects.add("agno")
    for inner in items(frame.get("member_responses")):
        if isinstance(inner, dict):
            name = str(inner.get("agent_name") or inner.get("run_id"))
            answer.speak(name, inner, lambda value: _read_output(answer, value))
    _read_output(answer, frame)
    if str(frame.get("status")).upper() == "PAUSED":
        read_paused(answer, frame.get("tools"))
    if str(frame.get("status")).upper() == "ERROR":
        raise InBandError("a run with the status ERROR")
    return True


BY_KEY = {"content_type": read_run_output}
