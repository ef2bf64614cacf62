"""The model of the scripts beside the scripts themselves: whatever is called, both say the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from bff.runs.log import Run
from bff.runs.request import Idempotency
from bff.runs.valkey import scripts
from bff.runs.valkey.keys import INSTANCES_KEY, PREFIX, OwnKeys
from bff.runs.valkey.scripts import Script
from tests.fakes.requests import run_request_of
from tests.runs.valkey.model import Model
from tests.runs.valkey.valkey import Valkey

EXAMPLES = 40
CALLS = 100
"""Of one example."""
INSTANCES = ("a", "a", "a", "b")
OFTEN = {"open": 9, "append": 9, "close": 6, "forget": 4, "evict": 1, "withdraw": 1}
LEASE = 100
EPOCH = 1_700_000_000_000


class Pair:
    """The server and the model: one clock, one call after the other, one answer."""

    def __init__(self, server: redis.Redis) -> None:
        self.now = EPOCH
        self._server = server
        self._model = Model(lambda: self.now)
        self._messages: Any = server.pubsub(  # type: ignore[no-untyped-call]
            ignore_subscribe_messages=True
        )
        self._messages.psubscribe(f"{PREFIX}:instance:*")
        self._messages.get_message(timeout=5)

    def close(self) -> None:
        self._messages.close()

    def run(self, script: Script, keys: Sequence[str], *args: str | int) -> Any:
        """What both say, and it is the same."""
        clock = f"{{{self.now // 1000}, {self.now % 1000 * 1000}}}"
        text = script.text.replace("redis.call('TIME')", clock)
        # the server's own clock goes on: nothing may be over before the test's says so
        text = text.replace("'PEXPIRE'", "'EXISTS'").replace("'PX', ttl", "'PX', 600000")
        said = self._server.eval(text, len(keys), *keys, *args)
        modelled = self._model.run(script, keys, args)
        assert modelled == said, (script, args)
        assert self._model.published == self._published(len(self._model.published)), script
        self._model.published.clear()
        return said

    def _published(self, count: int) -> list[tuple[str, str]]:
        heard: list[tuple[str, str]] = []
        while message := self._messages.get_message(timeout=5 if len(heard) < count else 0):
            heard.append((message["channel"], message["data"]))
        return heard

    def evict(self, key: str) -> None:
        self._server.delete(key)
        self._model.data.pop(key, None)

    def flush(self) -> None:
        self._server.flushall()
        self._model.flush()


@pytest.fixture
def pair(own: Valkey) -> Iterator[Pair]:
    with redis.Redis(port=own.port, decode_responses=True, protocol=2) as server:
        pair = Pair(server)
        yield pair
        pair.close()


class Calls:
    """Every script, with arguments of which any may be wrong or late."""

    def __init__(self, pair: Pair, chance: random.Random) -> None:
        self._pair = pair
        self._chance = chance
        self._epoch = ""
        self._number = 0
        self._last: dict[str, int] = {}
        self._runs = [self._begun() for _ in range(4)]
        self._all = [getattr(self, name) for name in dir(self) if name.startswith("call_")]
        self._weights = [OFTEN.get(call.__name__[5:], 3) for call in self._all]

    def one(self) -> str:
        """Make one; returns what the first word of the reply was."""
        self._pair.now += self._chance.choice([0, 0, 1, 20, 60])
        [call] = self._chance.choices(self._all, self._weights)
        keys, instance = self._chance.choice(self._runs), self._chance.choice(INSTANCES)
        reply = call(keys, instance)
        first = reply.split(" ")[0] if isinstance(reply, str) else reply and reply[0]
        return f"{call.__name__[5:]} {first if isinstance(first, str) else type(first).__name__}"

    def _begun(self) -> OwnKeys:
        """A run as it is asked for: its id is its own, session and key may be another's too."""
        self._number += 1
        session, key, body = [self._chance.randrange(3) for _ in range(3)]
        request = run_request_of("hi", session_id=f"s{session}")
        run = Run(run_id=f"r{self._number}", request=request, created_at=0)
        return OwnKeys(run, Idempotency(f"k{key}", f"b{body}") if self._flag() else None)

    def _kept_ms(self) -> int:
        """Some are kept for no longer than a test, so that they are found to be over."""
        return self._chance.choice([600_000, 600_000, 100])

    def _flag(self) -> int:
        return self._chance.randrange(2)

    def _id(self, keys: OwnKeys) -> int:
        """Mostly the last event of the run, as it was heard of."""
        off = self._chance.choice([0, 0, 0, 0, 0, -1, 1, 7])
        return max(0, self._last.get(keys.member, 1) + off)

    def _events(self) -> list[str]:
        return [f"message {self._chance.random()}" for _ in range(self._chance.choice([1, 1, 3]))]

    def call_touch(self, keys: OwnKeys, instance: str) -> Any:
        reply = self._pair.run(scripts.TOUCH, (keys.epoch,), "fresh")
        self._epoch = reply[0]
        return reply

    def call_open(self, keys: OwnKeys, instance: str) -> Any:
        ours, keys = self._chance.choice(self._runs), self._begun()
        self._runs[self._chance.randrange(len(self._runs))] = keys
        return self._pair.run(
            scripts.OPEN,
            (
                keys.epoch, keys.leases, keys.open, keys.run, keys.log, keys.followers, keys.key,
                ours.run, keys.session_runs,
            ),
            self._chance.choice([self._epoch, self._epoch, "", "other"]), "fresh", keys.member,
            instance, LEASE, self._kept_ms(), keys.session, "meta", "said",
            f"error {keys.member}", "start {}", self._chance.choice([1, 2, 9]), keys.fingerprint,
            self._flag(),
            int(self._chance.random() < 0.1),
            self._chance.choice([0, 0, 0, self._pair.now - 1, self._pair.now + 1]), self._flag(),
        )  # fmt: skip

    def call_restore(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(
            scripts.RESTORE,
            (
                keys.epoch, keys.leases, keys.open, keys.run, keys.log, keys.followers, keys.key,
                keys.session_runs,
            ),
            "fresh", keys.member, instance, LEASE, 600_000,
            self._chance.choice([keys.session, ""]), "meta", "said", f"error {keys.member}",
            keys.fingerprint, self._flag(), self._id(keys),
        )  # fmt: skip

    def call_append(self, keys: OwnKeys, instance: str) -> Any:
        together = self._chance.sample(self._runs, self._chance.choice([1, 1, 3]))
        args: list[str | int] = [instance, 10_000, 1_000_000, 600_000]
        for each in together:
            events = self._events()
            args += [f"{each.member} {1 + self._id(each)} {len(events)}", *events]
        names = [name for each in together for name in (each.run, each.log)]
        reply: str = self._pair.run(scripts.APPEND, names, *args)
        for each, last in zip(together, reply.split(" ")[1::2], strict=True):
            self._last[each.member] = int(last)
        return reply

    def call_close(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(
            scripts.CLOSE,
            (keys.run, keys.log, keys.leases, keys.open, keys.followers, keys.key),
            instance, 10_000, 1_000_000, 600_000, keys.member, 1 + self._id(keys), keys.session,
            self._chance.choice(["complete", "failed"]), "1.5", 600_000, *self._events(),
        )  # fmt: skip

    def call_interrupt(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(
            scripts.INTERRUPT,
            (keys.epoch, keys.leases, keys.open, keys.run, keys.log, keys.followers),
            "fresh", keys.member, 200, LEASE, "2.5", 600_000,
        )  # fmt: skip

    def call_withdraw(self, keys: OwnKeys, instance: str) -> Any:
        names = (keys.leases, keys.open, keys.run, keys.log, keys.followers, keys.key)
        return self._pair.run(scripts.WITHDRAW, names, keys.member, instance, keys.session)

    def call_forget(self, keys: OwnKeys, instance: str) -> Any:
        ending = self._chance.choice(["", "it ended"])
        return self._pair.run(scripts.FORGET, (keys.run, keys.log), keys.member, 600_000, ending)

    def call_session_runs(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.SESSION_RUNS, (keys.session_runs,))

    def call_known(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.KNOWN, (keys.key,)) if keys.fingerprint else "none"

    def call_find(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.FIND, (keys.leases, keys.run), keys.member)

    def call_read(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(
            scripts.READ, (keys.leases, keys.run, keys.log), keys.member, self._id(keys),
            self._chance.choice([2, 256]), instance, self._chance.choice([0, 200]),
            self._chance.choice([30, 100_000]),
        )  # fmt: skip

    def call_renew(self, keys: OwnKeys, instance: str) -> Any:
        names = [keys.leases]
        args: list[str | int] = [instance, LEASE, 600_000, self._flag()]
        for each in self._chance.sample(self._runs, 3):
            names += [each.run, each.log, each.open, each.followers]
            names += [each.session_runs, each.key]
            session = self._chance.choice([each.session, ""])
            args += [each.member, self._id(each), self._flag(), session]
        return self._pair.run(scripts.RENEW, names, *args)

    def call_join(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.JOIN, (keys.run, keys.followers), instance, LEASE, 600_000)

    def call_leave(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.LEAVE, (keys.run, keys.followers), instance)

    def call_cancel(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.CANCEL, (keys.run,), keys.member)

    def call_open_runs(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.OPEN_RUNS, (keys.open,))

    def call_lapsed(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.LAPSED, (keys.leases,), 2)

    def call_alive(self, keys: OwnKeys, instance: str) -> Any:
        return self._pair.run(scripts.ALIVE, (INSTANCES_KEY,), instance, LEASE)

    def call_evict(self, keys: OwnKeys, instance: str) -> Any:
        names = (keys.leases, keys.open, keys.run, keys.log, keys.followers, keys.key, keys.epoch,
                 keys.session_runs)  # fmt: skip
        self._pair.evict(self._chance.choice(names))
        return "evicted"


def test_the_model__says_what_the_server_says(pair: Pair) -> None:
    said: Counter[str] = Counter()
    for seed in range(EXAMPLES):
        pair.flush()
        calls = Calls(pair, random.Random(seed))
        said.update(calls.one() for _ in range(CALLS))

    # not only refusals
    wanted = {
        "open": "ok busy known mismatch lapsed full late fresh epoch",
        "append": "ok behind superseded missing complete",
        "close": "ok behind superseded missing complete",
        "restore": "ok superseded complete",
        "interrupt": "interrupted alive wait ended missing",
        "renew": "ok behind cancel left superseded ended missing",
        "withdraw": "ok kept",
        "forget": "complete interrupted running forgotten missing",
        "find": "running complete interrupted forgotten missing",
        "read": "running complete interrupted missing",
        "cancel": "running complete missing",
    }
    words = {f"{script} {word}" for script, all in wanted.items() for word in all.split()}
    assert words <= set(said), words - set(said)
