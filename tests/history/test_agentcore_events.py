import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.history import StoredMessage, Turn
from bff.history.agentcore.conversation import conversation
from bff.history.agentcore.events import (
    EVENT_BYTES,
    EVENT_ITEMS,
    TEXT_CHARACTERS,
    Event,
    lean,
    turn_events,
)
from bff.history.paging import messages_of
from tests.history.turns import TURN, turn

CHECKPOINT = json.dumps(
    {
        "event_type": "checkpoint",
        "checkpoint_id": "1f0",
        "checkpoint_data": {"type": "msgpack", "data": "gaFhAQ=="},
        "metadata": {"type": "msgpack", "data": "gA=="},
        "thread_id": "t",
        "checkpoint_ns": "",
    }
)


def event(at: float, *payload: dict[str, Any], metadata: Any = None, id: str = "") -> Event:
    return {
        "eventId": id or f"{round(at * 1000):019}#0a1b2c3d",
        "eventTimestamp": datetime.fromtimestamp(at, UTC),
        "payload": list(payload),
        "metadata": metadata or {},
    }


def said(role: str, text: str) -> dict[str, Any]:
    return {"conversational": {"role": role, "content": {"text": text}}}


def dump(role: str, *content: dict[str, Any], redacted: dict[str, Any] | None = None) -> str:
    """As Strands' SessionMessage.to_dict gives it."""
    return json.dumps(
        {
            "message": {"role": role, "content": list(content)},
            "message_id": 3,
            "redact_message": redacted,
            "created_at": "2026-11-23T07:00:00+00:00",
            "updated_at": "2026-11-23T07:00:00+00:00",
        }
    )


def messages(events: list[Event]) -> list[StoredMessage]:
    return [m for group in conversation(events) for m in group.messages]


def shown(events: list[Event]) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in messages(events)]


def written(turn: Turn) -> list[Event]:
    return [
        event(turn.answered_at + n / 1000, *payload, metadata=metadata)
        for n, (payload, metadata) in enumerate(turn_events(turn))
    ]


def test_a_turn__is_one_event_with_question_answer_and_calls() -> None:
    ((payload, metadata),) = turn_events(TURN)

    assert payload == [
        said("USER", "What is 15 * 23?"),
        said("ASSISTANT", "345."),
        {"blob": json.dumps(TURN.tool_calls, separators=(",", ":"))},
    ]
    assert {name: value["stringValue"] for name, value in metadata.items()} == {
        "bff.run": "run-1",
        "bff.session": "chat",
        "bff.status": "complete",
        "bff.asked": "1790000000.125",
        "bff.answered": "1790000001.5",
        "bff.part": "0 of 1",
    }


