"""Sweeping what a deleted session, or a large turn, leaves, behind the request.

Deleting a session takes its item away and leaves a ticket with its generation, in one transaction:
all else is found by the generation, and nobody reads that any more. A task that dies while it
sweeps, or while it writes what a session is to begin with, leaves the ticket; whoever next lists
or deletes the owner's sessions goes on with it.
"""

from __future__ import annotations

import time
from typing import Any

from bff.history.aws import Work, together
from bff.history.dynamodb.calls import BATCH, Table
from bff.history.dynamodb.items import Item, item_key, number, partition, points_of, put, text
from bff.history.dynamodb.points import forgetting
from bff.history.dynamodb.sessions import branch_key, forget_branch

BEGINNING_SECONDS = 60.0
"""A beginning that has not ended after so long never will: a call takes `CALL_TIMEOUT_SECONDS`."""
POINTS_AT_ONCE = 10


class Sweeper:
    def __init__(self, table: Table, work: Work) -> None:
        self._table = table
        self._work = work

    def look(self, owner: str) -> None:
        """Go on, in the background, with what another task has left to sweep."""
        self._work.sweep(("look", owner), self._look(owner))

    def start(self, owner: str, session_id: str, generation: str) -> None:
        self._work.sweep(generation, self._sweep(owner, session_id, generation))

    def start_parts(self, owner: str, session_id: str, generation: str, prefix: str) -> None:
        sweeping = self._sweep_parts(owner, session_id, generation, prefix)
        self._work.sweep((generation, prefix), sweeping)

    async def _look(self, owner: str) -> None:
        async for found in self._table.query(
            "pk = :pk AND begins_with(#key, :key)",
            {":pk": owner, ":key": "D#"},
            names={"#key": "sk"},
        ):
            began = found.get("begun_at", {"N": "0"})
            if float(began["N"]) > time.time() - BEGINNING_SECONDS:
                continue
            session_id = found["session_id"]["S"]
            if prefix := text(found, "parts"):
                self.start_parts(owner, session_id, found["generation"]["S"], prefix)
            else:
                self.start(owner, session_id, found["sk"]["S"].removeprefix("D#"))

    async def _sweep(self, owner: str, session_id: str, generation: str) -> None:
        batch: list[Item] = []
        async for item in self._table.query(
            "pk = :pk",
            {":pk": partition(owner, session_id, generation)},
            names={"#sk": "sk", "#points": "points"},
            ProjectionExpression="pk, #sk, #points",
        ):
            batch.append(item)
            if len(batch) == BATCH:
                await self._forget(owner, session_id, generation, batch)
                batch = []
        await self._forget(owner, session_id, generation, batch)
        await self._table.delete(Key=item_key(owner, f"D#{generation}"))

    async def _sweep_parts(self, owner: str, session_id: str, generation: str, prefix: str) -> None:
        parts = self._table.query(
            "pk = :pk AND begins_with(#key, :key)",
            {":pk": partition(owner, session_id, generation), ":key": prefix},
            names={"#key": "sk"},
            ProjectionExpression="pk, #key",
        )
        await self._table.delete_all([item async for item in parts])
        await self._table.delete(Key=item_key(owner, f"D#{generation}#{prefix}"))

    async def _forget(
        self, owner: str, session_id: str, generation: str, items: list[Item]
    ) -> None:
        """Delete items, and before them the points that only they know of."""
        points = [point for item in items for point in points_of(item)]
        for at in range(0, len(points), POINTS_AT_ONCE):
            some = points[at : at + POINTS_AT_ONCE]
            await together(
                *(self._forget_point(owner, point, session_id, generation) for point in some)
            )
        await self._table.delete_all([item_key(i["pk"]["S"], i["sk"]["S"]) for i in items])

    async def _forget_point(self, owner: str, point: str, session_id: str, generation: str) -> None:
        alone, among_others = forgetting(owner, point, session_id, generation)
        if not await self._table.delete(**alone):
            await self._table.update(**among_others)


async def removal(
    table: Table, owner: str, session: Item, checks: dict[str, Any]
) -> list[dict[str, Any]]:
    """The writes that delete a session, provided that the checks hold."""
    session_id, generation = session["session_id"]["S"], session["generation"]["S"]
    key = item_key(owner, f"S#{session_id}")
    writes = [{"Delete": {"Key": key, **checks}}, ticket(owner, session_id, generation)]
    if name := text(session, "branch_of"):
        writes.append({"Delete": {"Key": branch_key(owner, name, session)}})
        named = await table.get(owner, f"S#{name}")
        if named is not None and text(named, "branch") == session_id:
            left = [other for other in await branches(table, owner, name) if other != session_id]
            writes += forget_branch(owner, name, session_id, left[-1] if left else None)
    return writes


async def branches(table: Table, owner: str, name: str) -> list[str]:
    """The sessions that are branches of that name, oldest first."""
    found = table.query(
        "pk = :pk AND begins_with(#key, :key)",
        {":pk": owner, ":key": f"B#{name}#"},
        names={"#key": "sk"},
    )
    return [item["sk"]["S"].rsplit("#", 1)[1] async for item in found]


def ticket(owner: str, session_id: str, generation: str) -> dict[str, Any]:
    """The write that leaves a deleted session to be swept."""
    return put(item_key(owner, f"D#{generation}") | {"session_id": {"S": session_id}})


def parts_ticket(owner: str, session_id: str, generation: str, prefix: str) -> dict[str, Any]:
    """The same for the parts of a turn that was forgotten."""
    fields = {"session_id": session_id, "generation": generation, "parts": prefix}
    key = item_key(owner, f"D#{generation}#{prefix}")
    return put(key | {name: {"S": value} for name, value in fields.items()})


def beginning(owner: str, session_id: str, generation: str) -> Item:
    """The same for a session that is being begun, in case it never is."""
    key = item_key(owner, f"D#{generation}")
    return key | {"session_id": {"S": session_id}, "begun_at": number(time.time())}


def begun_whole(owner: str, generation: str) -> dict[str, Any]:
    """The write that makes a beginning stay; refused if somebody has begun to sweep it."""
    return {
        "Delete": {
            "Key": item_key(owner, f"D#{generation}"),
            "ConditionExpression": "attribute_exists(pk)",
        }
    }
