"""Conversations in one DynamoDB table; what lies in it is told in `dynamodb_items`.

A turn is one transaction, provided the session is still what was read: so two tasks never lose each
other's update, and a turn never lands in a session that was deleted in between. Everything is read
consistently. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bff.events import well_formed
from bff.history import CALL_TIMEOUT_SECONDS, Page, Session, StoredMessage, Turn
from bff.history.aws import CHECK_SECONDS, Work, open_client
from bff.history.dynamodb.items import (
    INDEX,
    Item,
    digits,
    expired,
    item_key,
    now,
    pack,
    partition,
    put,
    session_of,
    touch,
    unpack,
)
from bff.history.dynamodb.table import check_table
from bff.history.paging import (
    MessagePage,
    messages_of,
    position,
    read_message_position,
    read_position,
)

PART_BYTES = 350_000
"""An item may have 400 KB with its keys."""
BATCH = 25
"""Items that BatchWriteItem takes at once."""
PARTS_AT_ONCE = 2
"""So that a request stays under 1 MiB, from where on aiohttp warns of a blocked loop."""

_UPDATED = re.compile(r"[0-9]{20}#[A-Za-z0-9_-]{1,100}")


@asynccontextmanager
async def open_dynamodb(
    table: str, *, region: str, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> AsyncIterator[DynamoHistory]:
    """Raises `SettingsError` if there is no such table, or one of another shape."""
    async with open_client("dynamodb", region=region) as client:
        await check_table(client, table, min(CHECK_SECONDS, call_timeout_seconds))
        work = Work(f"dynamodb://{table}", call_timeout_seconds)
        try:
            yield DynamoHistory(table, client, work)
        finally:
            await work.close()


class DynamoHistory:
    """A `History` in a table."""

    def __init__(self, table: str, client: Any, work: Work) -> None:
        self._table = table
        self._client = client
        self._work = work

    def __repr__(self) -> str:
        return f"<DynamoHistory {self._table} {self._work}>"

    async def add(self, owner: str, turn: Turn) -> None:
        await self._work.call(self._add(owner, turn))

    async def session(self, owner: str, session_id: str) -> Session | None:
        raise NotImplementedError

    async def find(self, owner: str, points: Sequence[str]) -> tuple[str, str] | None:
        raise NotImplementedError

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        raise NotImplementedError

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        raise NotImplementedError

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        raise NotImplementedError

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = "~"
        if after is None:
            self._work.sweep(("look", owner), self._resume(owner))
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

    async def ping(self) -> None:
        await self._work.call(self._get("ping", "ping"))

    async def _add(self, owner: str, turn: Turn) -> None:
        body = await asyncio.to_thread(pack, turn)
        for attempt in itertools.count():
            session = await self._session(owner, turn.session_id)
            generation = session["generation"]["S"] if session else secrets.token_hex(8)
            place = partition(owner, turn.session_id, generation)
            written = await self._write_parts(place, turn.run_id, body)
            key = f"T#{digits(turn.asked_at * 1e6)}#{turn.run_id}"
            reasons = await self._transact(
                touch(owner, turn, session, generation),
                put(item_key(place, f"R#{turn.run_id}")),
                put(item_key(place, key) | written),
            )
            if not reasons or reasons[1] == "ConditionalCheckFailed":
                return  # written, now or before
            await _pause(attempt)  # another task wrote to the session in between

    async def _write_parts(self, place: str, run_id: str, body: bytes) -> dict[str, Any]:
        """What the turn's item holds: its body, or where the parts of it were put."""
        if len(body) <= PART_BYTES:
            return {"body": {"B": body}}
        prefix = f"C#{run_id}#{secrets.token_hex(4)}#"
        parts = [body[at : at + PART_BYTES] for at in range(0, len(body), PART_BYTES)]
        puts = [
            {"PutRequest": {"Item": item_key(place, f"{prefix}{n:05}") | {"body": {"B": part}}}}
            for n, part in enumerate(parts)
        ]
        for at in range(0, len(puts), PARTS_AT_ONCE):
            await self._write_batch(puts[at : at + PARTS_AT_ONCE])
        return {"parts": {"S": prefix}}

    async def _sessions(self, owner: str, limit: int, before: str) -> Page[Session]:
        found: list[Item] = []
        async for item in self._query(
            "pk = :pk AND #key < :key",
            {":pk": owner, ":key": before},
            names={"#key": "updated"},
            IndexName=INDEX,
            ScanIndexForward=False,
            Limit=limit + 1,
        ):
            found.append(item)
            if len(found) > limit:
                last = found[limit - 1]["updated"]["S"]
                return Page([session_of(item) for item in found[:limit]], position(last))
        return Page([session_of(item) for item in found])

    async def _messages(
        self, owner: str, session_id: str, page: MessagePage, first: str, limit: int
    ) -> tuple[Session, Page[StoredMessage]] | None:
        session = await self._session(owner, session_id)
        if session is None:
            return None
        place = partition(owner, session_id, session["generation"]["S"])
        async for item in self._query(
            "pk = :pk AND #key BETWEEN :first AND :last",
            {":pk": place, ":first": first, ":last": "T#~"},
            names={"#key": "sk"},
            Limit=limit // 2 + 2,
        ):
            turn = await self._turn(item)
            if not page.offer(float(item["sk"]["S"][2:22]), turn.run_id, messages_of(turn)):
                break
        return session_of(session), page.page()

    async def _turn(self, item: Item) -> Turn:
        if "body" in item:
            body = item["body"]["B"]
        else:
            prefix = item["parts"]["S"]
            parts = self._query(
                "pk = :pk AND begins_with(#key, :key)",
                {":pk": item["pk"]["S"], ":key": prefix},
                names={"#key": "sk"},
            )
            body = b"".join([part["body"]["B"] async for part in parts])
        return await asyncio.to_thread(unpack, body)

    async def _rename(self, owner: str, session_id: str, title: str) -> Session | None:
        try:
            answer = await self._client.update_item(
                TableName=self._table,
                Key=item_key(owner, f"S#{session_id}"),
                UpdateExpression="SET title = :title",
                ConditionExpression="attribute_exists(pk) AND "
                "(attribute_not_exists(expires_at) OR expires_at > :now)",
                ExpressionAttributeValues={":title": {"S": title}, ":now": now()},
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return session_of(answer["Attributes"])

    async def _delete(self, owner: str, session_id: str) -> bool:
        self._work.sweep(("look", owner), self._resume(owner))
        for attempt in itertools.count():
            session = await self._session(owner, session_id)
            if session is None:
                break
            generation = session["generation"]["S"]
            gone = {
                "TableName": self._table,
                "Key": item_key(owner, f"S#{session_id}"),
                "ConditionExpression": "generation = :generation",
                "ExpressionAttributeValues": {":generation": {"S": generation}},
            }
            ticket = item_key(owner, f"D#{generation}") | {"session_id": {"S": session_id}}
            if not await self._transact({"Delete": gone}, put(ticket)):
                self._work.sweep(generation, self._sweep(owner, session_id, generation))
                return True
            await _pause(attempt)
        return False

    async def _resume(self, owner: str) -> None:
        """Go on with what a task that died has left to sweep."""
        async for ticket in self._query(
            "pk = :pk AND begins_with(#key, :key)",
            {":pk": owner, ":key": "D#"},
            names={"#key": "sk"},
        ):
            generation = ticket["sk"]["S"].removeprefix("D#")
            session_id = ticket["session_id"]["S"]
            self._work.sweep(generation, self._sweep(owner, session_id, generation))

    async def _sweep(self, owner: str, session_id: str, generation: str) -> None:
        batch: list[Mapping[str, Any]] = []
        async for item in self._query(
            "pk = :pk",
            {":pk": partition(owner, session_id, generation)},
            names={"#sk": "sk"},
            ProjectionExpression="pk, #sk",
        ):
            batch.append({"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}})
            if len(batch) == BATCH:
                await self._write_batch(batch)
                batch = []
        await self._write_batch(batch)
        await self._client.delete_item(
            TableName=self._table, Key=item_key(owner, f"D#{generation}")
        )

    async def _get(self, pk: str, sk: str) -> Item | None:
        answer = await self._client.get_item(
            TableName=self._table, Key=item_key(pk, sk), ConsistentRead=True
        )
        found: Item | None = answer.get("Item")
        return found

    async def _session(self, owner: str, session_id: str) -> Item | None:
        item = await self._get(owner, f"S#{session_id}")
        return None if item is None or expired(item) else item

    async def _query(
        self, condition: str, values: Mapping[str, str], *, names: Mapping[str, str], **options: Any
    ) -> AsyncIterator[Item]:
        """What lies in one partition, page by page, without what has expired."""
        while True:
            answer = await self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
                ConsistentRead=True,
                **options,
            )
            for item in answer["Items"]:
                if not expired(item):
                    yield item
            if "LastEvaluatedKey" not in answer:
                return
            options["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def _transact(self, *writes: dict[str, dict[str, Any]]) -> Sequence[str]:
        """Write all or nothing: no reasons, or why each of the writes was refused."""
        for write in writes:
            for operation in write.values():
                operation["TableName"] = self._table
        try:
            await self._client.transact_write_items(TransactItems=list(writes))
        except self._client.exceptions.TransactionCanceledException as error:
            return [reason.get("Code", "") for reason in error.response["CancellationReasons"]]
        return ()

    async def _write_batch(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Write up to `BATCH` items; what a busy table leaves over is sent again."""
        for attempt in itertools.count():
            if not requests:
                return
            answer = await self._client.batch_write_item(RequestItems={self._table: requests})
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if requests:
                await _pause(attempt)


async def _pause(attempt: int) -> None:
    """Before another attempt: at random, longer each time, a second at most."""
    await asyncio.sleep(random.uniform(0.01, min(1.0, 0.05 * 2**attempt)))
