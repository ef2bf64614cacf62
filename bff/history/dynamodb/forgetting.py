"""Forgetting one turn: it goes with all that leads to it, in one transaction.

What the turn leaves to others is decided on what was read, so the transaction names that; whoever
writes to the session meanwhile makes it begin again.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

from bff.history.dynamodb.calls import Table, pause
from bff.history.dynamodb.deletion import Sweeper, parts_ticket, removal
from bff.history.dynamodb.items import (
    Item,
    forget_run,
    item_key,
    partition,
    parts_of,
    points_of,
    text,
)
from bff.history.dynamodb.points import MAX_POINTS, Place, leave_point, point_key
from bff.history.dynamodb.sessions import forget_in, unchanged
from bff.history.dynamodb.turns import read_turn, run_of, turn_key
from bff.history.paging import first_title


async def forget_turn(
    table: Table, sweeper: Sweeper, owner: str, session_id: str, run_id: str
) -> bool:
    for attempt in itertools.count():
        session = await table.get(owner, f"S#{session_id}")
        if session is None:
            break
        generation = session["generation"]["S"]
        place = partition(owner, session_id, generation)
        key = await turn_key(table, place, run_id)
        item = await table.get(place, key) if key else None
        if item is None:
            break
        others = [other async for other in _turns(table, place) if other["sk"] != item["sk"]]
        if not others:
            if not await table.transact(*await removal(table, owner, session, unchanged(session))):
                sweeper.start(owner, session_id, generation)
                return True
        else:
            title = await _next_title(table, session, item, others)
            writes = [forget_in(owner, session, run_id, title), _delete(item)]
            writes.append(forget_run(place, run_id))
            writes += [w async for w in _leave_points(table, owner, session, item, others)]
            prefix = parts_of(run_id) if "parts" in item else None
            if prefix:  # with what was written of it before and never came to be read
                writes.append(parts_ticket(owner, session_id, generation, prefix))
            if not await table.transact(*writes):
                if prefix:
                    sweeper.start_parts(owner, session_id, generation, prefix)
                return True
        await pause(attempt)
    return False


async def _turns(table: Table, place: str) -> AsyncIterator[Item]:
    """A session's turns, oldest first: where they lie and their points."""
    async for item in table.query(
        "pk = :pk AND begins_with(#key, :key)",
        {":pk": place, ":key": "T#"},
        names={"#pk": "pk", "#key": "sk", "#points": "points"},
        ProjectionExpression="#pk, #key, #points, expires_at",
    ):
        yield item


async def _next_title(
    table: Table, session: Item, item: Item, others: Sequence[Item]
) -> str | None:
    """The session's new title; None if the old one is not the turn's."""
    if text(session, "title") != first_title((await read_turn(table, item)).message):
        return None
    oldest = await table.get(others[0]["pk"]["S"], others[0]["sk"]["S"])
    return first_title((await read_turn(table, oldest)).message) if oldest else None


async def _leave_points(
    table: Table, owner: str, session: Item, item: Item, others: Sequence[Item]
) -> AsyncIterator[dict[str, Any]]:
    points = points_of(item)[:MAX_POINTS]
    ours = _place(session, item)
    found = {
        each["pk"]["S"]: each
        for each in await table.get_all(point_key(owner, point) for point in points)
    }
    heirs = {point: other for other in others for point in points_of(other)}  # the newest
    for point in points:
        if at := found.get(point_key(owner, point)["pk"]["S"]):
            heir = _place(session, heirs[point]) if point in heirs else None
            if write := leave_point(at, ours, heir):
                yield write


def _place(session: Item, turn: Item) -> Place:
    asked_at = int(turn["sk"]["S"].split("#", 2)[1]) / 1e6
    names = session["session_id"]["S"], session["generation"]["S"]
    return Place(*names, run_of(turn), asked_at)


def _delete(item: Item) -> dict[str, Any]:
    return {
        "Delete": {
            "Key": item_key(item["pk"]["S"], item["sk"]["S"]),
            "ConditionExpression": "attribute_exists(pk)",
        }
    }
