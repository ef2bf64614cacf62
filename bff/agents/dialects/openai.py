"""OpenAI's words: chat completions and the Responses API.

https://platform.openai.com/docs/api-reference/responses-streaming. A response says each text as
deltas, then whole, then in its item, then in the response.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.attachments import read_block, read_sources, source_of
from bff.agents.dialects.fields import items, word, words
from bff.agents.dialects.langchain import read_calls, read_piece, thought
from bff.agents.dialects.tool_calls import as_text
from bff.events import JSON, File, ToolUse

# Chat completions


def read_choices(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A chat completion, whole or in chunks; a legacy completion too."""
    choices = frame.get("choices")
    if not isinstance(choices, list):
        return False
    answer.dialects.add("openai chat")
    first = choices[0] if choices else None
    delta = first.get("delta") if isinstance(first, dict) else None
    match choices:
        case _ if isinstance(first, dict) and isinstance(delta, dict):
            read_delta(answer, delta)
            if first.get("finish_reason"):
                answer.tools.settle()
        case [{"message": dict(message)}, *_]:
            read_completed(answer, message)
        case [{"text": str(text)}, *_]:
            answer.text.delta(text, "chunks")
        case []:
            pass
        case _:
            return False
    if isinstance(frame.get("citations"), list):
        read_sources(answer, frame["citations"])
    if usage := frame.get("usage"):
        answer.usage.set_total(usage)
    return True


def read_delta(answer: Assembly, delta: dict[str, JSON]) -> None:
    """What a chunk adds: text, reasoning, pieces of tool calls, files."""
    if "role" in delta and delta["role"] in ("tool", "user", "system"):
        return
    if len(delta) == 1 and type(text := delta.get("content")) is str:  # nearly all of them
        answer.text.delta(text, "chunks")
        return
    for key in ("reasoning_content", "reasoning"):
        if word(delta.get(key)):
            answer.thinking.delta(delta[key], "chunks")
            break
    content = delta.get("content")
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or read_block(answer, part):
                continue
            if part.get("type") == "thinking":  # Mistral's
                answer.thinking.delta(thought(part), "chunks")
            answer.text.delta(word(part.get("text")) or "", "chunks")
    else:
        answer.text.delta(word(content) or "", "chunks")
    answer.text.delta(word(delta.get("refusal")) or "", "chunks")
    _read_extras(answer, delta)
    for call in items(delta.get("tool_calls")):
        match call:
            case {"function": dict(function)}:
                read_piece(answer, call, function, None)
    match delta.get("function_call"):
        case dict(function):
            read_piece(answer, {"index": 0}, function, None)


def read_completed(answer: Assembly, message: dict[str, JSON]) -> None:
    """A whole message of a chat completion."""
    said = thought(message) if not isinstance(message.get("text"), str) else ""
    if said:
        answer.thinking.whole(said, "message")
    content = message.get("content")
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict):
            read_block(answer, part)
            if part.get("type") == "thinking":
                answer.thinking.whole(thought(part), "message")
            part = part.get("text")
        if isinstance(part, str) and part:
            answer.text.whole(part, "message")
    if word(message.get("refusal")):
        answer.text.whole(message["refusal"], "message")
    _read_extras(answer, message)
    read_calls(answer, message, None)
    match message.get("function_call"):
        case {"name": str(name), "arguments": args}:
            answer.tools.whole("chunks", None, name, args)


def _read_extras(answer: Assembly, message: dict[str, JSON]) -> None:
    for part in items(message.get("images")):
        read_block(answer, part)
    if isinstance(message.get("annotations"), list):
        read_sources(answer, message["annotations"])
    match message.get("audio"):
        case {"data": str(data), **rest}:
            answer.attach(File(mime_type=f"audio/{rest.get('format', 'wav')}", data=data))
    match message.get("audio"):
        case {"transcript": str(text)}:
            answer.text.delta(text, "chunks")


# Responses


