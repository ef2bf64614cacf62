"""Turns as they are read: where a run's lies, and its body, which may lie in parts."""

from __future__ import annotations

from bff.history import Turn
from bff.history.dynamodb.calls import Table
from bff.history.dynamodb.items import Item, bytes_of, text, unpack
from bff.off_loop import off_loop

UNPACKED = 8
"""About how much larger a body is than it lies there."""


async def turn_key(table: Table, place: str, run_id: str) -> str | None:
    """Where a run's turn lies in a session's partition; 0.1.0 did not write it down."""
    run = await table.get(place, f"R#{run_id}")
    if run is None or "turn" in run or "forgotten" in run:
        return text(run, "turn") if run else None
    async for item in table.query(
        "pk = :pk AND begins_with(#key, :key)",
        {":pk": place, ":key": "T#"},
        names={"#key": "sk"},
        ProjectionExpression="#key",
    ):
        if run_of(item) == run_id:
            return str(item["sk"]["S"])
    return None


def run_of(item: Item) -> str:
    """The run whose turn an item is."""
    _, _, run_id = item["sk"]["S"].split("#", 2)
    return str(run_id)


async def read_turn(table: Table, item: Item) -> Turn:
    if "body" in item:
        body = bytes_of(item["body"])
    else:
        prefix = item["parts"]["S"]
        parts = table.query(
            "pk = :pk AND begins_with(#key, :key)",
            {":pk": item["pk"]["S"], ":key": prefix},
            names={"#key": "sk"},
        )
        body = b"".join([bytes_of(part["body"]) async for part in parts])
    return await off_loop(len(body) * UNPACKED, lambda: unpack(body))
