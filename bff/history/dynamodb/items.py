"""What lies in the DynamoDB table: its keys, its items and the writes that keep them whole.

| item | pk | sk | else |
| --- | --- | --- | --- |
| session | owner | `S#`session | `generation`; `updated` for the index `recent`; its state |
| turn | owner`#`session`#`generation | `T#`asked at`#`run | `body`, or where `parts` are |
| part of a large turn | the same | `C#`run`#`write`#`number | `body` |
| run was written | the same | `R#`run | `turn`, the turn's sk |
| generation to sweep | owner | `D#`generation | `session_id`; `begun_at` while it is being begun |
| point of transcripts | owner`#P#`point | `P` | see `points` |

An owner, a session or a point is a partition, so no key condition can reach another's. The index is
a local one, since only those can be read consistently: who was just answered sees it in the list. A
session made again under an old name has a generation of its own, so deleting may take its time, and
what still points to an older one is nobody's. `expires_at` is honoured on read, for a table whose
operator sets it; deletion by TTL lags by days.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bff.events import JSON, dumps, well_formed
from bff.history import ForkedFrom, Session, Turn
from bff.history.paging import first_title
from bff.history.questions import input_ids, input_key
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
QUESTION_BYTES = 50_000
"""What open questions may take in a session's item, which lists read; larger ones are read in the
turn that asked them."""
ALIVE = "attribute_exists(pk) AND (attribute_not_exists(expires_at) OR expires_at > :now)"


def touch(owner: str, turn: Turn, session: Item | None, generation: str) -> dict[str, Any]:
    """The write that makes the session or moves it on, provided nobody did so since the look."""
    key = item_key(owner, f"S#{turn.session_id}")
    updated = f"{digits(turn.answered_at * 1e6)}#{turn.session_id}"
    use = {"updated": {"S": updated}, "updated_at": number(turn.answered_at)}
    if session is None:
        item = key | {
            "session_id": {"S": turn.session_id},
            "generation": {"S": generation},
            "title": {"S": first_title(turn.message)},
            "created_at": number(turn.asked_at),
            "agent": {"S": turn.agent},
            **use,
            **_state(turn),
        }
        return put_session(item)
    sets: dict[str, Any] = {}
    removed: set[str] = set()
    if updated > session["updated"]["S"]:
        sets |= use
    if not is_late(turn, session):
        state = _state(turn)
        sets |= state
        removed |= {"inputs", "inputs_at", "asks", "point"} - set(state)
    if turn.status != "failed" and "untold" in session:
        removed.add("untold")
    values = {":generation": {"S": generation}, ":was": session["updated"]}
    condition = "generation = :generation AND updated = :was"
    if "asked_at" in session:
        values[":asked"] = session["asked_at"]
        condition += " AND asked_at = :asked"
    else:
        condition += " AND attribute_not_exists(asked_at)"
    checked = {
        "Key": key,
        "ConditionExpression": condition,
        "ExpressionAttributeValues": values,
    }
    expression = []
    if sets:
        expression.append("SET " + ", ".join(f"#{name} = :{name}" for name in sets))
        values |= {f":{name}": value for name, value in sets.items()}
    if removed:
        expression.append("REMOVE " + ", ".join(f"#{name}" for name in sorted(removed)))
    if not expression:
        return {"ConditionCheck": checked}
    names = {f"#{name}": name for name in (*sets, *removed)}
    update = {"UpdateExpression": " ".join(expression), "ExpressionAttributeNames": names}
    return {"Update": checked | update}


def is_late(turn: Turn, session: Item | None) -> bool:
    """Whether the session has a newer turn. 0.1.0 did not write when its newest was asked."""
    match session:
        case None:
            return False
        case {"asked_at": {"N": newest}}:
            return turn.asked_at < float(newest)
        case _:
            return turn.answered_at < float(session["updated_at"]["N"])


def _state(turn: Turn) -> dict[str, Any]:
    """What the newest turn makes of its session."""
    fields: dict[str, Any] = {
        "last_run": {"S": turn.run_id},
        "asked_at": number(turn.asked_at),
    }
    if turn.points:
        fields["point"] = {"S": turn.points[0]}
    if key := input_key(input_ids(turn.inputs)):
        fields["asks"] = {"S": _digest(key)}
        packed = _compress(list(turn.inputs))
        if len(packed) <= QUESTION_BYTES:
            fields["inputs"] = {"B": packed}
        else:
            fields["inputs_at"] = {"S": turn_key(turn)}
    return fields


def begun(owner: str, session: Session, generation: str, branch_of: str | None) -> dict[str, Any]:
    """The item of a session that begins with a transcript."""
    item = item_key(owner, f"S#{session.session_id}") | {
        "session_id": {"S": session.session_id},
        "generation": {"S": generation},
        "title": {"S": well_formed(session.title)},
        "created_at": number(session.created_at),
        "updated_at": number(session.updated_at),
        "updated": {"S": f"{digits(session.updated_at * 1e6)}#{session.session_id}"},
        "agent": {"S": session.agent},
        "asked_at": {"N": "-1"},  # whatever it has asked itself is newer
        "untold": {"BOOL": True},
    }
    fork = session.forked_from
    more = {
        "point": session.point,
        "branch_of": branch_of,
        "forked_session": fork and fork.session_id,
        "forked_run": fork and fork.run_id,
    }
    return item | {name: {"S": value} for name, value in more.items() if value is not None}


def put_session(item: Item) -> dict[str, Any]:
    """The write of a session that must not be there yet."""
    return {
        "Put": {
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
            "ExpressionAttributeValues": {":now": now()},
        }
    }


def claim(owner: str, session_id: str, run_id: str, input_ids: Sequence[str]) -> dict[str, Any]:
    """The update that takes the open questions, provided they are these."""
    return {
        "Key": item_key(owner, f"S#{session_id}"),
        "UpdateExpression": "SET claimed_by = :run REMOVE inputs, inputs_at, asks",
        "ConditionExpression": f"asks = :asks AND {ALIVE}",
        "ExpressionAttributeValues": {
            ":run": {"S": run_id},
            ":asks": {"S": _digest(input_key(input_ids) or "")},
            ":now": now(),
        },
    }


def name_branch(owner: str, name: str, branch: str) -> dict[str, Any]:
    return {
        "Update": {
            "Key": item_key(owner, f"S#{name}"),
            "UpdateExpression": "SET branch = :branch",
            "ConditionExpression": ALIVE,
            "ExpressionAttributeValues": {":branch": {"S": branch}, ":now": now()},
        }
    }


def forget_branch(owner: str, name: str, branch: str) -> dict[str, Any]:
    """The update of a session that has gone by this branch."""
    return {
        "Key": item_key(owner, f"S#{name}"),
        "UpdateExpression": "REMOVE branch",
        "ConditionExpression": "branch = :branch",
        "ExpressionAttributeValues": {":branch": {"S": branch}},
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


def turn_items(place: str, turn: Turn, body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The item of a turn, and the parts of its body where that is too large for it."""
    item = item_key(place, turn_key(turn))
    if turn.points:
        item["points"] = {"L": [{"S": point} for point in dict.fromkeys(turn.points)]}
    if len(body) <= PART_BYTES:
        return item | {"body": {"B": body}}, []
    prefix = f"C#{turn.run_id}#{secrets.token_hex(4)}#"
    parts = [
        item_key(place, f"{prefix}{n:05}") | {"body": {"B": body[at : at + PART_BYTES]}}
        for n, at in enumerate(range(0, len(body), PART_BYTES))
    ]
    return item | {"parts": {"S": prefix}}, parts


