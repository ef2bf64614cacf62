"""Events and results of OpenAI's Agents SDK, of Python and of JavaScript.

https://openai.github.io/openai-agents-python/streaming/ and
https://openai.github.io/openai-agents-js/guides/streaming/. Both wrap what a model says and tell
each item once more when it is whole; JavaScript's has words of its own for it, too, and camel case.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, Reader
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.openai import read_output, read_response
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, ToolUse


def read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of a run's stream."""
    answer.dialects.add("openai agents")
    match frame:
        case {"type": "raw_response_event" | "raw_model_stream_event", "data": dict(data)}:
            answer.read(data)
        case {"type": "run_item_stream_event", "item": dict(item)}:
            read_item(answer, item)
        case {"type": "agent_updated_stream_event"}:
            told = frame.get("new_agent", frame.get("agent"))
            answer.custom(_named(told), frame["type"], content=False)
    return True


def _named(agent: JSON) -> JSON:
    name = agent.get("name") if isinstance(agent, dict) else agent
    return {"agent": name if isinstance(name, str) else None}


def read_own(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A model's event in the words of JavaScript's SDK; false if it is somebody else's."""
    match frame:
        case {"type": "model", "event": event, "providerData": dict()}:
            answer.read(event)
        case {"type": "output_text_delta", "delta": str(text)}:
            origin = frame.get("providerData")
            kind = word(origin.get("type")) if isinstance(origin, dict) else None
            named = kind is not None and kind.startswith("response.")
            id = word(frame.get("itemId")) if named else None
            answer.text.delta(text, "agents", id)
        case {"type": "response_started"} if "providerData" in frame or len(frame) == 1:
            pass
        case {"type": "response_done", "response": {"output": list(output)}}:
            usual: JSON = [_usual(item) for item in output if isinstance(item, dict)]
            read_response(answer, {"output": usual, "usage": frame["response"].get("usage")})
        case _:
            return False
    answer.dialects.add("openai agents")
    return True


def _usual(item: dict[str, JSON]) -> dict[str, JSON]:
    """An item in the Responses API's words: JavaScript's has other names for some fields."""
    usual = dict(item)
    if "callId" in item:
        usual["call_id"] = item["callId"]
    if item.get("type") == "reasoning" and "summary" not in item:
        usual["summary"] = item.get("content")
    return usual


def read_item(answer: Assembly, item: dict[str, JSON]) -> bool:
    """A RunItem: what the model said or called, or what a tool found, as the SDK keeps it."""
    raw = item.get("raw_item", item.get("rawItem"))
    fields = _usual(raw) if isinstance(raw, dict) else {}
    match item.get("type"):
        case "message_output_item" | "reasoning_item" | "tool_call_item" | "handoff_call_item":
            answer.tools.go_on()
            read_output(answer, fields, "agents item", begun=False)
            if item["type"] == "tool_call_item":
                answer.tools.wait()  # its result is an item, too, unless somebody is asked first
        case "tool_call_output_item" | "handoff_output_item":
            found = item.get("output", fields.get("output"))
            answer.tools.result(word(fields.get("call_id")), None, as_text(found))
        case "tool_approval_item":
            id = word(fields.get("call_id")) or word(fields.get("id"))
            given = word(item.get("tool_name")) or word(item.get("toolName"))
            name = word(fields.get("name")) or given or "tool"
            args = questions.arguments(fields.get("arguments"))
            tool = ToolUse(id or "", name, args)
            questions.ask(answer, id, fields or item, kind="approval", tool=tool)
        case _:
            return False
    return True


def read_result(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A RunResult: the final output, the items before it, and what waits for an approval."""
    for key in ("new_items", "newItems"):
        for item in items(frame.get(key)):
            if isinstance(item, dict):
                read_item(answer, item)
    for item in items(frame.get("interruptions")):
        if isinstance(item, dict):
            read_item(answer, {"type": "tool_approval_item", **item})
    match frame.get("final_output", frame.get("finalOutput")):
        case str(text):
            answer.text.whole(text, "final")
        case None:
            pass
        case found:
            answer.structured = found
    return True


def read_state(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A run's state, which is what a result of JavaScript's SDK is as JSON."""
    if not isinstance(frame.get("currentStep"), dict):
        return False
    answer.dialects.add("openai agents")
    step, last = frame["currentStep"], frame.get("lastModelResponse")
    asked = step.get("data")
    result = {
        "newItems": frame.get("generatedItems"),
        "interruptions": asked.get("interruptions") if isinstance(asked, dict) else None,
        "finalOutput": step.get("output"),
    }
    answer.usage.set_total(last.get("usage") if isinstance(last, dict) else None)
    return read_result(answer, result)


BY_TYPE: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "raw_response_event",
            "raw_model_stream_event",
            "run_item_stream_event",
            "agent_updated_stream_event",
        ),
        read_event,
    ),
    **dict.fromkeys(("model", "output_text_delta", "response_started", "response_done"), read_own),
    **dict.fromkeys(
        (
            "message_output_item",
            "reasoning_item",
            "tool_call_item",
            "tool_call_output_item",
            "handoff_call_item",
            "handoff_output_item",
            "tool_approval_item",
        ),
        read_item,
    ),
}
BY_KEY: dict[str, Reader] = {
    "final_output": read_result,
    "interruptions": read_result,
    "newItems": read_result,
    "$schemaVersion": read_state,
}
