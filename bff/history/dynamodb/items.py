"""What lies in the DynamoDB table: its keys, its items and the writes that keep them whole.

| item | pk | sk | else |
| --- | --- | --- | --- |
| session | owner | `S#`session | `generation`; `updated` for the index `recent`; its state |
| turn | owner`#`session`#`generation | `T#`asked at`#`run | `body`, or where `parts` are |
| part of a large turn | the same | `C#`run`#`write`#`number | `body` |
| run was written | the same | `R#`run | `turn`, the turn's sk; or that it is `forgotten` |
| branch of a name | owner | `B#`name`#`begun at`#`session | |
| generation to sweep | owner | `D#`generation | `session_id`; `begun_at` while it is being begun |
| parts to sweep | owner | `D#`generation`#`parts | `session_id`, `generation`, `parts` |
| point of transcripts | owner`#P#`point | `P` | see `points` |

An owner, a session or a point is a partition, so no key condition can reach another's. The index is
a local one, since only those can be read consistently: who was just answered sees it in the list. A
session made again under an old name has a generation of its own, so deleting may take its time, and
what still points to an older one is nobody's. A session counts its `changes`: turns that were added
or forgotten. `expires_at` is honoured on read, for a table whose operator sets it; deletion by TTL
lags by days.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from bff.events import JSON
from bff.history import ForkedFrom, Session, Turn
from bff.json_text import dumps_bytes
from bff.settings import DEFAULT_AGENT

Item = Mapping[str, Any]

INDEX = "recent"
TABLE: Mapping[str, Any] = {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "updated", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "updated", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
"""The table as CreateTable takes it; stack/storage.py makes the same one."""
PART_BYTES = 350_000
"""An item may have 400 KB with its keys."""
TTL_ATTRIBUTE = "expires_at"


def put(item: Item) -> dict[str, Any]:
    return {"Put": {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def item_key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def partition(owner: str, session_id: str, generation: str) -> str:
    return f"{owner}#{session_id}#{generation}"


def digits(number: float) -> str:
    """A number that sorts as text."""
    return f"{min(max(0, round(number)), 10**20 - 1):020}"


def now() -> dict[str, str]:
    return {"N": str(int(time.time()))}


def expired(item: Item) -> bool:
    return TTL_ATTRIBUTE in item and float(item[TTL_ATTRIBUTE]["N"]) <= time.time()


def turn_items(place: str, turn: Turn, body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The item of a turn, and the parts of its body where that is too large for it."""
    item = item_key(place, turn_key(turn))
    if turn.points:
        item["points"] = {"L": [{"S": point} for point in dict.fromkeys(turn.points)]}
    if len(body) <= PART_BYTES:
        return item | {"body": binary(body)}, []
    prefix = f"{parts_of(turn.run_id)}{secrets.token_hex(4)}#"
    parts = [
        item_key(place, f"{prefix}{n:05}") | {"body": binary(body[at : at + PART_BYTES])}
        for n, at in enumerate(range(0, len(body), PART_BYTES))
    ]
    return item | {"parts": {"S": prefix}}, parts


def points_of(item: Item) -> list[str]:
    """The points of the turn in an item; of any other item, none."""
    return [point["S"] for point in item.get("points", {}).get("L", ())]


def parts_of(run_id: str) -> str:
    """What the keys of all parts of a run's turn begin with, however often it was written."""
    return f"C#{run_id}#"


def run_item(place: str, turn: Turn) -> dict[str, Any]:
    """The mark that a run was written, and where."""
    return item_key(place, f"R#{turn.run_id}") | {"turn": {"S": turn_key(turn)}}


def forget_run(place: str, run_id: str) -> dict[str, Any]:
    """The write that leaves of a run that it was written, and is forgotten."""
    return {
        "Update": {
            "Key": item_key(place, f"R#{run_id}"),
            "UpdateExpression": "SET forgotten = :forgotten REMOVE #turn",
            "ExpressionAttributeNames": {"#turn": "turn"},
            "ExpressionAttributeValues": {":forgotten": {"BOOL": True}},
        }
    }


def turn_key(turn: Turn) -> str:
    return f"T#{digits(turn.asked_at * 1e6)}#{turn.run_id}"


def number(value: float) -> dict[str, str]:
    return {"N": repr(float(value))}


def binary(value: bytes) -> dict[str, str]:
    return {"B": b64encode(value).decode()}


def bytes_of(value: Mapping[str, str]) -> bytes:
    return b64decode(value["B"])


def text(item: Item, name: str) -> str | None:
    value: str | None = item.get(name, {}).get("S")
    return value


def session_of(item: Item, inputs: Sequence[JSON] | None = None) -> Session:
    """A session from its item; `inputs` are those that the item only says the place of."""
    if inputs is None:
        inputs = json.loads(zlib.decompress(bytes_of(item["inputs"]))) if "inputs" in item else ()
    forked = text(item, "forked_session")
    return Session(
        session_id=item["session_id"]["S"],
        title=item["title"]["S"],
        created_at=float(item["created_at"]["N"]),
        updated_at=float(item["updated_at"]["N"]),
        agent=text(item, "agent") or DEFAULT_AGENT,
        inputs=tuple(inputs),
        claimed_by=text(item, "claimed_by"),
        forked_from=ForkedFrom(session_id=forked, run_id=text(item, "forked_run"))
        if forked
        else None,
        last_run_id=text(item, "last_run"),
        point=text(item, "point"),
        branch=text(item, "branch"),
        told="untold" not in item,
    )


def as_text(turn: Turn) -> bytes:
    """What is compressed to be the body of a turn's item; its points stand beside it, for those who
    sweep."""
    names = (field.name for field in fields(turn) if field.name != "points")
    return dumps_bytes({name: getattr(turn, name) for name in names})


def unpack(body: bytes) -> Turn:
    said = json.loads(zlib.decompress(body))
    for name in ("parts", "answer_parts", "inputs"):  # 0.1.0 wrote none of them
        said[name] = tuple(said.get(name, ()))
    return Turn(**said)
