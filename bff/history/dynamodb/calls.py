"""The calls of DynamoDB that a history makes: consistent, by key, repeated for a busy table."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from bff.history.aws import code_of
from bff.history.dynamodb.client import Client
from bff.history.dynamodb.items import Item, expired, item_key

BATCH = 25
"""Items that BatchWriteItem takes at once, …"""
REQUEST_BYTES = 950_000
"""… and what they take as JSON: from 1 MiB on aiohttp warns of a blocked loop."""
KEYS = 100
"""Items that BatchGetItem takes at once."""


class Table:
    """One table. Whoever uses it translates its errors and bounds its time."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self._call = client.call

    async def get(self, pk: str, sk: str) -> Item | None:
        """An item that has not expired."""
        answer = await self._call(
            "GetItem", {"TableName": self.name, "Key": item_key(pk, sk), "ConsistentRead": True}
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
            answer = await self._call(
                "BatchGetItem",
                {"RequestItems": {self.name: {"Keys": wanted, "ConsistentRead": True}}},
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
        fields = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items()},
            "ConsistentRead": True,
            **options,
        }
        while True:
            answer = await self._call("Query", fields)
            for item in answer["Items"]:
                if not expired(item):
                    yield item
            if "LastEvaluatedKey" not in answer:
                return
            fields["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def update(self, **options: Any) -> Item | None:
        """Update an item; what it is then, or None if its condition does not hold."""
        answer = await self._conditionally("UpdateItem", {"ReturnValues": "ALL_NEW", **options})
        item: Item | None = answer and answer["Attributes"]
        return item

    async def delete(self, **options: Any) -> bool:
        """Delete an item; False if its condition does not hold."""
        return await self._conditionally("DeleteItem", options) is not None

    async def _conditionally(self, operation: str, options: Mapping[str, Any]) -> Any:
        """Write one item, after whatever transaction is about to write it as well; None if its
        condition does not hold."""
        for attempt in itertools.count():
            try:
                return await self._call(operation, {"TableName": self.name, **options})
            except ClientError as error:
                match code_of(error):
                    case "ConditionalCheckFailedException":
                        return None
                    case "TransactionConflictException":
                        await pause(attempt)
                    case _:
                        raise
        raise AssertionError("unreachable")

    async def transact(self, *writes: dict[str, dict[str, Any]]) -> Sequence[str]:
        """Write all or nothing: no reasons, or why each of the writes was refused."""
        for write in writes:
            for operation in write.values():
                operation["TableName"] = self.name
        # by the token an attempt that is repeated is known to be the same
        fields = {"TransactItems": writes, "ClientRequestToken": str(uuid.uuid4())}
        try:
            await self._call("TransactWriteItems", fields)
        except ClientError as error:
            reasons = error.response.get("CancellationReasons")
            if code_of(error) != "TransactionCanceledException" or not reasons:
                raise
            return [reason.get("Code", "") for reason in reasons]
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
            answer = await self._call("BatchWriteItem", {"RequestItems": {self.name: requests}})
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