texts = st.text(max_size=40) | st.integers(1, 40_000).map(lambda n: "long é𝄞 " * (n // 8))


@given(message=texts, answer=texts, result=texts)
def test_a_turn__comes_back_from_its_events(message: str, answer: str, result: str) -> None:
    calls = [{"id": "1", "tool": "t", "args": {"é": [1, None]}, "result": result}]
    original = replace(TURN, message=message or "x", answer=answer, tool_calls=calls)
    events = written(original)
    random.Random(1).shuffle(events)

    (group,) = conversation(events)

    assert group.messages == messages_of(original)


@pytest.mark.parametrize("character", ["a", "é", "𝄞", '"', "\n"])
def test_a_large_turn__keeps_within_the_services_sizes(character: str) -> None:
    original = replace(TURN, answer=character * 2_000_000)
    events = turn_events(original)

    for payload, _ in events:
        assert len(payload) <= EVENT_ITEMS
        assert len(json.dumps(payload)) <= EVENT_BYTES + 20 * EVENT_ITEMS
        for item in payload:
            if "conversational" in item:
                assert 1 <= len(item["conversational"]["content"]["text"]) <= TEXT_CHARACTERS
    assert messages(written(original))[1].content == original.answer


def test_a_turn__of_which_a_part_is_missing_is_not_shown() -> None:
    events = written(replace(TURN, answer="a" * 2_000_000))
    assert len(events) > 2

    for missing in range(len(events)):
        assert conversation(events[:missing] + events[missing + 1 :]) == []


def test_a_part__that_was_written_twice_counts_once() -> None:
    again = [{**e, "eventId": "9999999999999999999#ff"} for e in written(TURN)]

    assert messages(again + written(TURN)) == list(messages_of(TURN))


@pytest.mark.parametrize("run_id", ["a|b", "ü", "x" * 257])
def test_a_turn__with_ids_that_metadata_cannot_hold_is_refused(run_id: str) -> None:
    with pytest.raises(ValueError, match="run"):
        turn_events(replace(TURN, run_id=run_id))


@given(st.permutations(range(6)))
def test_the_order__is_made_here(order: list[int]) -> None:
    events = [e for n in range(3) for e in written(turn(n))] + [
        event(1_790_000_005.0, said("USER", "an agent's"), said("ASSISTANT", "own words")),
        event(1_790_000_015.5, said("USER", "same moment, first"), id="0000001790000015500#01"),
        event(1_790_000_015.5, said("USER", "same moment, second"), id="0000001790000015500#02"),
    ]

    assert shown([events[n] for n in order]) == [
        ("user", "question 0"),
        ("assistant", "answer 0"),
        ("user", "an agent's"),
        ("assistant", "own words"),
        ("user", "question 1"),
        ("assistant", "answer 1"),
        ("user", "same moment, first"),
        ("user", "same moment, second"),
        ("user", "question 2"),
        ("assistant", "answer 2"),
    ]


def test_an_agents_own_messages__have_the_events_id_and_time() -> None:
    (message,) = messages([event(12.5, said("ASSISTANT", "hello"), id="12500#ab")])

    assert message == StoredMessage("assistant", "hello", "12500#ab", 12.5, None, [])


@pytest.mark.parametrize(
    "blob",
    [
        CHECKPOINT,
        json.dumps({"event_type": "channel_data", "channel": "messages", "value": {"data": "x"}}),
        json.dumps({"event_type": "writes", "writes": []}),
        {"event_type": "checkpoint"},
        {"message": {"role": "user", "content": [{"text": "hidden"}]}, "message_id": 1},
        [1, 2],
        "[1, 2]",
        '["not json", "user"]',
        "[" * 10_000,
        "",
        None,
        7,
    ],
)
def test_blobs__of_checkpointers_and_others_are_never_shown(blob: Any) -> None:
    events = [event(1.0, {"blob": blob}, {"blob": blob}), event(2.0, said("USER", "visible"))]

    assert shown(events) == [("user", "visible")]
    assert shown([lean(e) for e in events]) == [("user", "visible")]


def test_roles__that_are_neither_user_nor_assistant_are_not_shown() -> None:
    assert shown([event(1.0, said("TOOL", "42"), said("OTHER", "x"), said("USER", "q"))]) == [
        ("user", "q")
    ]


@pytest.mark.parametrize(
    "text", ['{"answer": 42}', '{"message": "x"}', '{"message": {"role": "user"}}', "{", "[]"]
)
def test_text__that_only_looks_like_a_dump_is_shown_as_it_is(text: str) -> None:
    assert shown([event(1.0, said("ASSISTANT", text))]) == [("assistant", text)]


def test_strands__is_shown_as_text_with_its_tool_calls_joined() -> None:
    use = {"toolUse": {"toolUseId": "t1", "name": "calculator", "input": {"x": "15*23"}}}
    failed = {"toolUse": {"toolUseId": "t2", "name": "clock", "input": {}}}
    results = [
        {"toolResult": {"toolUseId": "t1", "status": "success", "content": [{"text": "345"}]}},
        {"toolResult": {"toolUseId": "t2", "status": "error", "content": [{"json": {"no": 1}}]}},
    ]
    events = [
        event(1.0, said("USER", dump("user", {"text": "What is 15 * 23?"}))),
        event(2.0, said("ASSISTANT", dump("assistant", {"text": "Let me see. "}, use, failed))),
        event(3.0, said("USER", dump("user", *results))),
        event(
            4.0,
            said(
                "ASSISTANT",
                dump("assistant", {"reasoningContent": {"text": "hm"}}, {"text": "345."}),
            ),
        ),
        event(5.0, said("USER", dump("user", {"text": "Thanks"}))),
        event(6.0, said("ASSISTANT", dump("assistant", {"text": "Welcome"}))),
    ]

    found = messages(list(reversed(events)))

    assert [(m.role, m.content) for m in found] == [
        ("user", "What is 15 * 23?"),
        ("assistant", "Let me see. 345."),
        ("user", "Thanks"),
        ("assistant", "Welcome"),
    ]
    assert found[1].tool_calls == [
        {"id": "t1", "tool": "calculator", "args": {"x": "15*23"}, "result": "345"},
        {"id": "t2", "tool": "clock", "args": {}, "error": '{"json":{"no":1}}'},
    ]


def test_strands__messages_too_long_for_text_are_read_from_their_blob() -> None:
    long = "w" * 200_000
    blob = json.dumps([dump("assistant", {"text": long}), "assistant"])
    events = [event(1.0, said("USER", dump("user", {"text": "q"}))), event(2.0, {"blob": blob})]

    assert shown([lean(e) for e in events]) == [("user", "q"), ("assistant", long)]


def test_strands__state_of_sessions_and_agents_is_not_shown() -> None:
    state = json.dumps({"session_id": "s", "session_type": "AGENT", "created_at": "2026"})
    kind = {"stateType": {"stringValue": "SESSION"}}

    assert messages([event(1.0, {"blob": state}, metadata=kind)]) == []


def test_strands__what_was_redacted_stays_hidden() -> None:
    redacted = {"role": "user", "content": [{"text": "[removed]"}]}
    text = dump("user", {"text": "a secret"}, redacted=redacted)

    assert shown([event(1.0, said("USER", text))]) == [("user", "[removed]")]


def test_lean__keeps_our_own_events_whole() -> None:
    (own,) = written(TURN)

    assert lean(own) == own
    assert lean(event(1.0, {"blob": CHECKPOINT}))["payload"] == []


@given(
    st.lists(
        st.recursive(
            st.none() | st.text(max_size=5) | st.integers(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["conversational", "blob", "content", "text", "role", "message"]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ).filter(lambda item: isinstance(item, dict)),
        max_size=4,
    )
)
def test_whatever_an_agent_writes__reading_goes_on(payload: list[Any]) -> None:
    events = [event(1.0, *payload), event(2.0, said("USER", "still here"))]

    assert shown([lean(e) for e in events])[-1] == ("user", "still here")
