"""The calls of DynamoDB that a history makes: consistent, by key, repeated for a busy table."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from bff.history.dynamodb.items import Item, expired, item_key

T = TypeVar("T")

BATCH = 25
"""Items that BatchWriteItem takes at once, …"""
REQUEST_BYTES = 700_000
"""… and their bodies: as Base64 they stay under 1 MiB, from where on aiohttp warns of a blocked
loop."""
KEYS = 100
"""Items that BatchGetItem takes at once."""


class Table:
    """One table. Whoever uses it translates its errors and bounds its time."""

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self._client = client

    async def get(self, pk: str, sk: str) -> Item | None:
        """An item that has not expired."""
        answer = await self._client.get_item(
            TableName=self.name, Key=item_key(pk, sk), ConsistentRead=True
        )
        item: Item | None = answer.get("Item")
        return None if item is None or expired(item) else item

    async def get_all(self, keys: Iterable[Mapping[str, Any]]) -> list[Item]:
        """Those of up to `KEYS` items that are there and have not expired, in any order."""
        wanted = list({(key["pk"]["S"], key["sk"]["S"]): key for key in keys}.values())
        found: list[Item] = []
        for attempt in itertools.count():
            if not wanted:
                break
            answer = await self._client.batch_get_item(
                RequestItems={self.name: {"Keys": wanted, "ConsistentRead": True}}
            )
            found += answer["Responses"].get(self.name, ())
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if wanted:
                await pause(attempt)
        return [item for item in found if not expired(item)]

    async def query(
        self, condition: str, values: Mapping[str, str], *, names: Mapping[str, str], **options: Any
    ) -> AsyncIterator[Item]:
        """What lies in one partition, page by page, without what has expired."""
        while True:
            answer = await self._client.query(
                TableName=self.name,
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

    async def update(self, **options: Any) -> Item | None:
        """Update an item; what it is then, or None if its condition does not hold."""
        call = functools.partial(self._client.update_item, ReturnValues="ALL_NEW", **options)
        answer = await self._conditionally(call)
        item: Item | None = answer and answer["Attributes"]
        return item

    async def delete(self, **options: Any) -> bool:
        """Delete an item; False if its condition does not hold."""
        call = functools.partial(self._client.delete_item, **options)
        return await self._conditionally(call) is not None

    async def _conditionally(self, call: Callable[..., Awaitable[T]]) -> T | None:
        """Write one item, after whatever transaction is about to write it as well."""
        for attempt in itertools.count():
            try:
                return await call(TableName=self.name)
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
            except self._client.exceptions.TransactionConflictException:
                await pause(attempt)
        raise AssertionError("unreachable")

    async def transact(self, *writes: dict[str, dict[str, Any]]) -> Sequence[str]:
        """Write all or nothing: no reasons, or why each of the writes was refused."""
        for write in writes:
            for operation in write.values():
                operation["TableName"] = self.name
        try:
            await self._client.transact_write_items(TransactItems=list(writes))
        except self._client.exceptions.TransactionCanceledException as error:
            return [reason.get("Code", "") for reason in error.response["CancellationReasons"]]
        return ()

    async def put_all(self, items: Iterable[Item]) -> None:
        for batch in batches(items):
            await self._write([{"PutRequest": {"Item": item}} for item in batch])

    async def delete_all(self, keys: Sequence[Item]) -> None:
        for at in range(0, len(keys), BATCH):
            await self._write([{"DeleteRequest": {"Key": key}} for key in keys[at : at + BATCH]])

    async def _write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        """Write up to `BATCH` items; what a busy table leaves over is sent again."""
        for attempt in itertools.count():
            if not requests:
                return
            answer = await self._client.batch_write_item(RequestItems={self.name: requests})
            requests = answer.get("UnprocessedItems", {}).get(self.name, [])
            if requests:
                await pause(attempt)


def batches(items: Iterable[Item]) -> list[list[Item]]:
    """The items in groups that go into one request."""
    groups: list[list[Item]] = []
    room = 0
    for item in items:
        size = size_of(item)
        if not groups or size > room or len(groups[-1]) == BATCH:
            groups.append([])
            room = REQUEST_BYTES
        groups[-1].append(item)
        room -= size
    return groups


def size_of(item: Item) -> int:
    """About what it takes in a request: its body, and some for the rest."""
    return len(item["body"]["B"]) + 1000 if "body" in item else 1000


async def pause(attempt: int) -> None:
    """Before another attempt: at random, longer each time, a second at most."""
    await asyncio.sleep(random.uniform(0.01, min(1.0, 0.05 * 2**attempt)))
