"""Runs in OpenAI's formats against the types of OpenAI's client; prints what they do not take.

Run by tests/clients/test_streams.py: `python openai_strict.py runs.jsonl`. The client itself never
judges what it is told; others are made from the same descriptions and do. It adds streams up.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

OURS = ("error.code", "code")
"""Codes of ours, which say more than the few that the types list."""


def need(module: str) -> Any:
    return importlib.import_module(module)


def frames(stream: str) -> Iterator[dict[str, Any]]:
    for line in stream.split("\n"):
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[len("data: ") :])


def main(path: str) -> None:
    chat, responses = need("openai.types.chat"), need("openai.types.responses")
    refused = need("pydantic").ValidationError
    events = need("openai.types.responses.response_stream_event").ResponseStreamEvent
    of_type = {
        get_args(event.model_fields["type"].annotation)[0]: event
        for event in get_args(get_args(events)[0])
    }
    found: Counter[str] = Counter()

    def check(model: Any, told: dict[str, Any]) -> None:
        try:
            model.model_validate(told)
        except refused as wrong:
            for error in wrong.errors():
                place = ".".join("N" if isinstance(at, int) else str(at) for at in error["loc"])
                if not place.endswith(OURS):
                    found[f"{told.get('type', model.__name__)} {place}: {error['msg']}"] += 1

    for line in Path(path).read_text().splitlines():
        for run in json.loads(line):
            for event in frames(run["responses"]):
                check(of_type[event["type"]], event)
            check(responses.Response, run["response"])
            for chunk in frames(run["chat"]):
                if "error" not in chunk:
                    check(chat.ChatCompletionChunk, chunk)
            check(chat.ChatCompletion, run["completion"])
            found.update(added_up(run))
            found.update(items(list(frames(run["responses"])), run))
    print(json.dumps(found))


def added_up(run: dict[str, Any]) -> Iterator[str]:
    """What goes wrong where the client adds up what it is told, as `stream()` does."""
    chunk, event = need("openai.types.chat").ChatCompletionChunk, need("openai._models")
    state = need("openai.lib.streaming.chat").ChatCompletionStreamState()
    try:
        for told in frames(run["chat"]):
            if "error" not in told:
                state.handle_chunk(event.construct_type(type_=chunk, value=told))
        if run["end"] in ("complete", "input_required"):
            [choice] = state.get_final_completion().model_dump(exclude_none=True)["choices"]
            [whole] = run["completion"]["choices"]
            for name in ("content", "reasoning_content"):
                if (choice["message"].get(name) or "") != (whole["message"].get(name) or ""):
                    yield f"{name} adds up to something else"
            for name in ("annotations", "images", "tool_calls"):
                if len(choice["message"].get(name, ())) != len(whole["message"].get(name, ())):
                    yield f"{name} add up to something else"
            if choice["finish_reason"] != whole["finish_reason"]:
                yield "finish_reason"
    except Exception as wrong:
        yield f"chat: {type(wrong).__name__} {str(wrong)[:80]}"


def items(events: list[dict[str, Any]], run: dict[str, Any]) -> Iterator[str]:
    """What is inconsistent within a stream of Responses, and between it and the whole response."""
    if [event["sequence_number"] for event in events] != list(range(len(events))):
        yield "sequence numbers"
    added: list[str] = []
    done: dict[int, Any] = {}
    said = dict.fromkeys(("output_text", "reasoning_summary_text"), "")
    for event in events:
        index, kind = event.get("output_index", -1), event["type"].removeprefix("response.")
        if kind == "output_item.added":
            if index != len(added):
                yield "an item out of order"
            added.append(event["item"]["id"])
        elif kind == "output_item.done":
            if index in done or event["item"]["id"] != added[index]:
                yield "an item that is done twice, or under another id"
            done[index] = event["item"]
        elif "item_id" in event and (added[index] != event["item_id"] or index in done):
            yield f"{kind} of an item that is not open"
        for name in said:
            if kind == f"{name}.delta":
                said[name] += event["delta"]
            elif kind == f"{name}.done":
                if event["text"] != said[name]:
                    yield f"{name} adds up to something else"
                said[name] = ""
    whole = run["response"]["output"]
    if [done.get(index) for index in range(len(added))] != whole:
        yield "a stream that is not its response"
    if events[-1]["response"] != run["response"]:
        yield "an end that is not its response"
    for item in whole:
        if item["type"].startswith("mcp_") and json.loads(item["arguments"]) is None:
            yield "arguments that are none"
    words = [part["text"] for item in whole for part in item.get("content", ())]
    if not "".join(words).startswith(run["text"]):
        yield "text"
    if run["end"] == "input_required" and set(run["inputs"]) - {"tool"} and not "".join(words):
        yield "a question without words"


if __name__ == "__main__":
    main(sys.argv[1])
