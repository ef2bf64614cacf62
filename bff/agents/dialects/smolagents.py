"""smolagents' steps, dumped or printed (https://huggingface.co/docs/smolagents).

What the model writes in a step is a thought and code; the answer is the last step's output. A print
has the class's name as `type`; a dump has lost it, so keys tell which step it is.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import items
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON


def read_step(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An ActionStep, once it is over."""
    if "step_number" not in frame or "observations" not in frame:
        return False
    answer.dialects.add("smolagents")
    wrong = frame.get("error")
    for call in items(frame.get("tool_calls")):
        match call:
            case {"name": str(name), "arguments": args} if name != "final_answer":
                id = call.get("id")
                id = id if isinstance(id, str) else None
                answer.tools.whole("smolagents", id, name, _args(args))
                seen = as_text(wrong) if wrong else as_text(frame.get("observations"))
                answer.tools.result(id, name, None if wrong else seen, seen if wrong else None)
    if frame.get("is_final_answer") is True:
        _final(answer, frame.get("action_output"))
    answer.usage.add(frame.get("token_usage"), f"step {frame.get('step_number')}")
    return True


def _args(args: JSON) -> JSON:
    return args if isinstance(args, dict) else {"code": args} if isinstance(args, str) else {}


def _final(answer: Assembly, output: JSON) -> None:
    if isinstance(output, str | int | float) and not isinstance(output, bool):
        answer.text.whole(str(output), "final", "smolagents' answer")  # told up to four times
    elif output is not None:
        answer.structured = output


def read_final(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A FinalAnswerStep or a RunResult."""
    if "output" not in frame:
        return False
    answer.dialects.add("smolagents")
    _final(answer, frame["output"])
    answer.usage.set_total(frame.get("token_usage"))
    return True


def read_delta(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ChatMessageStreamDelta: what the model writes in a step, which is not yet the answer."""
    if "content" not in frame or "tool_calls" not in frame:
        return False
    answer.dialects.add("smolagents")
    if isinstance(frame["content"], str):
        answer.thinking.delta(frame["content"], "smolagents")
    return True


def read_output(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An ActionOutput or a ToolOutput of a step."""
    match frame:
        case {"is_final_answer": bool(last), "output": output}:
            answer.dialects.add("smolagents")
            call = frame.get("tool_call")
            if isinstance(call, dict) and isinstance(call.get("name"), str) and not last:
                id = frame.get("id")
                id = id if isinstance(id, str) else None
                answer.tools.whole("smolagents", id, call["name"], _args(call.get("arguments")))
                answer.tools.result(id, call["name"], as_text(frame.get("observation", output)))
            if last:
                _final(answer, output)
            return True
    return False


def read_call(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A ToolCall, before it is run."""
    match frame:
        case {"name": str(name), "arguments": args, "id": str(id)}:
            answer.dialects.add("smolagents")
            if name != "final_answer":
                answer.tools.whole("smolagents", id, name, _args(args))
            return True
    return False


def read_silent(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A step of the plan or of the task: what the agent tells itself."""
    answer.dialects.add("smolagents")
    plan = frame.get("plan")
    if isinstance(plan, str):
        answer.thinking.plain(plan, "plan")
    return True


BY_TYPE = {
    "ActionStep": read_step,
    "FinalAnswerStep": read_final,
    "RunResult": read_final,
    "ChatMessageStreamDelta": read_delta,
    "ActionOutput": read_output,
    "ToolOutput": read_output,
    "ToolCall": read_call,
    "PlanningStep": read_silent,
    "TaskStep": read_silent,
    "SystemPromptStep": read_silent,
}
BY_KEY = {"step_number": read_step, "is_final_answer": read_output}
