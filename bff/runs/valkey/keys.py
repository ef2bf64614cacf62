"""The names of everything the service keeps in Redis or Valkey.

A name is `bff:2:{07}:run:<owner>:<run id>`: what kind of thing it is, and whose. 2 is the version
of all that is kept there: instances that could not read each other's keys do not meet. In cluster
mode the braces decide the node. Every key of an owner has the braces of the owner's partition, so
one script can decide about key, session, slots and run in one step; there are 64 partitions, so
that the owners spread over any number of nodes.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from bff.runs.log import Run
from bff.runs.request import Idempotency

PARTITIONS = 64
PREFIX = "bff:2"

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,100}")


def part(text: str) -> str:
    """Text as one part of a key's name. No two texts give the same part.

    What could be mistaken for a separator, a hash tag or a pattern is replaced by its SHA-256, with
    a mark that no plain text has.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=4096)
def partition(owner: str) -> int:
    """The partition in which everything of an owner lives."""
    return hashlib.sha256(part(owner).encode()).digest()[0] % PARTITIONS


def _place(partition: int) -> str:
    return f"{PREFIX}:{{{partition:02d}}}"


def epoch_key(partition: int) -> str:
    """Holds a random text until the partition's keys are lost."""
    return f"{_place(partition)}:epoch"


def leases_key(partition: int) -> str:
    """A sorted set: each open run (`owner:run id`) with the server's time its lease ends at."""
    return f"{_place(partition)}:leases"


INSTANCES_KEY = f"{PREFIX}:{{instances}}:alive"
"""A sorted set: each instance with the server's time it counts as alive until."""


def channel(instance: str) -> str:
    """Where an instance hears of cancels, lost runs and the runs it follows."""
    return f"{PREFIX}:instance:{instance}"


def idempotency_key(owner: str, key: str) -> str:
    return f"{_place(partition(owner))}:key:{part(owner)}:{part(key)}"


def rate_keys(caller: str) -> tuple[str, str]:
    """A caller's admitted requests, and the beginning of the next entry."""
    place, name = _place(partition(caller)), part(caller)
    return f"{place}:rate:{name}", f"{place}:part:{name}"


class RunKeys:
    """The names of one run's things."""

    __slots__ = ("epoch", "followers", "leases", "log", "member", "open", "partition", "run")

    def __init__(self, partition: int, member: str) -> None:
        place = _place(partition)
        self.partition = partition
        self.member = member
        """`owner:run id`, as leases and messages name the run."""
        self.epoch = f"{place}:epoch"
        """Holds a random text until the partition's keys are lost."""
        self.leases = f"{place}:leases"
        """A sorted set: each open run (`owner:run id`) with the server's time its lease ends at."""
        self.open = f"{place}:open:{member.partition(':')[0]}"
        """A hash: the owner's sessions with an open run, each with the run's member."""
        self.run = f"{place}:run:{member}"
        """A hash: what is known of the run."""
        self.log = f"{place}:log:{member}"
        """A list: the run's last events; the run's hash says the last one's id."""
        self.followers = f"{place}:followers:{member}"
        """A hash: each instance with followers, and the server's time it counts until."""

    def __repr__(self) -> str:
        return f"<RunKeys {self.member}>"


def session_runs_key(owner: str, session_id: str) -> str:
    """A sorted set: ids of the session's runs, each with the time until which it may be kept."""
    return f"{_place(partition(owner))}:session:{part(owner)}:{part(session_id)}"


class OwnKeys(RunKeys):
    """The names of a run that this instance begins: those of its session and key, too."""

    __slots__ = ("fingerprint", "key", "session", "session_runs")

    def __init__(self, run: Run, idempotency: Idempotency | None) -> None:
        super().__init__(partition(run.owner), f"{part(run.owner)}:{part(run.run_id)}")
        self.session = part(run.session_id)
        self.session_runs = session_runs_key(run.owner, run.session_id)
        self.key = idempotency_key(run.owner, idempotency.key) if idempotency else self.run
        """The idempotency key's; the run's where there is none, since a script names its keys."""
        self.fingerprint = part(idempotency.fingerprint) if idempotency else ""


@lru_cache(maxsize=4096)
def run_keys(owner: str, run_id: str) -> RunKeys:
    return RunKeys(partition(owner), f"{part(owner)}:{part(run_id)}")