def read_response_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One `response.*` event."""
    kind = frame["type"]
    answer.dialects.add("openai responses")
    item = _id(frame.get("item_id"))
    delta = word(frame.get("delta")) or ""
    match kind:
        case "response.output_text.delta" | "response.refusal.delta":
            answer.text.delta(delta, "responses", item)
        case "response.output_text.done" | "response.refusal.done":
            said = word(frame.get("text")) or word(frame.get("refusal"))
            if said:
                answer.text.whole(said, "responses done", item)
        case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
            answer.thinking.delta(delta, "responses", item and f"reasoning {item}")
        case "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta":
            answer.tools.piece("responses", f"item {item}", None, None, delta)
        case "response.function_call_arguments.done" | "response.mcp_call_arguments.done":
            answer.tools.complete(f"item {item}")
        case "response.output_item.added" | "response.output_item.done":
            match frame.get("item"):
                case dict(inner):
                    begun = kind.endswith("added")
                    read_output(answer, inner, "responses item", begun=begun)
        case "response.output_text.annotation.added":
            source = source_of(frame.get("annotation"))
            if source is not None:
                answer.attach(source)
        case "response.completed" | "response.incomplete" | "response.done":
            match frame.get("response"):
                case dict(response):
                    read_response(answer, response)
        case "response.failed" | "error" | "response.error":
            raise InBandError(f"{kind} in its stream")
    return True


def read_response(answer: Assembly, response: dict[str, JSON]) -> bool:
    """A whole response: its items once more, and the tokens of the run."""
    output = response.get("output")
    if not isinstance(output, list) or (output and not any(map(_is_item, output))):
        return False
    answer.dialects.add("openai responses")
    if response.get("status") == "failed" or (response.get("error") and not output):
        raise InBandError("a response that failed")
    for item in output:
        if isinstance(item, dict):
            read_output(answer, item, "responses all", begun=False)
    answer.usage.set_total(response.get("usage"))
    return True


def _is_item(item: JSON) -> bool:
    return isinstance(item, dict) and str(item.get("type")) in _ITEMS


_ITEMS = words(
    "message reasoning function_call function_call_output custom_tool_call web_search_call "
    "file_search_call computer_call code_interpreter_call image_generation_call local_shell_call "
    "mcp_call mcp_list_tools mcp_approval_request mcp_approval_response compaction shell_call"
)


def read_item(answer: Assembly, item: dict[str, JSON]) -> bool:
    """An item that stands for itself; false where another dialect uses the same word."""
    match item:
        case {"type": "message", "content": list(parts)} if all(map(_is_part, parts)):
            pass
        case {"type": "message"}:
            return False
        case {"type": "reasoning"} if "summary" not in item:
            return False
        case {"type": "function_call" | "custom_tool_call"} if "arguments" not in item:
            return False
        case {"type": "function_call_output"} if "call_id" not in item:
            return False
    answer.dialects.add("openai responses")
    read_output(answer, item, "responses item", begun=False)
    return True


def _is_part(part: JSON) -> bool:
    return isinstance(part, dict) and part.get("type") in _PARTS


_PARTS = frozenset({"output_text", "refusal"})


def _id(value: JSON) -> str | None:
    """An item's id; models behind an adapter all have the same one, which is none."""
    return value if isinstance(value, str) and value and value != "__fake_id__" else None


def read_output(answer: Assembly, item: dict[str, JSON], source: str, *, begun: bool) -> None:
    id = _id(item.get("id"))
    call_id = word(item.get("call_id")) or id
    match item.get("type"):
        case "function_call" | "mcp_call" | "custom_tool_call":
            name = word(item.get("name")) or "tool"
            args = item.get("arguments", item.get("input"))
            if begun:
                answer.tools.piece("responses", f"item {id}", call_id, name, "")
            else:
                answer.tools.whole("responses", call_id, name, {} if args is None else args)
                if item.get("output") is not None or item.get("error"):
                    wrong = item.get("error")
                    found = None if wrong else as_text(item.get("output"))
                    answer.tools.result(call_id, name, found, as_text(wrong) if wrong else None)
        case "function_call_output" | "custom_tool_call_output":
            answer.tools.result(call_id, None, as_text(item.get("output")))
        case "mcp_approval_request":
            name = word(item.get("name")) or "tool"
            args = item.get("arguments")
            questions.ask(
                answer,
                id,
                item,
                kind="approval",
                tool=ToolUse(id or "", name, questions.arguments(args)),
            )
        case _ if begun:
            pass
        case "message" if item.get("role", "assistant") == "assistant":
            _read_message(answer, item, id, source)
        case "reasoning":
            said = thought(item)
            if said:
                answer.thinking.whole(said, source, id and f"reasoning {id}")
        case "image_generation_call" if word(item.get("result")):
            kind = f"image/{item.get('output_format', 'png')}"
            answer.attach(File(mime_type=kind, data=item["result"]))
        case str(kind) if kind.endswith("_call"):
            name = kind.removesuffix("_call")
            args = item.get("action", item.get("queries", item.get("code", {})))
            answer.tools.whole(
                "responses", id, name, args if isinstance(args, dict) else {"input": args}
            )
            found = item.get("results", item.get("outputs"))
            answer.tools.result(id, name, as_text(found) if found else "")


def _read_message(answer: Assembly, item: dict[str, JSON], id: str | None, source: str) -> None:
    texts: list[str] = []
    for part in items(item.get("content")):
        match part:
            case {"type": "output_text" | "text", "text": str(text)}:
                texts.append(text)
                read_sources(answer, part.get("annotations"))
            case {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case dict():
                read_block(answer, part)
    if any(texts):
        answer.text.whole("".join(texts), source, id)


BY_TYPE: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "message",
            "reasoning",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "mcp_call",
            "mcp_approval_request",
            "image_generation_call",
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
        ),
        read_item,
    ),
}
BY_KEY: dict[str, Reader] = {"choices": read_choices}
