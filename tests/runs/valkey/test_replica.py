"""One run's replication, decided without a server: every order of events, and what follows."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bff.events import Done, Message, Record, record
from bff.runs.log import Run, Status
from bff.runs.valkey.__main__ import table
from bff.runs.valkey.effects import Append, Close, Deliver, Effect, Forget, Restore, Settle
from bff.runs.valkey.replica import MOST_BYTES, MOST_EVENTS, TRANSITIONS, Replica, State
from tests.fakes.requests import run_request_of

BEGUN, LIVE, CLOSING, BEHIND, ENDED, LOST = State


@dataclass
class Copy:
    """What was delivered here, as the service keeps it."""

    records: list[Record] = field(default_factory=list)
    gone: bool = False

    def after(self, id: int) -> Sequence[Record]:
        return [] if self.gone else [item for item in self.records if item.id > id]

    def take(self, effects: Sequence[Effect]) -> Sequence[Effect]:
        for effect in effects:
            if isinstance(effect, Deliver):
                self.records += effect.records
        return effects


FIRST = record(1, Message("word 1"))


def begun(*, known: bool = True) -> tuple[Replica, Copy]:
    copy = Copy([FIRST])
    run = Run(run_id="r", request=run_request_of("hi"), created_at=0, last_event_id=1)
    return Replica(run, None, known=known, copied=copy.after), copy


def said(first: int, last: int, text: str = "word") -> list[Record]:
    return [record(id, Message(f"{text} {id}")) for id in range(first, last + 1)]


def ended(id: int) -> list[Record]:
    return [record(id, Done())]


# Every order of events

MOST_SAID = 4
Event = Callable[[Replica, Copy], Sequence[Effect]]


def put(end: Status | None) -> Event:
    def happen(replica: Replica, copy: Copy) -> Sequence[Effect]:
        over = replica.end or (replica._puts and replica._puts[-1].end)
        if over or replica.latest >= MOST_SAID:
            return ()  # its owner says nothing behind the end
        return replica.put(said(replica.latest + 1, replica.latest + 1), end)

    return happen


def reply(word: str) -> Event:
    """What a server can say: it never lacks what it restores, and what is next is not behind."""

    def happen(replica: Replica, copy: Copy) -> Sequence[Effect]:
        match word, replica._out:
            case (("ok" | "superseded"), Append(records) | Close(records)):
                return replica.replied(word, records[-1].id)
            case "missing", Append() | Close():
                return replica.replied(word, 0)
            case "behind", Append(records) | Close(records) if records[0].id > 2:
                return replica.replied(word, 1)
            case (("ok" | "superseded"), Restore(after)):
                return replica.replied(word, after)
            case "complete", Close() | Restore() if replica.end and replica.state is not BEGUN:
                return replica.replied(word, replica.delivered)
        return ()

    return happen


def drop(replica: Replica, copy: Copy) -> Sequence[Effect]:
    copy.gone = True
    return ()


EVENTS: dict[str, Event] = {
    "put": put(None),
    "put, the end": put("complete"),
    "sent": lambda replica, copy: replica.sent(),
    "replied ok": reply("ok"),
    "replied ok, by its end": reply("complete"),
    "replied missing": reply("missing"),
    "replied behind": reply("behind"),
    "replied superseded": reply("superseded"),
    "unreachable": lambda replica, copy: replica.unreachable(),
    "server_lost": lambda replica, copy: replica.server_lost(),
    "superseded": lambda replica, copy: replica.superseded(),
    "reopened": lambda replica, copy: replica.reopened(),
    "its copy is dropped": drop,
}
Way = tuple[bool, tuple[str, ...]]


def walked(way: Way) -> tuple[Replica, Copy]:
    known, events = way
    replica, copy = begun(known=known)
    for event in events:
        copy.take(EVENTS[event](replica, copy))
    return replica, copy


def all_there_is(replica: Replica, copy: Copy) -> tuple[object, ...]:
    puts = tuple((put.records[-1].id, put.end) for put in replica._puts)
    return (
        replica.state, replica.delivered, replica.acked, replica.end, puts, repr(replica._out),
        replica._known, replica._doubted, replica._away, replica._with_it, copy.gone,
    )  # fmt: skip


@pytest.fixture(scope="module")
def everything() -> dict[tuple[object, ...], Way]:
    """A way to every situation that a replica of few events can be in."""
    ways: dict[tuple[object, ...], Way] = {}
    ahead: deque[Way] = deque([(True, ()), (False, ())])
    while ahead:
        way = ahead.popleft()
        situation = all_there_is(*walked(way))
        if situation not in ways:
            ways[situation] = way
            ahead += [(way[0], (*way[1], event)) for event in EVENTS]
    return ways


def test_the_table__is_what_happens_no_more_and_no_less(
    everything: dict[tuple[object, ...], Way],
) -> None:
    happened = set()
    for way in everything.values():
        for event in EVENTS:
            replica, copy = walked(way)
            before = replica.state
            EVENTS[event](replica, copy)
            happened.add((event.partition(",")[0], before, replica.state))
    allowed = {
        (event, before, after)
        for event, row in TRANSITIONS.items()
        for before, states in row.items()
        for after in states
    }

    moved = {step for step in happened if step[1] is not step[2]}
    assert moved == {step for step in allowed if step[1] is not step[2]}
    assert allowed <= happened


def test_every_situation__has_a_way_out(everything: dict[tuple[object, ...], Way]) -> None:
    """A server that is there and says yes gets all of the run, or says whose it is."""
    for way in everything.values():
        replica, copy = walked(way)
        reply("ok")(replica, copy)
        replica.reopened()
        for _ in range(2 * MOST_SAID):
            if not replica.ready:
                break
            copy.take(replica.sent())
            copy.take(reply("ok")(replica, copy))
        assert replica.settled, (way, replica)
        assert not replica.ready


def test_every_situation__delivers_each_event_once_and_in_order(
    everything: dict[tuple[object, ...], Way],
) -> None:
    for way in everything.values():
        replica, copy = walked(way)
        assert [item.id for item in copy.records] == list(range(1, replica.delivered + 1)), way
        assert replica.waiting == sum(put.size for put in replica._puts)


def test_the_table__is_in_architecture_md_as_it_is_printed() -> None:
    assert table() in (Path(__file__).parents[3] / "ARCHITECTURE.md").read_text()


def test_every_test_that_architecture_md_names__is_there() -> None:
    root = Path(__file__).parents[3]
    named = re.findall(r"`(test_\w+__\w+)`", (root / "ARCHITECTURE.md").read_text())
    tests = "".join(path.read_text() for path in (root / "tests").rglob("test_*.py"))

    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []


# What follows from what


def test_what_is_put__is_delivered_when_the_server_has_it() -> None:
    replica, _ = begun()

    assert replica.put(said(2, 2)) == ()
    assert replica.put(said(3, 3), waiter="waiter") == ()
    assert replica.sent() == [Append(said(2, 3))]
    assert replica.sent() == ()  # one call at a time
    assert replica.replied("ok", 3) == [Deliver(said(2, 3), None), Settle("waiter", False)]
    assert (replica.acked, replica.delivered, replica.state) == (3, 3, LIVE)


def test_what_is_put_while_a_call_is_away__waits_for_the_next() -> None:
    replica, _ = begun()
    replica.put(said(2, 2))
    replica.sent()
    replica.put(said(3, 3))

    assert replica.replied("ok", 2) == [Deliver(said(2, 2), None)]
    assert replica.ready
    assert replica.sent() == [Append(said(3, 3))]


def test_an_end__goes_with_what_was_said_before_it() -> None:
    replica, _ = begun()
    replica.put(said(2, 2))
    replica.put(ended(3), "complete", waiter="waiter")
    together = said(2, 2) + ended(3)

    assert replica.sent() == [Close(together, "complete")]
    assert replica.state is CLOSING
    assert replica.replied("ok", 3) == [Deliver(together, "complete"), Settle("waiter", False)]
    assert replica.state is ENDED


def test_an_end_whose_reply_was_lost__is_known_by_its_status() -> None:
    replica, copy = begun()
    replica.put(ended(2), "cancelled")
    replica.sent()
    copy.take(replica.unreachable())
    assert replica.state is BEHIND

    assert replica.sent() == [Close(ended(2), "cancelled")]
    assert replica.replied("cancelled", 2) == ()
    assert replica.state is ENDED


def test_an_end_that_is_not_ours__is_anothers() -> None:
    replica, _ = begun()
    replica.put(ended(2), "complete", waiter="waiter")
    replica.sent()

    assert replica.replied("interrupted", 2) == [Settle("waiter", True), Forget(abandon=True)]
    assert replica.state is LOST


def test_a_server_that_is_away__keeps_nobody_waiting() -> None:
    replica, copy = begun()
    replica.put(said(2, 2), waiter="waiter")
    replica.sent()
    replica.put(said(3, 3))

    delivered = copy.take(replica.unreachable())

    assert delivered == [Deliver(said(2, 3), None), Settle("waiter", False)]
    assert (replica.state, replica.acked, replica.ready) == (BEHIND, 1, False)
    replica.put(said(4, 4))
    assert replica.ready  # not for the server, but for those who follow here
    assert replica.unreachable() == [Deliver(said(4, 4), None)]


def test_a_server_that_is_there_again__is_told_what_it_missed() -> None:
    replica, copy = begun()
    replica.put(said(2, 3))
    copy.take(replica.unreachable())
    replica.reopened()

    assert replica.sent() == [Append(said(2, 3))]
    assert replica.replied("ok", 3) == ()  # the followers here have them
    assert replica.state is LIVE


def test_a_server_that_is_empty__is_given_the_whole_run() -> None:
    replica, copy = begun()
    replica.put(said(2, 2))
    replica.sent()
    copy.take(replica.replied("ok", 2))
    replica.put(said(3, 3))

    replica.sent()
    assert replica.replied("missing", 0) == ()
    assert replica.sent() == [Restore(0)]
    assert replica.replied("ok", 0) == ()
    assert replica.sent() == [Append([FIRST, *said(2, 3)])]
    assert replica.replied("ok", 3) == [Deliver(said(3, 3), None)]


def test_a_server_that_lost_the_run_meanwhile__is_not_believed_the_reply() -> None:
    """Nobody can say whether what the reply is about came before the loss."""
    replica, copy = begun()
    replica.put(said(2, 2))
    replica.sent()
    replica.server_lost()

    copy.take(replica.replied("ok", 2))

    assert replica.state is BEHIND
    assert replica.sent() == [Restore(0)]


def test_a_server_that_lost_the_last_events__is_given_those() -> None:
    replica, copy = begun()
    replica.put(said(2, 4))
    replica.sent()
    copy.take(replica.replied("ok", 4))
    replica.put(said(5, 5))
    replica.sent()

    assert replica.replied("behind", 2) == ()
    assert replica.sent() == [Append(said(3, 5))]


def test_events_that_are_no_longer_kept__leave_a_gap_and_not_a_hole() -> None:
    replica, copy = begun()
    replica.put(said(2, 4))
    copy.take(replica.unreachable())
    del copy.records[:2]

    assert replica.sent() == [Restore(2)]
    assert replica.replied("ok", 2) == ()
    assert replica.sent() == [Append(said(3, 4))]


def test_a_run_of_which_nothing_is_kept__is_given_up() -> None:
    replica, copy = begun()
    replica.put(said(2, 2))
    copy.take(replica.unreachable())
    copy.gone = True

    assert replica.sent() == [Forget(abandon=True)]
    assert replica.state is LOST


def test_an_ended_run_that_the_server_lost__comes_back_with_its_end() -> None:
    replica, copy = begun()
    replica.put(ended(2), "complete")
    replica.sent()
    copy.take(replica.replied("ok", 2))

    replica.server_lost()

    assert replica.sent() == [Restore(0)]
    assert replica.replied("ok", 0) == ()
    assert replica.sent() == [Close([FIRST, *ended(2)], "complete")]
    assert replica.replied("ok", 2) == ()
    assert replica.state is ENDED


def test_a_run_that_was_lost__takes_nothing_any_more() -> None:
    replica, _ = begun()
    replica.put(said(2, 2), waiter="first")
    replica.sent()

    assert replica.superseded() == [Settle("first", True), Forget(abandon=True)]

    assert replica.replied("ok", 2) == ()  # it was on its way
    assert replica.put(said(3, 3), waiter="next") == [Settle("next", True)]
    assert replica.superseded() == ()
    assert (replica.sent(), replica.unreachable()) == ((), ())
    assert not replica.ready


def test_an_ended_run_that_was_lost__has_no_agent_to_stop() -> None:
    replica, copy = begun()
    replica.put(ended(2), "complete")
    copy.take(replica.unreachable())

    assert replica.superseded() == [Forget(abandon=False)]


def test_many_events__go_in_calls_that_a_server_can_take() -> None:
    replica, copy = begun()
    replica.put(said(2, MOST_EVENTS + 3), waiter="waiter")
    calls: list[int] = []
    effects: Sequence[Effect] = ()
    while replica.ready:
        [call] = replica.sent()
        assert isinstance(call, Append)
        calls.append(len(call.records))
        effects = copy.take(replica.replied("ok", call.records[-1].id))

    assert calls == [MOST_EVENTS, 2]
    assert effects[-1] == Settle("waiter", False)


def test_long_events__go_in_calls_that_a_server_can_take() -> None:
    replica, _ = begun()
    for id in range(2, 6):
        replica.put(said(id, id, "x" * (MOST_BYTES // 2)))

    [call] = replica.sent()

    assert isinstance(call, Append)
    assert [item.id for item in call.records] == [2, 3]
