"""Conversations in one DynamoDB table; what lies in it is told in `dynamodb.items`.

A turn is one transaction, provided the session is still what was read: so two tasks never lose each
other's update, and a turn never lands in a session that was deleted in between. Everything is read
consistently. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from bff.events import well_formed
from bff.history import (
    CALL_TIMEOUT_SECONDS,
    MAX_FORK_TURNS,
    Page,
    Session,
    StoredMessage,
    Turn,
)
from bff.history.aws import CHECK_SECONDS, Work, open_client, open_session
from bff.history.dynamodb.calls import KEYS, REQUEST_BYTES, Table, pause, size_of
from bff.history.dynamodb.client import Client, endpoint_of, open_items
from bff.history.dynamodb.deletion import Sweeper, beginning, begun_whole, branches, removal
from bff.history.dynamodb.forgetting import forget_turn
from bff.history.dynamodb.items import (
    INDEX,
    Item,
    as_text,
    digits,
    item_key,
    now,
    partition,
    put,
    run_item,
    session_of,
    text,
    turn_items,
)
from bff.history.dynamodb.points import best, index_points, places_of, point_key
from bff.history.dynamodb.sessions import (
    ALIVE,
    Seen,
    begun,
    branch_key,
    claim,
    is_late,
    name_branch,
    put_session,
    touch,
)
from bff.history.dynamodb.table import check_table
from bff.history.dynamodb.turns import read_turn, turn_key
from bff.history.paging import (
    MessagePage,
    messages_of,
    newest_that_fit,
    position,
    read_message_position,
    read_position,
)
from bff.off_loop import off_loop

MAX_IN_TRANSACTION = 90
"""Items of a beginning that are written together with it: a transaction takes a hundred writes."""

_UPDATED = re.compile(r"[0-9]{20}#[A-Za-z0-9_-]{1,100}")


@asynccontextmanager
async def open_dynamodb(
    table: str, *, region: str, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[DynamoHistory]:
    """Raises `SettingsError` if there is no such table, or one of another shape."""
    session = open_session(region)
    async with open_client("dynamodb", region=region, session=session) as client:
        await check_table(client, table, min(CHECK_SECONDS, call_timeout_seconds))
        endpoint = await endpoint_of(client)
    async with open_items(endpoint, session, region=region) as items:
        work = Work(f"dynamodb://{table}", call_timeout_seconds)
        try:
            yield DynamoHistory(table, items, work)
        finally:
            await work.close()


class DynamoHistory:
    """A `History` in a table."""

    def __init__(self, table: str, client: Client, work: Work) -> None:
        self._table = Table(table, client)
        self._work = work
        self._sweeper = Sweeper(self._table, work)
        self._seen = Seen()

    def __repr__(self) -> str:
        return f"<DynamoHistory {self._table.name} {self._work}>"

    async def add(self, owner: str, turn: Turn) -> None:
        await self._work.call(self._add(owner, turn))

    async def session(self, owner: str, session_id: str) -> Session | None:
        return await self._work.call(self._session(owner, session_id))

    async def find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        return await self._work.call(self._find(owner, points))

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        await self._work.call(self._begin(owner, session, turns, branch_of))

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        return await self._work.call(branches(self._table, owner, name))

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        return await self._work.call(self._fork_turns(owner, session_id, run_id))

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        return await self._work.call(self._claim(owner, session_id, run_id, input_ids))

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = "~"
        if after is None:
            self._sweeper.look(owner)
        else:
            (before,) = read_position(after, str)
            if not _UPDATED.fullmatch(before):
                raise ValueError("not a position")
        return await self._work.call(self._sessions(owner, limit, before))

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        page = MessagePage(limit=limit, after=after)
        at, run_id, _ = read_message_position(after)
        first = f"T#{digits(at)}#{run_id}" if after else "T#"
        return await self._work.call(self._messages(owner, session_id, page, first, limit))

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        return await self._work.call(self._rename(owner, session_id, well_formed(title)))

    async def delete(self, owner: str, session_id: str) -> bool:
        return await self._work.call(self._delete(owner, session_id))

    async def forget(self, owner: str, session_id: str, run_id: str) -> bool:
        self._sweeper.look(owner)
        return await self._work.call(
            forget_turn(self._table, self._sweeper, owner, session_id, run_id)
        )

    async def ping(self) -> None:
        await self._work.call(self._table.get("ping", "ping"))

    async def _add(self, owner: str, turn: Turn) -> None:
        said = as_text(turn)
        body = await off_loop(len(said), lambda: zlib.compress(said))
        session = self._seen.take(owner, turn.session_id)
        for attempt in itertools.count():
            if attempt:
                session = await self._item(owner, turn.session_id)
            generation = session["generation"]["S"] if session else secrets.token_hex(8)
            place = partition(owner, turn.session_id, generation)
            item, parts = turn_items(place, turn, body)
            writes = [
                touch(owner, turn, session, generation),
                put(run_item(place, turn)),
                put(item),
                *index_points(owner, turn, generation, late=is_late(turn, session)),
            ]
            if parts and session is None:  # nobody knows of them until there is a session
                await self._table.put_all([beginning(owner, turn.session_id, generation)])
                writes.append(begun_whole(owner, generation))
            await self._table.put_all(parts)
            reasons = await self._table.transact(*writes)
            if not reasons:
                return
            if parts and session is None:
                self._sweeper.start(owner, turn.session_id, generation)
            else:
                keys = [item_key(part["pk"]["S"], part["sk"]["S"]) for part in parts]
                await self._table.delete_all(keys)
            if reasons[1] == "ConditionalCheckFailed":
                return  # written before
            if attempt:
                await pause(attempt)  # another task wrote to the session in between

    async def _find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        for at in range(0, len(points), KEYS):
            wanted = points[at : at + KEYS]
            found = {
                item["pk"]["S"]: item
                for item in await self._table.get_all(point_key(owner, p) for p in wanted)
            }
            for point in wanted:
                if item := found.get(point_key(owner, point)["pk"]["S"]):
                    places = places_of(item)
                    names = {place.session_id for place in places}
                    keys = [item_key(owner, f"S#{name}") for name in names]
                    items = await self._table.get_all(keys)
                    sessions = {item["session_id"]["S"]: item for item in items}
                    if place := best(places, sessions):
                        session = sessions[place.session_id]
                        self._seen.remember(owner, place.session_id, session)
                        return await self._session_of(session), place.run_id
        return None

    async def _begin(
        self, owner: str, session: Session, turns: Sequence[Turn], branch_of: str | None
    ) -> None:
        turns = [replace(turn, session_id=session.session_id, points=()) for turn in turns]
        bodies = await asyncio.to_thread(lambda: [zlib.compress(as_text(turn)) for turn in turns])
        for attempt in itertools.count():
            if attempt and await self._item(owner, session.session_id):
                return
            generation = secrets.token_hex(8)
            made = begun(owner, session, generation, branch_of)
            writes = [put_session(made)]
            if branch_of is not None:
                writes.append(name_branch(owner, branch_of, session.session_id))
                writes.append({"Put": {"Item": branch_key(owner, branch_of, made)}})
            place = partition(owner, session.session_id, generation)
            items: list[Item] = []
            for turn, body in zip(turns, bodies, strict=True):
                item, parts = turn_items(place, turn, body)
                items += (item, run_item(place, turn), *parts)
            small = len(items) <= MAX_IN_TRANSACTION and sum(map(size_of, items)) < REQUEST_BYTES
            if small:
                writes += [put(item) for item in items]
            else:
                await self._table.put_all([beginning(owner, session.session_id, generation)])
                await self._table.put_all(items)
                writes.append(begun_whole(owner, generation))
            reasons = await self._table.transact(*writes)
            if not reasons:
                self._seen.remember(owner, session.session_id, made)
                return
            if not small:
                self._sweeper.start(owner, session.session_id, generation)
            if branch_of is not None and reasons[1] == "ConditionalCheckFailed":
                return  # there is no such session, or no longer
            await pause(attempt)

    async def _fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        session = await self._item(owner, session_id)
        if session is None or run_id is None:
            return None if session is None else ()
        place = partition(owner, session_id, session["generation"]["S"])
        last = await turn_key(self._table, place, run_id)
        if last is None:
            return None
        newest_first = [
            item
            async for item in self._table.query(
                "pk = :pk AND #key BETWEEN :first AND :last",
                {":pk": place, ":first": "T#", ":last": last},
                names={"#key": "sk"},
                ScanIndexForward=False,
                Limit=MAX_FORK_TURNS,
            )
        ]
        return newest_that_fit(
            [await read_turn(self._table, item) for item in newest_first[:MAX_FORK_TURNS]]
        )

    async def _claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        if input_ids and await self._table.update(**claim(owner, session_id, run_id, input_ids)):
            return True
        session = await self._item(owner, session_id)
        return session is not None and text(session, "claimed_by") == run_id

    async def _sessions(self, owner: str, limit: int, before: str) -> Page[Session]:
        found: list[Item] = []
        async for item in self._table.query(
            "pk = :pk AND #key < :key",
            {":pk": owner, ":key": before},
            names={"#key": "updated"},
            IndexName=INDEX,
            ScanIndexForward=False,
            Limit=limit + 1,
        ):
            found.append(item)
            if len(found) > limit:
                break
        sessions = [await self._session_of(item) for item in found[:limit]]
        more = len(found) > limit
        return Page(sessions, position(found[limit - 1]["updated"]["S"]) if more else None)

    async def _messages(
        self, owner: str, session_id: str, page: MessagePage, first: str, limit: int
    ) -> tuple[Session, Page[StoredMessage]] | None:
        session = await self._item(owner, session_id)
        if session is None:
            return None
        place = partition(owner, session_id, session["generation"]["S"])
        async for item in self._table.query(
            "pk = :pk AND #key BETWEEN :first AND :last",
            {":pk": place, ":first": first, ":last": "T#~"},
            names={"#key": "sk"},
            Limit=limit // 2 + 2,
        ):
            turn = await read_turn(self._table, item)
            if not page.offer(float(item["sk"]["S"][2:22]), turn.run_id, messages_of(turn)):
                break
        return await self._session_of(session), page.page()

    async def _rename(self, owner: str, session_id: str, title: str) -> Session | None:
        item = await self._table.update(
            Key=item_key(owner, f"S#{session_id}"),
            UpdateExpression="SET title = :title",
            ConditionExpression=ALIVE,
            ExpressionAttributeValues={":title": {"S": title}, ":now": now()},
        )
        return await self._session_of(item) if item else None

    async def _delete(self, owner: str, session_id: str) -> bool:
        self._sweeper.look(owner)
        generation: str | None = None
        for attempt in itertools.count():
            session = await self._item(owner, session_id)
            if session is None:
                break
            generation = session["generation"]["S"]
            checks = {
                "ConditionExpression": "generation = :generation",
                "ExpressionAttributeValues": {":generation": {"S": generation}},
            }
            if not await self._table.transact(*await removal(self._table, owner, session, checks)):
                break
            await pause(attempt)
        if generation is not None:  # or it was gone behind an attempt, maybe by that attempt itself
            self._sweeper.start(owner, session_id, generation)
        return generation is not None

    async def _session(self, owner: str, session_id: str) -> Session | None:
        item = await self._item(owner, session_id)
        self._seen.remember(owner, session_id, item)
        return None if item is None else await self._session_of(item)

    async def _item(self, owner: str, session_id: str) -> Item | None:
        return await self._table.get(owner, f"S#{session_id}")

    async def _session_of(self, item: Item) -> Session:
        """The session, with questions that are too large for its own item."""
        if (at := text(item, "inputs_at")) is None:
            return session_of(item)
        place = partition(item["pk"]["S"], item["session_id"]["S"], item["generation"]["S"])
        asked = await self._table.get(place, at)
        return session_of(item, (await read_turn(self._table, asked)).inputs if asked else ())
