"""Answers of real agents, recorded: what comes of them is what their models said, however cut."""

import random

import pytest
from _pytest.mark import ParameterSet
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.events import Event, Message, Thinking
from tests.agents.environments import ROOT
from tests.agents.not_yet import NOT_YET
from tests.agents.recordings import Recording, decoded, differences, recordings
from tests.agents.show import table

RECORDED = recordings()


def marked(recorded: list[Recording]) -> list[ParameterSet]:
    """Each recording, those that the decoder cannot read yet as failures that must stay such."""
    return [
        pytest.param(
            recording,
            marks=[pytest.mark.xfail(reason=NOT_YET[recording.id], strict=True)]
            if recording.id in NOT_YET
            else [],
            id=recording.id,
        )
        for recording in recorded
    ]


def joined(events: list[Event]) -> list[object]:
    """The events with pieces of one text put together: cuts of the bytes may cut words."""
    merged: list[object] = []
    for event in events:
        last = merged[-1] if merged else None
        match event, last:
            case Message(content), ("message", text):
                merged[-1] = ("message", f"{text}{content}")
            case Message(content), _:
                merged.append(("message", content))
            case Thinking(content), ("thinking", text):
                merged[-1] = ("thinking", f"{text}{content}")
            case Thinking(content), _:
                merged.append(("thinking", content))
            case _:
                merged.append(event)
    return merged


@pytest.mark.parametrize("recording", marked(RECORDED))
def test_a_real_agents_answer__becomes_what_its_model_said(recording: Recording) -> None:
    events, failure = decoded(recording.body, recording.content_type, recording.headers)

    assert differences(recording.truth, events, failed=failure is not None) == []


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_bytes_cut_anywhere__become_the_same_events(seed: int) -> None:
    dice = random.Random(seed)
    recording = dice.choice(RECORDED)
    data = recording.body
    cuts = [dice.randrange(len(data) + 1) for _ in range(dice.randrange(60))]

    cut, failure = decoded(data, recording.content_type, recording.headers, cuts)
    whole, failure_of_whole = decoded(data, recording.content_type, recording.headers)

    assert (joined(cut), failure) == (joined(whole), failure_of_whole)


def test_what_is_not_read_yet__is_recorded() -> None:
    assert NOT_YET.keys() <= {recording.id for recording in RECORDED}


def test_the_documentation__lists_every_framework() -> None:
    documented = (ROOT / "docs" / "agents.md").read_text("utf-8").splitlines()

    assert [row for row in table() if row not in documented] == []
