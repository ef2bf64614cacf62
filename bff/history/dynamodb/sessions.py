"""The writes that make a session's item and change it, each with what it takes for granted.

A write names what was read of the session, so that of two tasks that write at the same time one
looks again.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from bff.events import well_formed
from bff.history import Session, Turn
from bff.history.dynamodb.items import (
    Item,
    binary,
    digits,
    item_key,
    now,
    number,
    text,
    turn_key,
)
from bff.history.paging import first_title
from bff.history.questions import input_ids, input_key
from bff.json_text import dumps_bytes

QUESTION_BYTES = 50_000
"""What open questions may take in a session's item, which lists read; larger ones are read in the
turn that asked them."""
MOST_SEEN = 5000
"""Sessions whose look is kept; about as many as a process has runs, at 1 KB each."""
_NAMED = ("generation", "updated", "updated_at", "asked_at", "untold")
"""What `touch` and `is_late` read of a session."""
ALIVE = "attribute_exists(pk) AND (attribute_not_exists(expires_at) OR expires_at > :now)"


class Seen:
    """What a request saw of its session, for the write at its end: that holds only if nobody wrote
    to the session since, so a look that is out of date costs another one, and no look is repeated
    for nothing. A session that no request looked at was given its name by one of them: it is new.
    """

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._items: OrderedDict[tuple[str, str], Item | None] = OrderedDict()

    def remember(self, owner: str, session_id: str, session: Item | None) -> None:
        """Keep what a write names of the session; None says that there was none."""
        kept = session and {name: session[name] for name in _NAMED if name in session}
        self._items[owner, session_id] = kept
        self._items.move_to_end((owner, session_id))
        if len(self._items) > self._most:
            self._items.popitem(last=False)

    def take(self, owner: str, session_id: str) -> Item | None:
        """What was seen of the session, once; None if there was none, or it is new."""
        return self._items.pop((owner, session_id), None)


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
    condition, values = as_read(session)
    expression = ["ADD #changes :one"]
    if sets:
        expression.append("SET " + ", ".join(f"#{name} = :{name}" for name in sets))
    if removed:
        expression.append("REMOVE " + ", ".join(f"#{name}" for name in sorted(removed)))
    return {
        "Update": {
            "Key": key,
            "UpdateExpression": " ".join(expression),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in ("changes", *sets, *removed)},
            "ExpressionAttributeValues": {
                **values,
                ":one": {"N": "1"},
                **{f":{name}": value for name, value in sets.items()},
            },
        }
    }


def as_read(session: Item) -> tuple[str, dict[str, Any]]:
    """The condition that no newer turn was written to the session since, with its values."""
    condition = "generation = :generation AND updated = :was"
    values = {":generation": session["generation"], ":was": session["updated"]}
    if "asked_at" in session:
        values[":asked"] = session["asked_at"]
        condition += " AND asked_at = :asked"
    else:
        condition += " AND attribute_not_exists(asked_at)"
    return condition, values


def forget_in(owner: str, session: Item, run_id: str, title: str | None) -> dict[str, Any]:
    """The write that takes a turn out of its session, provided nobody wrote to it since the look.

    `title` is the new one if the old was the turn's.
    """
    checks = unchanged(session)
    values = {**checks["ExpressionAttributeValues"], ":one": {"N": "1"}}
    expression = "ADD #changes :one"
    if title is not None:
        expression += " SET title = :title"
        checks["ConditionExpression"] += " AND title = :titled"
        values |= {":title": {"S": title}, ":titled": session["title"]}
    if text(session, "last_run") == run_id:
        expression += " REMOVE inputs, inputs_at, asks, last_run"
    return {
        "Update": {
            "Key": item_key(owner, session["sk"]["S"]),
            "UpdateExpression": expression,
            **checks,
            "ExpressionAttributeValues": values,
        }
    }


def unchanged(session: Item) -> dict[str, Any]:
    """The condition that no turn was added to the session or forgotten in it since."""
    condition, values = as_read(session)
    if "changes" in session:
        condition += " AND #changes = :changes"
        values[":changes"] = session["changes"]
    else:
        condition += " AND attribute_not_exists(#changes)"
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#changes": "changes"},
        "ExpressionAttributeValues": values,
    }


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
        packed = zlib.compress(dumps_bytes(turn.inputs))
        if len(packed) <= QUESTION_BYTES:
            fields["inputs"] = binary(packed)
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


def branch_key(owner: str, name: str, session: Item) -> dict[str, Any]:
    """Where it lies that this session is a branch of that name."""
    begun_at = digits(float(session["created_at"]["N"]) * 1e6)
    return item_key(owner, f"B#{name}#{begun_at}#{session['session_id']['S']}")


def forget_branch(owner: str, name: str, branch: str, left: str | None) -> list[dict[str, Any]]:
    """The writes by which a session that went by this branch goes by the newest one left."""
    ours: dict[str, Any] = {
        "Key": item_key(owner, f"S#{name}"),
        "ConditionExpression": "branch = :branch",
        "ExpressionAttributeValues": {":branch": {"S": branch}},
    }
    if left is None:
        return [{"Update": ours | {"UpdateExpression": "REMOVE branch"}}]
    ours["ExpressionAttributeValues"][":left"] = {"S": left}
    check = {
        "Key": item_key(owner, f"S#{left}"),
        "ConditionExpression": "attribute_exists(pk)",
    }
    update = ours | {"UpdateExpression": "SET branch = :left"}
    return [{"Update": update}, {"ConditionCheck": check}]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
