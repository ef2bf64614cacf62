"""Whatever an agent sends: events or a failure, never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.agents.dialects.langgraph import IN_STATES
from bff.agents.dialects.readers import BY_KEY, BY_TYPE
from bff.agents.dialects.shapes import SHAPES
from bff.agents.dialects.strands import MARKS
from bff.events import Done, Event, Message, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import text
from tests.agents.decoding import (
    ARGS,
    CALL,
    TOOL_USE,
    ai,
    bedrock,
    chunk,
    decode,
    human,
    piece,
    result,
)
from tests.fakes.container import sse

KEYS = (
    "type content text data event delta id name args tool_calls tool_call_chunks messages role "
    "message result output input usage toolUse toolResult contentBlockDelta error index"
)
WORDS = (
    "ai tool AIMessageChunk human TOOL_CALL_ARGS TEXT_MESSAGE_CONTENT RUN_FINISHED "
    "MESSAGES_SNAPSHOT assistant user tool_use text constructor values on_tool_end"
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*KEYS.split(), *BY_KEY]),
            inner | st.sampled_from([*WORDS.split(), *BY_TYPE]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("nothing", [None, [], {}], ids=str)
def test_a_text__is_said_whosever_empty_keys_stand_beside_it(nothing: object) -> None:
    for key in sorted({*BY_KEY, *MARKS, *IN_STATES, "messages", "parts", "event", "metadata"}):
        for where in ("content", "response"):
            if key != where:
                assert joined({where: "Hi there", key: nothing}) == "Hi there", key


@pytest.mark.parametrize(
    "beside",
    [
        {"complete": False},
        {"start": 0, "end": 8},
        {"citation": "[1]"},
        {"invocation_id": "i"},
        {"subtype": "greeting"},
        {"event_kind": "text"},
        {"current_agent_name": "a"},
        {"output": {"n": 1}},
        {"structured_response": {"n": 1}},
        {"prefix": "p"},
        {"contextId": "c"},
        {"role": "Researcher"},
    ],
    ids=str,
)
def test_a_text__is_said_beside_what_a_framework_means_something_else_by(
    beside: dict[str, object],
) -> None:
    assert joined({"text": "Hi there", **beside}) == "Hi there"


def joined(frame: object) -> str:
    return text(decode(json.dumps(frame).encode(), "application/json")[0])


@given(st.lists(JSON_VALUES, max_size=6))
def test_any_json__gives_events_or_a_failure_and_never_an_exception(values: list[object]) -> None:
    check_order(*decode(sse(*values)))


@given(frame=st.sampled_from([frame for _, frame in SHAPES]), data=st.data())
def test_every_shape__with_anything_in_its_place_is_no_exception(
    frame: str, data: st.DataObject
) -> None:
    def broken(value: object) -> object:
        match value:
            case dict():
                broken_at = data.draw(st.sampled_from([*value, None]))
                return {
                    key: data.draw(JSON_VALUES) if key == broken_at else broken(inner)
                    for key, inner in value.items()
                }
            case list():
                return [broken(inner) for inner in value]
        return value

    check_order(*decode(sse(broken(json.loads(frame)))))


def check_order(events: list[Event], failure: str | None) -> None:
    assert failure is not None or isinstance(events[-1], Done)
    started: set[str] = set()
    for event in events:
        match event:
            case ToolStart(id):
                assert id not in started
                started.add(id)
            case ToolEnd(id):
                assert id in started
            case Message(content) | Thinking(content):
                assert content


WHOLE_FRAMES: list[Any] = [
    chunk([{"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}, "index": 0}]),
    chunk([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]),
    [piece(ARGS, "t1", "calculator"), {"langgraph_node": "agent"}],
    ai([{"type": "text", "text": "Hi"}], tool_calls=[CALL], usage_metadata={"input_tokens": 1}),
    result([{"type": "text", "text": "345"}]),
    {"messages": [human("Hi"), ai("Hello"), {"role": "tool", "toolCallId": "t", "content": "x"}]},
    {"agent": {"messages": [ai("Hello")]}, "other": None},
    [["ns"], "messages", [ai("Hello"), {}]],
    {"lc": 1, "type": "constructor", "id": ["langchain", "AIMessage"], "kwargs": ai("Hello")},
    {"event": "on_tool_start", "name": "n", "run_id": "r", "data": {"input": {"a": 1}}},
    {"event": "on_tool_end", "name": "n", "run_id": "r", "data": {"output": result()}},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "n"}}]}}]},
    {"choices": [{"message": {"content": "Hi", "tool_calls": [{"function": {"name": "n"}}]}}]},
    bedrock("contentBlockStart", start={"toolUse": TOOL_USE}, contentBlockIndex=0),
    bedrock("contentBlockDelta", delta={"toolUse": {"input": "{}"}}, contentBlockIndex=0),
    bedrock("contentBlockStop", contentBlockIndex=0),
    bedrock("metadata", usage={"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}),
    {"current_tool_use": {**TOOL_USE, "input": "{}"}, "delta": {"toolUse": {"input": "{}"}}},
    {"message": {"role": "assistant", "content": [{"toolUse": {**TOOL_USE, "input": {}}}]}},
    {
        "message": {
            "role": "user",
            "content": [{"toolResult": {**TOOL_USE, "content": [{"text": "x"}]}}],
        }
    },
    {"result": {"stop_reason": "x", "message": {"role": "assistant", "content": [{"text": "Hi"}]}}},
    {"type": "TOOL_CALL_START", "toolCallId": "t1", "toolCallName": "n"},
    {"type": "TOOL_CALL_CHUNK", "toolCallId": "t1", "toolCallName": "n", "delta": "{}"},
    {"type": "TOOL_CALL_END", "toolCallId": "t1"},
    {"type": "TOOL_CALL_RESULT", "toolCallId": "t1", "content": "x", "messageId": "m"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"},
    {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m", "role": "assistant", "content": "x"}]},
    {"type": "RUN_FINISHED", "result": "x", "outcome": {"type": "interrupt"}, "usage": {}},
    {"type": "RAW", "event": {"event": "on_x"}},
    {"type": "tool_call", "id": "t", "name": "n", "args": {"a": 1}},
    {"type": "tool_result", "id": "t", "name": "n", "result": {"a": 1}, "error": None},
    {"status": "error", "error": {"message": "x"}, "error_type": "x"},
]


def broken(value: Any) -> list[Any]:
    """The value with each of its parts, one at a time, replaced or taken away."""
    found: list[Any] = [
        None,
        True,
        7,
        -1.5,
        "",
        "x",
        [],
        {},
        [None],
        [[]],
        {"a": None},
        {"text": []},
    ]
    if isinstance(value, dict):
        for key, item in value.items():
            found += [{**value, key: part} for part in broken(item)]
            found.append({name: part for name, part in value.items() if name != key})
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += [[*value[:at], part, *value[at + 1 :]] for part in broken(item)]
            found.append(value[:at] + value[at + 1 :])
    return found


@pytest.mark.parametrize("frame", WHOLE_FRAMES, ids=lambda frame: json.dumps(frame)[:60])
def test_broken_shapes__give_events_or_a_failure_and_never_an_exception(frame: Any) -> None:
    for wrong in broken(frame):
        check_order(*decode(sse(wrong)))
        check_order(*decode(sse(frame, wrong, frame)))