def run_item(place: str, turn: Turn) -> dict[str, Any]:
    """The mark that a run was written, and where."""
    return item_key(place, f"R#{turn.run_id}") | {"turn": {"S": turn_key(turn)}}


def turn_key(turn: Turn) -> str:
    return f"T#{digits(turn.asked_at * 1e6)}#{turn.run_id}"


def number(value: float) -> dict[str, str]:
    return {"N": repr(float(value))}


def text(item: Item, name: str) -> str | None:
    value: str | None = item.get(name, {}).get("S")
    return value


def session_of(item: Item, inputs: Sequence[JSON] | None = None) -> Session:
    """A session from its item; `inputs` are those that the item only says the place of."""
    if inputs is None:
        inputs = json.loads(zlib.decompress(item["inputs"]["B"])) if "inputs" in item else ()
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


def pack(turn: Turn) -> bytes:
    """The body of a turn's item; its points stand beside it, for those who sweep."""
    fields = asdict(turn)
    del fields["points"]
    return _compress(fields)


def unpack(body: bytes) -> Turn:
    fields = json.loads(zlib.decompress(body))
    for name in ("parts", "answer_parts", "inputs"):  # 0.1.0 wrote none of them
        fields[name] = tuple(fields.get(name, ()))
    return Turn(**fields)


def _compress(value: JSON) -> bytes:
    return zlib.compress(dumps(value).encode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
