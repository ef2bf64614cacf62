"""A run that this process owns: what it has to say, and how far the server is with it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from bff.errors import Interrupted
from bff.events import Failed, Record, record
from bff.runs.log import Run, Status
from bff.runs.request import Idempotency, kept_fields
from bff.runs.valkey.keys import RunKeys, idempotency_key, part, run_keys


def interruption(run: Run, id: int) -> Record:
    """The terminal event of a run whose owner is gone. Every task words it alike."""
    problem = Interrupted(agent_called=True)
    document = problem.document(
        request_id=run.request.request_id, instance=f"/v1/runs/{run.run_id}"
    )
    return record(id, Failed(document))


def entry(item: Record) -> str:
    return f"{item.name} {item.data}"


class Job:
    """Records on their way to the log; with a status they are the run's end."""

    __slots__ = ("done", "records", "status")

    def __init__(self, records: Sequence[Record], status: Status | None) -> None:
        self.records = records
        self.status = status
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
            self.done.exception()  # its caller may have been cancelled


class Owned:
    """One run of ours, and how far the server is with it."""

    def __init__(self, run: Run, idempotency: Idempotency | None, *, acked: int) -> None:
        self.run = run
        self.keys: RunKeys = run_keys(run.owner, run.run_id)
        self.session = part(run.session_id)
        self.idempotency = idempotency
        self.acked = acked
        """The last event that the server is known to have."""
        self.copied = run.last_event_id
        """The last event of our own copy."""
        self.known = True
        """False when the server has lost the run."""
        self.lost = False
        self.jobs: deque[Job] = deque()
        self.sent = 0
        """How many of the jobs are out with the current call."""

    def __repr__(self) -> str:
        return f"<Owned {self.run.run_id} {self.run.status} {self.acked} of {self.copied}>"

    @property
    def ended(self) -> bool:
        return self.run.status != "running"

    @property
    def behind(self) -> bool:
        """The server does not have all that we have."""
        return not self.known or self.acked < self.copied

    @property
    def ending(self) -> asyncio.Future[None] | None:
        """Done when the run's end has been taken, if it is on its way."""
        return self.jobs[-1].done if self.jobs and self.jobs[-1].status else None

    @property
    def idempotency_key(self) -> str:
        """The key's name; the run's own where there is none, since a script names its keys."""
        if self.idempotency is None:
            return self.keys.run
        return idempotency_key(self.run.owner, self.idempotency.key)

    @property
    def fingerprint(self) -> str:
        return part(self.idempotency.fingerprint) if self.idempotency else ""

    def meta(self) -> str:
        """What the hash keeps of the run besides its state."""
        return kept_fields(self.run.run_id, self.run.request)
