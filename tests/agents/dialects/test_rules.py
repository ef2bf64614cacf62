"""Rules that few answers need: each of these is read wrong if one rule is taken away."""

import json
from typing import Any

import pytest

from bff.events import Custom, Input, Message, ToolEnd, ToolStart
from tests.agents.conftest import text, tools
from tests.agents.decoding import ai, bedrock, decode, human, said

CALC = {"toolUseId": "1", "name": "calc", "input": {}}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "Hi"},
        {"event": "chunk", "data": {"content": "Hi", "n": {}}},
        {"choices": [{"delta": {"content": "Hi"}}]},
        {"data": "Hi", "delta": {"text": "Hi"}},
        {"contentBlockDelta": {"delta": {"text": "Hi"}}},
        {"event": {"contentBlockDelta": {"delta": {"text": "Hi"}}}},
        {"event": "on_chat_model_stream", "data": {"chunk": ai("Hi")}, "parent_ids": []},
        {"agent": {"messages": [ai("Hi")]}},
        {"messages": [human("Q"), ai("Hi")]},
        {"statusCode": 200, "body": "Hi"},
    ],
    ids=lambda frame: next(iter(frame)),
)
def test_a_frame_written_into_a_string__is_read(frame: object) -> None:
    assert said(json.dumps(frame)) == [Message("Hi")]


def test_a_frame_without_text_written_into_a_string__is_read() -> None:
    def first(frame: object) -> Any:
        return said(json.dumps(frame))[0]

    assert first({"type": "data-weather", "data": {"n": 1}}) == Custom({"n": 1}, "data-weather")
    assert first({"type": "tool_call", "name": "calc", "args": {}}) == ToolStart(
        "call-1", "calc", {}
    )
    assert first({"role": "assistant", "content": [{"toolUse": CALC}]}) == ToolStart(
        "1", "calc", {}
    )
    asks = {"topic": "x", "__interrupt__": [{"id": "i", "value": "City?"}]}
    assert isinstance(first(asks), Input)
    started = json.dumps({"event": "RunStarted", "run_id": "r", "model": "m", "tools": 3})
    assert said(started, json.dumps({"event": "RunContent", "content": "Hi"})) == [Message("Hi")]


def test_an_agent_of_mastras_network__is_heard_as_any_other() -> None:
    def inner(kind: str, **payload: object) -> object:
        event = {"type": kind, "runId": "b", "from": "AGENT", "payload": payload}
        return {"type": f"agent-execution-event-{kind}", "runId": "a", "payload": event}

    assert said(
        inner("tool-call", toolCallId="1", toolName="calc", args={"e": 1}),
        inner("tool-result", toolCallId="1", toolName="calc", result=1),
        inner("text-delta", id="t", text="Hi"),
    ) == [ToolStart("1", "calc", {"e": 1}), ToolEnd("1", "calc", "1"), Message("Hi")]


def test_a_graphs_state_before_anything_was_said__is_no_news() -> None:
    assert said({"messages": [], "topic": "x"}, "Hi") == [Message("Hi")]


def body(value: object) -> list[Any]:
    return decode(json.dumps(value).encode(), "application/json")[0]


def test_interrupts_of_strands__are_asked_wherever_they_are_returned() -> None:
    asked = [{"id": "v1:1", "name": "approval", "reason": "Pay?"}]
    assert [e.id for e in body({"waiting": True, "interrupts": asked}) if isinstance(e, Input)]


def test_a_conversation_under_any_key__is_its_last_turn() -> None:
    turns = [human("A"), ai("Old", "1"), human("B"), ai("New", "2")]
    assert text(body({"output": turns, "turns": 2})) == "New"


def test_messages_that_are_data__stay_the_json_they_are() -> None:
    inbox = {"messages": [{"subject": "Today", "text": "Lunch?"}], "count": 1}
    assert json.loads(text(body(inbox))) == inbox


def test_artifacts__are_read_by_their_parts() -> None:
    assert text(body({"artifacts": [{"artifactId": "a", "parts": [{"text": "Hi"}]}]})) == "Hi"


def test_comments_in_strings__are_none_of_the_answer() -> None:
    assert text(said(": keep-alive\n\n", "Hi", " you")) == "Hi you"
    assert text(said('data: {"text": "Hi"}\n\n', ": connected\n\n")) == "Hi"


def test_an_assistants_run__tells_its_calls_and_not_the_question() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "calc", "arguments": "{}"}}
    found = {**call, "function": {**call["function"], "output": "2"}}  # type: ignore[dict-item]
    question = {"role": "user", "content": [{"type": "text", "text": {"value": "Q"}}]}
    events = [
        ("thread.message.completed", question),
        (
            "thread.run.requires_action",
            {"required_action": {"submit_tool_outputs": {"tool_calls": [call]}}},
        ),
        ("thread.run.step.completed", {"step_details": {"tool_calls": [found]}}),
    ]
    data = "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in events)
    told, _ = decode(data.encode())
    assert tools(told[:2]) == [ToolStart("c1", "calc", {}), ToolEnd("c1", "calc", "2")]
    only, _ = decode(f"event: {events[1][0]}\ndata: {json.dumps(events[1][1])}\n\n".encode())
    assert tools(only) == [ToolStart("c1", "calc", {})]


def test_a_line_of_json_lines_that_is_none__does_not_take_the_next_ones() -> None:
    data = b'{\'init_event_loop\': True}\n{"content": "Hi"}\n'
    assert text(decode(data, "application/x-ndjson")[0]) == "Hi"


def test_two_vocabularies__repeat_one_another_or_speak_for_themselves() -> None:
    def chat(words: str) -> object:
        return {"choices": [{"delta": {"content": words}}]}

    def response(words: str) -> object:
        return {"type": "response.output_text.delta", "delta": words}

    apart = said(chat("I am"), response("I"), response(" see"), chat("I see"))
    assert text(apart) == "I amI seeI see"

    def converse(words: str) -> object:
        return bedrock("contentBlockDelta", delta={"text": words})

    def own(words: str) -> object:
        return {"data": words, "delta": {"text": words}}

    values = [converse("It "), own("It "), converse("is "), converse("345."), own("345.")]
    assert text(said(*values)) == "It is 345."


@pytest.mark.parametrize("key", ["tool_use", "toolUse", "tool_call", "toolCall", "function_call"])
def test_a_call_in_an_object_that_only_says_so__is_one(key: str) -> None:
    assert said({key: {"id": "1", "name": "calc", "input": {}}}) == [ToolStart("1", "calc", {})]


@pytest.mark.parametrize("key", ["tool_result", "toolResult"])
def test_a_result_in_an_object_that_only_says_so__is_one(key: str) -> None:
    call = {"type": "tool_call", "id": "1", "name": "calc"}
    told = tools(said(call, {key: {"id": "1", "content": "2"}}))
    assert told[-1] == ToolEnd("1", "calc", "2")


@pytest.mark.parametrize("name", ["step_end", "stepDone", "phase.finish"])
def test_what_a_part_came_to__is_said_if_nothing_else_is(name: str) -> None:
    assert text(said({"type": name, "output": "Hi"})) == "Hi"
    assert text(said({"type": name, "output": "Notes"}, "Hi")) == "Hi"
