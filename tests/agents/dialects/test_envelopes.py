"""Frames, failures and questions inside objects of somebody's own."""

import json
from typing import Any

import pytest

from bff.events import Input, Message
from tests.agents.decoding import ai, chunk, decode, human, said
from tests.fakes.container import sse

ERROR = {"error": "the password is hunter2", "error_type": "ValueError"}
ASKED = [{"id": "i1", "value": {"question": "Sure?"}}]
STATE = {"messages": [human("Q"), ai("Let me check.")], "__interrupt__": ASKED}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi"}],
    "model": "claude",
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def text(events: list[Any]) -> str:
    return "".join(event.content for event in events if isinstance(event, Message))


def both(value: object) -> list[tuple[list[Any], str | None]]:
    """The value as a body, and as a stream of one frame."""
    return [decode(json.dumps(value).encode(), "application/json"), decode(sse(value))]


@pytest.mark.parametrize(
    "answer",
    [
        *({key: STATE} for key in ("result", "response", "output", "data", "state", "answer")),
        {"status": "success", "result": STATE, "session_id": "s"},
        json.dumps(STATE),
        {"result": json.dumps(STATE)},
        {"response": "Let me check.", "interrupt": ASKED},
        {"status": "interrupted", "response": "Let me check.", "interrupts": ASKED},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_graphs_question__is_put_wherever_its_state_stands(answer: object) -> None:
    for events, failure in both(answer):
        assert failure is None
        assert [(e.id, e.message) for e in events if isinstance(e, Input)] == [("i1", "Sure?")]
        assert text(events) == "Let me check."


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "interrupted", "interrupt": ASKED[0], "thread_id": "t"},
        {"type": "interrupt", "data": ASKED},
        {"type": "interrupt", "payload": ASKED},
        {"result": {"messages": [], "__interrupt__": ASKED}},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_question_alone__keeps_its_id(answer: object) -> None:
    for events, failure in both(answer):
        assert failure is None
        assert [event.id for event in events if isinstance(event, Input)] == ["i1"]
        assert text(events) == ""


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(ERROR),
        json.dumps({"success": False, "error": "hunter2"}),
        {"response": json.dumps(ERROR)},
        {"data": json.dumps(ERROR)},
        {"type": "chunk", "data": ERROR},
        {"chunk": ERROR},
        {"event": "message", "data": json.dumps(ERROR)},
        str(ERROR),
    ],
    ids=str,
)
def test_a_failure_inside__fails_and_is_not_read_out(answer: object) -> None:
    for events, failure in both(answer):
        assert failure
        assert "hunter2" not in str(events) + failure


def test_a_typed_answer_with_an_error_in_it__is_the_json_it_is() -> None:
    typed = json.dumps({"error": "E42", "explanation": "The disk is full."})
    assert text(said(typed)) == typed


@pytest.mark.parametrize(
    "answer",
    [
        ANTHROPIC,
        {"result": ANTHROPIC},
        {"output": {"content": [{"text": "Hi"}], "model": "m", "stop_reason": "end_turn"}},
        {"data": [chunk("Hi"), {"langgraph_node": "agent"}]},
        {"chunk": ["updates", {"agent": {"messages": [ai("Hi")]}}]},
        {"type": "event", "data": ["messages", [chunk("Hi"), {"langgraph_node": "agent"}]]},
        [["updates", {"agent": {"messages": [ai("Hi")]}}], ["custom", {"n": 1}]],
        {"events": [{"init_event_loop": True}, {"data": "Hi", "delta": {"text": "Hi"}}]},
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_frame__is_found_in_its_envelope(answer: object) -> None:
    for events, failure in both(answer):
        assert (text(events), failure) == ("Hi", None)


def test_frames_as_json_under_a_key__are_read_as_long_as_they_come() -> None:
    tokens = ["Let", ' {"a": 1}', " go", ":\n\n"]
    frames = [{"type": "AIMessageChunk", "id": "r", "content": token} for token in tokens]
    for wrapped in (
        [{"data": json.dumps(frame)} for frame in frames],
        [{"type": "chunk", "data": json.dumps(frame)} for frame in frames],
        [{"seq": 1, "data": json.dumps(frame)} for frame in frames],
    ):
        assert text(said(*wrapped)) == "".join(tokens)


def test_tokens_in_events_in_strings__are_said_to_the_letter() -> None:
    tokens = ["Steps", ":\n\n", "1.", ": keep-alive\n\n"]
    assert text(said(*(f"data: {json.dumps(token)}\n\n" for token in tokens))) == "".join(tokens)


def test_agents_side_by_side__are_told_apart_by_their_envelopes() -> None:
    def frame(agent: str, words: str) -> dict[str, object]:
        delta = {"delta": {"text": words}, "contentBlockIndex": 0}
        return {"agent": agent, "event": {"event": {"contentBlockDelta": delta}}}

    frames = [frame("a", "It "), frame("b", "And "), frame("a", "is."), frame("b", "so.")]
    assert text(said(*frames)) == "It is.\n\nAnd so."


def test_a_state_under_its_nodes_name__is_the_graphs() -> None:
    asked, found = human("Q"), [ai("Let me see.", "1"), ai("Yes, it is.", "2")]
    frames = [
        {"node": node, "state": {"messages": [asked, *found[:count]], "plan": "a plan"}}
        for count, node in enumerate(("plan", "look", "write"))
    ]
    assert text(said(*frames)) == "Let me see.Yes, it is."


def test_what_a_search_found__is_no_answer_beside_one() -> None:
    found = [{"type": "text", "text": "A page.", "url": "https://example.com"}]
    for events, failure in both({"answer": "Hi", "results": found}):
        assert (text(events), failure) == ("Hi", None)
