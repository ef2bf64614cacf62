"""Where transcripts stand, by point: the item that a client's transcript is looked up in.

A point's key says it all, so looking for several is one call. Most points are one session's; those
of conversations that began alike are several's. Each session has one of `SLOTS` attributes in the
item, by its name's digest, so that writing needs no look before and the item stays small; where two
share one, the later has it, and who then cannot be found is given the transcript anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bff.history import Turn
from bff.history.dynamodb.items import Item, item_key, number

SLOTS = 32
MAX_POINTS = 50
"""Points of one turn; it has about one a protocol, and a transaction takes a hundred writes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A run at which a transcript stands, in the session of that name and generation."""

    session_id: str
    generation: str
    run_id: str
    asked_at: float


def point_key(owner: str, point: str) -> dict[str, Any]:
    return item_key(f"{owner}#P#{point}", "P")


def index_points(
    owner: str, turn: Turn, generation: str, *, late: bool
) -> Iterator[dict[str, Any]]:
    """The writes that make a turn found by its points; a late one takes nobody's place."""
    slot = _slot(turn.session_id)
    place = _written(Place(turn.session_id, generation, turn.run_id, turn.asked_at))
    for point in list(dict.fromkeys(turn.points))[:MAX_POINTS]:
        yield {
            "Update": {
                "Key": point_key(owner, point),
                "UpdateExpression": f"SET {slot} = if_not_exists({slot}, :place)"
                if late
                else f"SET {slot} = :place",
                "ExpressionAttributeValues": {":place": place},
            }
        }


def leave_point(item: Item, place: Place, heir: Place | None) -> dict[str, Any] | None:
    """The write that takes a turn's place from a point; None if it is not the turn's.

    `heir` is the place that another turn of the session has there.
    """
    slot = _slot(place.session_id)
    match item.get(slot):
        case {"M": {"generation": {"S": place.generation}, "run": {"S": place.run_id}}}:
            pass
        case _:
            return None
    ours: dict[str, Any] = {
        "Key": item_key(item["pk"]["S"], item["sk"]["S"]),
        "ConditionExpression": f"{slot}.#generation = :generation AND {slot}.#run = :run",
        "ExpressionAttributeNames": {"#generation": "generation", "#run": "run"},
        "ExpressionAttributeValues": {
            ":generation": {"S": place.generation},
            ":run": {"S": place.run_id},
        },
    }
    if heir is not None:
        ours["UpdateExpression"] = f"SET {slot} = :heir"
        ours["ExpressionAttributeValues"][":heir"] = _written(heir)
    elif (item.keys() & _NAMES) - {slot}:
        ours["UpdateExpression"] = f"REMOVE {slot}"
    else:
        ours["ConditionExpression"] += f" AND {_alone(slot)}"
        return {"Delete": ours}
    return {"Update": ours}


def places_of(item: Item) -> list[Place]:
    return [
        Place(
            place["M"]["session"]["S"],
            place["M"]["generation"]["S"],
            place["M"]["run"]["S"],
            float(place["M"]["asked_at"]["N"]),
        )
        for name, place in item.items()
        if name in _NAMES
    ]


def best(places: Sequence[Place], sessions: Mapping[str, Item]) -> Place | None:
    """Of the places in sessions that live, by name: where one still stands, else the newest."""

    def rank(place: Place) -> tuple[bool, float]:
        standing = sessions[place.session_id].get("last_run") == {"S": place.run_id}
        return standing, place.asked_at

    living = [
        place
        for place in places
        if sessions.get(place.session_id, {}).get("generation") == {"S": place.generation}
    ]
    return max(living, key=rank, default=None)


def forgetting(
    owner: str, point: str, session_id: str, generation: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A deletion of the item if the place in it is the only one, and else an update without it."""
    slot = _slot(session_id)
    ours: dict[str, Any] = {
        "Key": point_key(owner, point),
        "ExpressionAttributeNames": {"#generation": "generation"},
        "ExpressionAttributeValues": {":generation": {"S": generation}},
        "ConditionExpression": f"{slot}.#generation = :generation",
    }
    alone = f"{ours['ConditionExpression']} AND {_alone(slot)}"
    return ours | {"ConditionExpression": alone}, ours | {"UpdateExpression": f"REMOVE {slot}"}


def _written(place: Place) -> dict[str, Any]:
    return {
        "M": {
            "session": {"S": place.session_id},
            "generation": {"S": place.generation},
            "run": {"S": place.run_id},
            "asked_at": number(place.asked_at),
        }
    }


_NAMES = frozenset(f"p{n}" for n in range(SLOTS))


def _alone(slot: str) -> str:
    """The condition that no other place is in the item."""
    return " AND ".join(f"attribute_not_exists({name})" for name in sorted(_NAMES - {slot}))


def _slot(session_id: str) -> str:
    digest = hashlib.sha256(session_id.encode()).digest()
    return f"p{digest[0] % SLOTS}"
