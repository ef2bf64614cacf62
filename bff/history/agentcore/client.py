"""The calls of AgentCore Memory that a history makes, kept within the service's rules and rates.

https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_ListEvents.html and its
neighbours. botocore sends ids that the service refuses, so they are checked here first.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from bff.history.agentcore.events import Event, metadata
from bff.history.agentcore.notes import Note, note_items, note_of
from bff.history.aws import code_of

SESSION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}")
ACTOR_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_/-]{0,254}")
"""Narrower than the service's, which allows colons in some places."""

OWNERS_LOG = "bff-notes"
"""The log of all of an owner's sessions; no derived id is that short, nor like the names below."""
PAGE = 100
"""The most that ListEvents gives at once."""
DELETES_PER_SECOND = 4.0
"""The service allows 5 per actor and session, …"""
DELETES_PER_SECOND_ALL = 10.0
"""… and 20 per account, which other tasks share."""
THROTTLED_SECONDS = 2.0
MAX_PACES = 1000
"""Sessions being swept that are told apart, before idle ones are forgotten."""

Sleep = Callable[[float], Awaitable[None]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Pace:
    """Lets so many through a second."""

    def __init__(self, per_second: float, clock: Callable[[], float], sleep: Sleep) -> None:
        self._interval = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._next = -1.0

    @property
    def idle(self) -> bool:
        return self._next <= self._clock()

    async def turn(self) -> None:
        now = self._clock()
        at = max(now, self._next)
        self._next = at + self._interval
        if at > now:
            await self._sleep(at - now)


class Memory:
    """One AgentCore Memory. An actor is an owner; an id that breaks the rules is a `ValueError`."""

    def __init__(
        self,
        memory_id: str,
        client: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.id = memory_id
        self._client = client
        self.clock = clock
        self._sleep = sleep
        self._pace = Pace(DELETES_PER_SECOND_ALL, clock, sleep)
        self._paces: dict[tuple[str, str], Pace] = {}
        self._stamp = 0

    def stamp(self, at_least: int = 0) -> int:
        """Now in milliseconds, never the same twice: what is written has an order."""
        self._stamp = max(int(time.time() * 1000), self._stamp + 1, at_least)
        return self._stamp

    async def create(
        self,
        owner: str,
        session: str,
        payload: list[Any],
        *,
        marks: Mapping[str, Any] | None = None,
        at: int | None = None,
        token: str | None = None,
    ) -> None:
        """Write an event; with a token, the same once more changes nothing."""
        at = self.stamp() if at is None else at
        options = {} if token is None else {"clientToken": token}
        await self._client.create_event(
            **self._address(owner, session),
            eventTimestamp=_EPOCH + timedelta(milliseconds=at),
            payload=payload,
            metadata={**(marks or {}), **metadata(stamp=str(at))},
            **options,
        )

    async def events(
        self, owner: str, session: str, *, payloads: bool
    ) -> AsyncGenerator[Event, None]:
        """All of a session's events in the service's order; an empty page may not be the last."""
        token: dict[str, str] = {}
        while True:
            answer = await self._client.list_events(
                **self._address(owner, session), includePayloads=payloads, maxResults=PAGE, **token
            )
            for event in answer.get("events", ()):
                yield event
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}

    async def delete(self, owner: str, session: str, event_id: str) -> None:
        """Delete an event at a pace the service allows; one that is gone is no error."""
        pace = self._pace_of(owner, session)
        while True:
            await pace.turn()
            await self._pace.turn()
            try:
                await self._client.delete_event(**self._address(owner, session), eventId=event_id)
                return
            except ClientError as error:
                match code_of(error):
                    case "ResourceNotFoundException":
                        return
                    case "ThrottledException":  # other tasks delete as well
                        await self._sleep(THROTTLED_SECONDS)
                    case _:
                        raise

    def _pace_of(self, owner: str, session: str) -> Pace:
        if len(self._paces) >= MAX_PACES:
            self._paces = {key: pace for key, pace in self._paces.items() if not pace.idle}
        new = Pace(DELETES_PER_SECOND, self.clock, self._sleep)
        return self._paces.setdefault((owner, session), new)

    async def ping(self) -> None:
        await self._client.list_events(
            **self._address("bff-ping", "bff-ping"), includePayloads=False, maxResults=1
        )

    def _address(self, owner: str, session: str) -> dict[str, str]:
        if not ACTOR_ID.fullmatch(owner) or not SESSION_ID.fullmatch(session):
            raise ValueError("an actor or session id that AgentCore Memory does not take")
        return {"memoryId": self.id, "actorId": owner, "sessionId": session}


class Logs:
    """Where notes lie: in sessions of the memory that no agent has, under names of our own."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def read(self, owner: str, log: str) -> dict[str, Note]:
        """All notes of a log, by id."""
        events = self._memory.events(owner, log, payloads=True)
        return {event["eventId"]: note async for event in events if (note := note_of(event))}

    async def write(self, owner: str, log: str, note: Note, *, token: str | None = None) -> None:
        """With a token, only the first note that comes with it is written."""
        await self._memory.create(owner, log, note_items(note), at=note.at, token=token)

    async def remove(self, owner: str, log: str, ids: Iterable[str]) -> None:
        """Forget some; one that is gone already is no error."""
        for id in ids:
            await self._memory.delete(owner, log, id)


def session_log(session: str) -> str:
    """The log of a session, by the id that its agent knows it by."""
    return f"bff-s-{_short(session)}"


def turns_of(session: str) -> str:
    """Where turns lie that are no conversation of the agent's."""
    return f"bff-t-{_short(session)}"


def place_of(point: str) -> str:
    """Where it is said which turns stand at a point."""
    return f"bff-p-{_short(point)}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
