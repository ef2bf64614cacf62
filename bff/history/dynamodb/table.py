"""Making the DynamoDB table for local use, and refusing one that cannot serve.

In AWS the stack makes the table; both follow `dynamodb.items.TABLE`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bff.history.aws import code_of, open_client
from bff.history.dynamodb.items import INDEX, TABLE, TTL_ATTRIBUTE
from bff.settings import SettingsError

_log = logging.getLogger(__name__)


async def create_table(table: str, *, region: str) -> bool:
    """Make the table and wait until it can be used; False if one of that name is there."""
    async with open_client("dynamodb", region=region) as client:
        try:
            await client.create_table(TableName=table, **TABLE)
        except client.exceptions.ResourceInUseException:
            return False
        await client.get_waiter("table_exists").wait(
            TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        await client.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
        )
        return True


async def check_table(client: Any, table: str, timeout: float) -> None:
    """Refuse a table that cannot serve; one that cannot be asked about may still come up."""
    takes = f"a table that `python -m bff create-table {table}` or the stack made"
    try:
        async with asyncio.timeout(timeout):
            found = (await client.describe_table(TableName=table))["Table"]
    except client.exceptions.ResourceNotFoundException:
        raise SettingsError("HISTORY", f"dynamodb://{table} (no such table)", takes) from None
    except (ClientError, BotoCoreError, OSError) as error:
        name = code_of(error) if isinstance(error, ClientError) else type(error).__name__
        _log.warning("dynamodb://%s could not be looked at: %s", table, name)
        return
    indexes = {i["IndexName"]: i["KeySchema"] for i in found.get("LocalSecondaryIndexes", ())}
    expected = TABLE["LocalSecondaryIndexes"][0]["KeySchema"]
    if found["KeySchema"] != TABLE["KeySchema"] or indexes.get(INDEX) != expected:
        raise SettingsError("HISTORY", f"dynamodb://{table} (a table with other keys)", takes)
