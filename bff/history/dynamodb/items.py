"""What lies in the DynamoDB table: its keys, its items and the writes that keep them whole.

| item | pk | sk | else |
| --- | --- | --- | --- |
| session | owner | `S#`session | `updated` puts it into the index `recent`; `generation` |
| turn | owner`#`session`#`generation | `T#`asked at`#`run | `body`, or `parts` to look for |
| part of a large turn | the same | `C#`run`#`write`#`number | `body` |
| run was written | the same | `R#`run | |
| deleted session to sweep | owner | `D#`generation | `session_id` |

An owner or a session is a partition, so no key condition can reach another's. The index is a local
one, since only those can be read consistently: who was just answered sees it in the list. A session
made again under an old name has a generation of its own, so deleting may take its time.
`expires_at` is honoured on read, for a table whose operator sets it; deletion by TTL lags by days.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bff.events import dumps
from bff.history import Session, Turn
from bff.history.paging import first_title

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
TTL_ATTRIBUTE = "expires_at"


def touch(owner: str, turn: Turn, session: Item | None, generation: str) -> dict[str, Any]:
    """The write that makes the session or moves it up, provided nobody did so since the look."""
    key = item_key(owner, f"S#{turn.session_id}")
    updated = f"{digits(turn.answered_at * 1e6)}#{turn.session_id}"
    if session is None:
        item = key | {
            "session_id": {"S": turn.session_id},
            "generation": {"S": generation},
            "title": {"S": first_title(turn.message)},
            "created_at": {"N": repr(float(turn.asked_at))},
            "updated_at": {"N": repr(float(turn.answered_at))},
            "updated": {"S": updated},
        }
        return {
            "Put": {
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
                "ExpressionAttributeValues": {":now": now()},
            }
        }
    was = session["updated"]
    condition = "generation = :generation AND updated = :was"
    values = {":generation": {"S": generation}, ":was": was}
    if updated <= was["S"]:
        return {
            "ConditionCheck": {
                "Key": key,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": values,
            }
        }
    return {
        "Update": {
            "Key": key,
            "UpdateExpression": "SET updated = :updated, updated_at = :at",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values
            | {":updated": {"S": updated}, ":at": {"N": repr(float(turn.answered_at))}},
        }
    }


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


def session_of(item: Item) -> Session:
    return Session(
        session_id=item["session_id"]["S"],
        title=item["title"]["S"],
        created_at=float(item["created_at"]["N"]),
        updated_at=float(item["updated_at"]["N"]),
    )


def pack(turn: Turn) -> bytes:
    return zlib.compress(dumps(asdict(turn)).encode())


def unpack(body: bytes) -> Turn:
    fields = json.loads(zlib.decompress(body))
    for name in ("parts", "answer_parts", "inputs", "points"):  # 0.1.0 wrote none of them
        fields[name] = tuple(fields.get(name, ()))
    return Turn(**fields)
