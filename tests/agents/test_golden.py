"""Bytes of real agents, recorded, and what they must become however they are cut."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.agents.dialects.decoder import Decoder
from bff.events import Event
from tests.agents.record import CASES, GOLDEN, outcome

RECORDED = sorted(path for path in GOLDEN.iterdir() if path.suffix != ".events")


def decode(data: bytes, suffix: str, cuts: list[int]) -> tuple[list[Event], str | None]:
    decoder = Decoder("application/json" if suffix == ".json" else "text/event-stream")
    events: list[Event] = []
    start = 0
    for cut in [*sorted(cuts), len(data)]:
        events += decoder.feed(data[start:cut])
        start = cut
    return events + decoder.end(), decoder.failure


def test_every_case__is_recorded() -> None:
    assert {path.stem for path in RECORDED} == set(CASES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_recorded_bytes__become_the_recorded_events(path: Path) -> None:
    expected = path.with_suffix(".events").read_text("utf-8")

    assert outcome(path.read_bytes(), path.suffix) == expected


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_bytes_one_by_one__become_the_same_events(path: Path) -> None:
    data = path.read_bytes()[:40_000]

    assert decode(data, path.suffix, list(range(1, len(data)))) == decode(data, path.suffix, [])


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 60))
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_bytes_cut_anywhere__become_the_same_events(path: Path, seed: int, number: int) -> None:
    data = path.read_bytes()
    dice = random.Random(seed)
    cuts = [dice.randrange(len(data) + 1) for _ in range(number)]

    assert decode(data, path.suffix, cuts) == decode(data, path.suffix, [])
