"""What is known of another instance's run, in whatever order its messages and our reads come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from bff.events import Done, Message, Record, record
from bff.runs.log import Run
from bff.runs.valkey.batching import Lane
from bff.runs.valkey.keys import run_keys
from bff.runs.valkey.remote_runs import RemoteRun, RemoteRuns
from bff.runs.valkey.stored_form import write_event
from bff.runs.valkey.takeover import Takeover
from bff.runs.valkey.timing import TIMING
from tests.fakes.requests import run_request_of

RUN = Run(run_id="run_1", request=run_request_of(), created_at=0.0)
KEYS = run_keys(RUN.owner, RUN.run_id)
SAID = [record(1, Message("one")), record(2, Message("two")), record(3, Done())]


class Server:
    """Has a reply for each read; `while_asked` happens between its making and its coming."""

    def __init__(self, *replies: Sequence[Any]) -> None:
        self.replies = list(replies)
        self.while_asked: Callable[[], None] = lambda: None
        self.asked = 0

    async def run(self, _: object) -> Sequence[Any]:
        self.asked += 1
        self.while_asked()
        return self.replies.pop(0)


def followed(server: Server) -> RemoteRuns:
    lane, takeover = cast("Lane", server), cast("Takeover", None)
    return RemoteRuns(lane=lane, asking=lane, takeover=takeover, instance="i", timing=TIMING)


def texts(records: Sequence[Record]) -> list[str]:
    return [write_event(item) for item in records]


async def test_what_is_heard_while_the_log_is_read__is_not_undone_by_the_older_reply() -> None:
    """The end was published behind the read, and came before its reply: nothing is asked again."""
    server = Server(["running", 2, 1000, 1, *texts(SAID[:2])])
    runs = followed(server)
    end = f"events {KEYS.member} 3\n{texts(SAID)[2]}"
    server.while_asked = lambda: runs.heard(end)

    told: list[Record] = []
    async with aclosing(runs.follow(RUN, 0, silence_seconds=0.01)) as batches:
        async for batch in batches:
            assert batch, "the end was not heard"
            told += batch

    assert [item.id for item in told] == [1, 2, 3]
    assert server.asked == 1


async def test_a_reply_behind_what_was_known_before__is_a_server_that_lost_events() -> None:
    server = Server(["running", 2, 1000, 1, *texts(SAID[:2])], ["running", 1, 1000, 2])
    runs = followed(server)

    remote = RemoteRun(KEYS)
    assert [item.id for item in await runs.read(remote, 0)] == [1, 2]
    assert await runs.read(remote, 2) == ()

    assert remote.last == 1
