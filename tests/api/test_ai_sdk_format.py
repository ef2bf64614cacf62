"""A run as AI SDK's stream and messages have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bff.api.ai_sdk.messages import ui_messages
from bff.api.ai_sdk.parts import UIEncoder
from bff.events import (
    Custom,
    Done,
    Event,
    File,
    Input,
    Message,
    Record,
    Source,
    ToolEnd,
    ToolStart,
    ToolUse,
)
from bff.history import StoredMessage
from tests.api.example_run import (
    BODY,
    CANCELLED,
    COMPLETE,
    FAILED,
    PROBLEM,
    RUN,
    records,
    with_gap,
)
from tests.api.reading import frames


def encoded(items: list[Record]) -> list[Any]:
    return frames(UIEncoder(RUN)(items))


def types(parts: list[Any]) -> list[str]:
    return [part if part == "[DONE]" else part["type"] for part in parts]


def test_a_run__opens_and_closes_a_block_wherever_the_kind_changes() -> None:
    parts = encoded(records(*BODY, COMPLETE))

    assert types(parts) == [
        "start",
        "start-step",
        "reasoning-start",
        "reasoning-delta",
        "reasoning-delta",
        "reasoning-end",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "tool-input-available",
        "tool-output-available",
        "data-custom",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
        "[DONE]",
    ]
    assert parts[0]["messageId"] == RUN.run_id
    assert parts[0]["messageMetadata"] == {"runId": RUN.run_id, "sessionId": "demo"}
    assert [part["id"] for part in parts[2:10]] == ["1"] * 4 + ["2"] * 4
    assert parts[-2] == {
        "type": "finish",
        "messageMetadata": {
            "status": "complete",
            "usage": {"inputTokens": 5, "outputTokens": 8, "totalTokens": 13},
        },
    }


def test_tools__are_dynamic_and_never_the_pages_to_run() -> None:
    parts = encoded(records(*BODY, COMPLETE))

    call, result = parts[10:12]
    assert call == {
        "type": "tool-input-available",
        "toolCallId": "call-1",
        "toolName": "calculator",
        "input": {"expression": "15 * 23"},
        "dynamic": True,
        "providerExecuted": True,
    }
    assert result == {
        "type": "tool-output-available",
        "toolCallId": "call-1",
        "output": "345",
        "dynamic": True,  # else version 5 does not find the call
    }


def test_a_tool_that_failed__is_an_output_error() -> None:
    parts = encoded(records(ToolStart("1", "t", {}), ToolEnd("1", "t", error="no"), Done()))

    assert parts[3]["type"] == "tool-output-error"
    assert parts[3]["errorText"] == "no"
    assert parts[3]["dynamic"] is True


def test_a_result_without_its_call__brings_one_since_clients_throw() -> None:
    parts = encoded(with_gap(ToolEnd("1", "t", "42"), Done()))

    assert types(parts)[:5] == [
        "start",
        "start-step",
        "data-gap",
        "tool-input-available",
        "tool-output-available",
    ]
    assert parts[2]["data"] == {"from": 1, "to": 9}


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (COMPLETE, {"type": "tool-output-available", "output": ""}),
        (CANCELLED, {"type": "tool-output-error", "errorText": "cancelled"}),
        (FAILED, {"type": "tool-output-error", "errorText": PROBLEM["detail"]}),
    ],
)
def test_a_call_without_a_result__is_settled_at_the_end(
    end: Event, outcome: dict[str, str]
) -> None:
    parts = encoded(records(ToolStart("1", "t", {}), end))

    assert outcome.items() <= parts[3].items()


def test_a_failed_run__closes_what_is_open_and_then_says_the_error() -> None:
    parts = encoded(records(Message("Hel"), FAILED))

    assert types(parts)[4:] == ["text-end", "error", "finish-step", "finish", "[DONE]"]
    assert parts[5]["errorText"] == PROBLEM["detail"]
    assert parts[7] == {"type": "finish", "messageMetadata": {"status": "failed"}}


def test_a_cancelled_run__is_aborted() -> None:
    parts = encoded(records(Message("Hel"), CANCELLED))

    assert types(parts)[4:] == ["text-end", "abort", "[DONE]"]


def test_batches__change_nothing_in_the_bytes() -> None:
    items = records(*BODY, COMPLETE)
    at_once, one_by_one = UIEncoder(RUN), UIEncoder(RUN)

    assert at_once(items) == b"".join(one_by_one([item]) for item in items)


def test_what_the_agent_cites_and_makes__are_parts_of_their_own_kind() -> None:
    parts = encoded(
        records(
            Source("https://a/b", "A"),
            File("image/png", data="iVBORw=="),
            Custom({"x": 1}, "data-weather"),
            Custom([1], "STATE_DELTA"),
            Done(),
        )
    )

    assert parts[2:6] == [
        {"type": "source-url", "sourceId": f"{RUN.run_id}-2", "url": "https://a/b", "title": "A"},
        {"type": "file", "url": "data:image/png;base64,iVBORw==", "mediaType": "image/png"},
        {"type": "data-weather", "data": {"x": 1}},
        {"type": "data-STATE_DELTA", "data": [1]},
    ]


def test_a_question__is_a_call_that_the_page_has_to_settle() -> None:
    pay = ToolUse("c-1", "pay", {"amount": 10})
    asked = (
        Input("i-1", "approval", "May I?", pay),
        Input("i-2", "input", "Which city?"),
        Input("c-2", "tool", tool=ToolUse("c-2", "locate", {})),
    )
    parts = encoded(
        records(
            ToolStart("c-1", "pay", {"amount": 10}), *asked, Done("input_required", inputs=asked)
        )
    )

    assert types(parts)[2:] == [
        "tool-input-available",
        "tool-input-available",
        "tool-approval-request",
        "tool-input-available",
        "tool-input-available",
        "finish-step",
        "finish",
        "[DONE]",
    ]
    assert parts[3]["providerExecuted"] is False
    assert parts[4] == {
        "type": "tool-approval-request",
        "approvalId": "i-1",
        "toolCallId": "c-1",
    }
    assert parts[5]["input"] == {"message": "Which city?"}
    assert (parts[6]["toolName"], "dynamic" in parts[6]) == ("locate", False)


def test_a_run_that_answers__goes_on_with_the_message_that_asked() -> None:
    pay = ToolUse("c-1", "pay", {"amount": 10})
    question = Input("i-1", "approval", "May I?", pay)
    request = replace(RUN.request, questions=(question,), continues="run_first", declined=("i-1",))
    run = replace(RUN, request=request)
    paid = frames(UIEncoder(run)(records(ToolEnd("c-1", "pay", "paid"), Done())))
    silent = frames(UIEncoder(run)(records(Message("No."), Done())))
    asked_for_input = Input("i-1", "input", "How much?", pay)
    typed = replace(run, request=replace(request, questions=(asked_for_input,)))
    left_out = frames(UIEncoder(typed)(records(Done())))
    replayed = frames(
        UIEncoder(
            run,
            before=[
                {"type": "step-start"},
                {"type": "text", "text": "Wait."},
                {"type": "dynamic-tool", "toolName": "pay", "toolCallId": "c-1", "input": {},
                 "state": "approval-requested"},
            ],
        )(records(ToolEnd("c-1", "pay", "paid"), Done()))
    )  # fmt: skip

    assert paid[0]["messageId"] == silent[0]["messageId"] == "run_first"
    assert types(paid)[1:4] == ["start-step", "tool-output-available", "finish-step"]
    assert types(silent)[-5:-3] == ["text-end", "tool-output-denied"]
    # which only an approval has: version 5 does not know it
    assert types(left_out)[2] == "tool-output-available"
    assert types(replayed)[1:9] == [
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-available",
        "finish-step",
        "start-step",
        "tool-output-available",
    ]


def test_a_result_that_the_page_gave__is_not_told_to_it_again() -> None:
    question = Input("c-1", "tool", tool=ToolUse("c-1", "locate", {}))
    request = replace(RUN.request, questions=(question,), continues="run_first")
    parts = frames(
        UIEncoder(replace(RUN, request=request))(records(ToolEnd("c-1", "locate", "Rome"), Done()))
    )

    assert types(parts) == ["start", "start-step", "finish-step", "finish", "[DONE]"]


def test_a_call_that_failed_in_the_run_that_was_approved__is_shown_without_an_output() -> None:
    call = {"id": "c-1", "tool": "pay", "args": {}}
    shown = ui_messages(
        [
            StoredMessage("user", "Pay", "run_1", 1),
            StoredMessage("assistant", "Well.", "run_1", 2, tool_calls=[call]),
            StoredMessage("user", "Approved", "run_2", 3, continues="run_1"),
            StoredMessage("assistant", "", "run_2", 4, continues="run_1",
                          tool_calls=[{**call, "error": "no money"}]),
        ],
        (),
    )  # fmt: skip
    [part] = [part for part in shown[1]["parts"] if part["type"] == "dynamic-tool"]

    assert (part["state"], part["errorText"]) == ("output-error", "no money")
    assert "output" not in part  # else validateUIMessages refuses the chat
