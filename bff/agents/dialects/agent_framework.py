"""Microsoft's Agent Framework: updates and responses with `contents` of many types.

https://learn.microsoft.com/agent-framework/. An update is a piece of a message, a response the
whole of it.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, ToolUse


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An update, or a message."""
    contents = frame.get("contents")
    if not isinstance(contents, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in contents
    ):
        return False
    answer.dialects.add("agent framework")
    if frame.get("role") in ("user", "system"):
        return True
    whole = not str(frame.get("type")).endswith("update")
    texts = [part["text"] for part in contents if part["type"] == "text" and word(part.get("text"))]
    if texts and whole:
        answer.text.whole("".join(texts), "response")
    elif texts:
        answer.text.delta("".join(texts), "updates")
    for part in contents:
        _read_part(answer, part, whole=whole)
    return True


def _read_part(answer: Assembly, part: dict[str, JSON], *, whole: bool) -> None:
    id, name = word(part.get("call_id")), word(part.get("name"))
    match part["type"]:
        case "text_reasoning" if word(part.get("text")):
            speech = answer.thinking
            say = speech.whole if whole else speech.delta
            say(part["text"], "response" if whole else "updates")
        case "function_call":
            args = part.get("arguments")
            if isinstance(args, str) and not whole:
                answer.tools.piece("contents", f"contents {id}", id, name, args)
            elif name:
                answer.tools.whole("contents", id, name, {} if args is None else args)
        case "function_result":
            wrong = part.get("exception")
            found = as_text(part.get("result"))
            answer.tools.result(
                id, None, None if wrong else found, as_text(wrong) if wrong else None
            )
        case "function_approval_request":
            call = part.get("function_call")
            tool = None
            if isinstance(call, dict) and word(call.get("name")):
                args = questions.arguments(call.get("arguments"))
                tool = ToolUse(word(call.get("call_id")) or "", call["name"], args)
            questions.ask(answer, word(part.get("id")), part, kind="approval", tool=tool)
        case "usage":
            answer.usage.add(part.get("details", part.get("usage_details")))
        case "data" | "uri":
            read_block(answer, {**part, "type": "file", "url": part.get("uri")})
        case "text" | "text_reasoning":
            pass
        case _:
            answer.custom(part, content=False)


def are_contents(value: list[JSON]) -> bool:
    """Whether a list is the contents of an update, which agents hand on by themselves."""
    return bool(value) and all(
        isinstance(part, dict) and "additional_properties" in part and word(part.get("type"))
        for part in value
    )


def are_messages(value: list[JSON]) -> bool:
    """Whether a list is messages with their contents."""
    return bool(value) and all(
        isinstance(message, dict) and isinstance(message.get("contents"), list) for message in value
    )


def read_response(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A response: its messages."""
    for message in items(frame.get("messages")):
        if isinstance(message, dict):
            read(answer, message)
    return isinstance(frame.get("messages"), list)


_NEWS = (
    *("executor_invoked", "executor_completed", "executor_failed", "executor_bypassed"),
    *("superstep_started", "superstep_completed"),
    *("group_chat", "handoff_sent", "magentic_orchestrator"),
)
_OUTPUTS = ("output", "intermediate", "data")


def read_workflow_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A workflow's event. What an executor was given is not said by it: it may be the question."""
    kind, executor = str(frame["type"]), word(frame.get("executor_id"))
    if kind in _NEWS:
        if executor is None and "data" not in frame and "iteration" not in frame:
            return False
        answer.custom(frame, kind, content=False)
    elif executor is None:
        return False
    else:
        answer.speak(executor, frame.get("data"))
    answer.dialects.add("agent framework")
    return True


def read_request(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """What a workflow asks from outside."""
    id, asked = word(frame.get("request_id")), frame.get("data")
    if id is None:
        return False
    answer.dialects.add("agent framework")
    if isinstance(asked, dict) and asked.get("type") == "function_approval_request":
        _read_part(answer, {**asked, "id": id}, whole=True)
    else:
        questions.ask(answer, id, frame if asked is None else asked)
    return True


BY_TYPE = {
    "agent_run_response": read_response,
    "agent_response": read_response,
    "request_info": read_request,
    **dict.fromkeys((*_NEWS, *_OUTPUTS), read_workflow_event),
}
BY_KEY = {"contents": read}
