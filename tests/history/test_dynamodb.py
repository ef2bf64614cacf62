import asyncio
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bff.errors import Overloaded
from bff.history.dynamodb import DynamoHistory, open_dynamodb
from bff.history.dynamodb.items import INDEX, TABLE
from bff.history.dynamodb.table import create_table
from bff.settings import SettingsError
from tests.fakes.dynamodb import REGION, Proxy, dynamodb, expire, items
from tests.history.turns import ALICE, BOB, TURN, session_after, turn


@pytest.fixture
async def history(table: str, proxy: Proxy) -> AsyncIterator[DynamoHistory]:
    async with open_dynamodb(table, region=REGION) as history:
        proxy.calls.clear()
        yield history


async def test_the_table__is_what_the_infrastructure_makes(table: str, aws: str) -> None:
    async with dynamodb(aws) as client:
        made = (await client.describe_table(TableName=table))["Table"]
        ttl = await client.describe_time_to_live(TableName=table)

    assert made["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    (index,) = made["LocalSecondaryIndexes"]
    assert index["IndexName"] == INDEX == "recent"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["pk", "updated"]
    assert {a["AttributeName"] for a in made["AttributeDefinitions"]} == {"pk", "sk", "updated"}
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "expires_at"


async def test_create_table__twice_says_that_it_is_there(table: str) -> None:
    assert await create_table(table, region=REGION) is False


async def test_a_table_that_is_not_there__is_refused(proxy: Proxy) -> None:
    with pytest.raises(SettingsError, match=r"^HISTORY: got .*no such table.*create-table nothing"):
        async with open_dynamodb("nothing", region=REGION):
            pass


async def test_a_table_with_other_keys__is_refused(proxy: Proxy, aws: str) -> None:
    name = f"other-{uuid.uuid4().hex[:8]}"
    async with dynamodb(aws) as client:
        await client.create_table(
            TableName=name,
            **{key: value for key, value in TABLE.items() if key != "LocalSecondaryIndexes"}
            | {"AttributeDefinitions": TABLE["AttributeDefinitions"][:2]},
        )

    with pytest.raises(SettingsError, match=r"^HISTORY: got .*other keys"):
        async with open_dynamodb(name, region=REGION):
            pass


async def test_a_role_that_may_not_describe_tables__is_no_reason_not_to_start(
    proxy: Proxy, table: str
) -> None:
    proxy.answers["DescribeTable"] = [(400, {"__type": "AccessDeniedException"})]

    async with open_dynamodb(table, region=REGION) as history:
        await history.add(ALICE, TURN)


async def test_reading__never_scans_and_stays_in_one_partition(
    history: DynamoHistory, proxy: Proxy
) -> None:
    for n in range(3):
        await history.add(ALICE, turn(n, session_id=f"s{n}"))
    first = await history.sessions(ALICE, limit=1)
    await history.sessions(ALICE, limit=1, after=first.next)
    await history.messages(ALICE, "s1", limit=10)
    await history.rename(ALICE, "s1", "x")
    await history.delete(ALICE, "s1")

    assert "Scan" not in proxy.operations()
    for name, call in proxy.calls:
        if name == "Query":
            assert call["ConsistentRead"] is True
            assert call["KeyConditionExpression"].startswith("pk = :pk")
            assert call["ExpressionAttributeValues"][":pk"]["S"].split("#")[0] == ALICE
        if name == "GetItem":
            assert call["ConsistentRead"] is True


async def test_a_list__reads_about_as_many_items_as_it_shows(
    history: DynamoHistory, proxy: Proxy
) -> None:
    for n in range(5):
        await history.add(ALICE, turn(n, session_id=f"s{n}"))
    proxy.calls.clear()

    await history.sessions(ALICE, limit=2)

    (query,) = [call for name, call in proxy.calls if name == "Query" and "IndexName" in call]
    assert (query["IndexName"], query["ScanIndexForward"], query["Limit"]) == (INDEX, False, 3)


async def test_what_has_expired__is_not_shown(history: DynamoHistory, table: str, aws: str) -> None:
    for n in range(4):
        await history.add(ALICE, turn(n, session_id=f"s{n % 2}"))
    await history.add(BOB, TURN)

    await expire(aws, table, time.time() - 1, prefix="S#s0")
    await expire(aws, table, time.time() - 1, prefix="T#")
    await expire(aws, table, time.time() + 1000, prefix="S#s1")

    assert [s.session_id for s in (await history.sessions(ALICE, limit=1)).items] == ["s1"]
    assert await history.messages(ALICE, "s0", limit=10) is None
    assert await history.rename(ALICE, "s0", "x") is None
    assert await history.delete(ALICE, "s0") is False
    found = await history.messages(ALICE, "s1", limit=10)
    assert found is not None
    assert found[1].items == []


async def test_a_session_that_has_expired__begins_anew_under_its_name(
    history: DynamoHistory, table: str, aws: str
) -> None:
    await history.add(ALICE, turn(1))
    await expire(aws, table, time.time() - 1, prefix="S#")

    await history.add(ALICE, turn(2))

    found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert found[0] == session_after(turn(2))
    assert [m.run_id for m in found[1].items] == [turn(2).run_id] * 2


async def test_a_large_turn__is_kept_in_items_that_fit(
    history: DynamoHistory, table: str, aws: str
) -> None:
    answer = random.Random(3).randbytes(1_200_000).hex()
    await history.add(ALICE, replace(TURN, answer=answer))

    sizes = [len(str(item).encode()) for item in await items(aws, table)]
    assert len(sizes) > 4
    found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert found[1].items[1].content == answer
    binary = [len(i["body"]["B"]) for i in await items(aws, table) if "body" in i]
    assert max(binary) < 400 * 1024 - 2000


async def test_delete__leaves_nothing_behind(table: str, proxy: Proxy, aws: str) -> None:
    async with open_dynamodb(table, region=REGION) as history:
        for n in range(30):
            await history.add(ALICE, turn(n))
        await history.add(ALICE, turn(50, session_id="other"))
        await history.add(
            ALICE, replace(turn(31), answer=random.Random(1).randbytes(600_000).hex())
        )
        assert await history.delete(ALICE, "chat")

    left = await items(aws, table)
    assert {item["sk"]["S"][:2] for item in left} == {"S#", "T#", "R#"}
    assert len(left) == 3


async def test_delete__a_busy_table_gets_what_it_did_not_take_again(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with open_dynamodb(table, region=REGION) as history:
        for n in range(3):
            await history.add(ALICE, turn(n))
        keys = [
            {"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}}
            for item in await items(aws, table)
            if item["sk"]["S"].startswith(("T#", "R#"))
        ]
        left = {"UnprocessedItems": {table: keys}}
        proxy.answers["BatchWriteItem"] = [(200, left), (200, left)]
        await history.delete(ALICE, "chat")

    assert await items(aws, table) == []


async def test_delete__goes_on_where_a_task_died(table: str, proxy: Proxy, aws: str) -> None:
    refusal = (400, {"__type": "com.amazonaws#AccessDeniedException"})
    proxy.answers["BatchWriteItem"] = [refusal]
    async with open_dynamodb(table, region=REGION) as history:
        await history.add(ALICE, TURN)
        await history.delete(ALICE, "chat")
    assert len(await items(aws, table)) == 3  # the turn, its run, and what says to sweep them

    async with open_dynamodb(table, region=REGION) as history:
        await history.add(ALICE, turn(5))
        await history.sessions(ALICE, limit=10)

    assert len(await items(aws, table)) == 3  # the new turn, its run, its session
    async with open_dynamodb(table, region=REGION) as history:
        found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert [m.run_id for m in found[1].items] == [turn(5).run_id] * 2


async def test_add__a_session_deleted_in_between_is_begun_anew(
    history: DynamoHistory, proxy: Proxy
) -> None:
    await history.add(ALICE, turn(1))
    conflict = (
        400,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "CancellationReasons": [
                {"Code": "ConditionalCheckFailed"},
                {"Code": "None"},
                {"Code": "None"},
            ],
        },
    )
    proxy.answers["TransactWriteItems"] = [conflict]

    await history.add(ALICE, turn(2))

    found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert len(found[1].items) == 4


async def test_add__uses_what_its_request_saw_of_the_session(
    history: DynamoHistory, proxy: Proxy
) -> None:
    for number in range(2):
        proxy.calls.clear()
        await history.session(ALICE, "chat")
        await history.add(ALICE, turn(number))

        assert proxy.operations() == ["GetItem", "TransactWriteItems"]

    proxy.calls.clear()
    await history.add(ALICE, turn(2))  # of what was seen only one write can be sure
    assert proxy.operations() == ["TransactWriteItems", "GetItem", "TransactWriteItems"]
    found = await history.messages(ALICE, "chat", limit=10)
    assert found is not None
    assert [m.run_id for m in found[1].items[::2]] == [turn(n).run_id for n in range(3)]


async def test_add__of_a_session_that_was_named_just_now_looks_for_none(
    history: DynamoHistory, proxy: Proxy
) -> None:
    await history.add(ALICE, turn(1))

    assert proxy.operations() == ["TransactWriteItems"]


async def test_add__uses_what_its_request_saw_where_it_found_the_transcript(
    history: DynamoHistory, proxy: Proxy
) -> None:
    await history.add(ALICE, replace(turn(1), points=["a"]))
    proxy.calls.clear()

    assert await history.find(ALICE, ["a"]) is not None
    await history.add(ALICE, replace(turn(2), points=["b"]))

    assert proxy.operations() == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"]


@pytest.mark.parametrize("meanwhile", ["begun", "written", "deleted", "written late"])
async def test_add__looks_again_where_the_session_is_not_as_it_was_seen(
    history: DynamoHistory, table: str, meanwhile: str
) -> None:
    if meanwhile != "begun":
        await history.add(ALICE, turn(1))
    assert (await history.session(ALICE, "chat") is None) == (meanwhile == "begun")
    async with open_dynamodb(table, region=REGION) as other:
        match meanwhile:
            case "begun" | "written":
                await other.add(ALICE, turn(2))
            case "written late":
                await other.add(ALICE, turn(4))
            case _:
                await other.delete(ALICE, "chat")

        await history.add(ALICE, turn(3))

        found = await other.messages(ALICE, "chat", limit=10)
    assert found is not None
    session, page = found
    kept = {"begun": [2, 3], "written": [1, 2, 3], "deleted": [3], "written late": [1, 3, 4]}
    assert [m.run_id for m in page.items[::2]] == [turn(n).run_id for n in kept[meanwhile]]
    assert session.last_run_id == turn(kept[meanwhile][-1]).run_id


async def test_adding_and_deleting_at_once__never_shows_half(history: DynamoHistory) -> None:
    await asyncio.gather(
        *(history.add(ALICE, turn(n)) for n in range(8)),
        *(history.delete(ALICE, "chat") for _ in range(4)),
    )

    found = await history.messages(ALICE, "chat", limit=100)
    sessions = await history.sessions(ALICE, limit=10)
    if found is None:
        assert sessions.items == []
    else:
        assert [s.session_id for s in sessions.items] == ["chat"]
        assert len(found[1].items) % 2 == 0
        assert len(found[1].items) > 0


async def test_throttling__is_repeated_and_then_overloaded(
    history: DynamoHistory, proxy: Proxy
) -> None:
    throttled = (400, {"__type": "ProvisionedThroughputExceededException"})
    proxy.answers["GetItem"] = [throttled, throttled]
    await history.ping()

    proxy.answers["GetItem"] = [throttled] * 3
    with pytest.raises(Overloaded):
        await history.ping()


async def test_a_refusal__is_overloaded_and_tells_the_operator_why(
    history: DynamoHistory, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.answers["TransactWriteItems"] = [(400, {"__type": "AccessDeniedException"})]

    with pytest.raises(Overloaded):
        await history.add(ALICE, TURN)

    assert "AccessDeniedException" in caplog.text
    assert "TransactWriteItems" in caplog.text
    assert TURN.message not in caplog.text


async def test_a_table_out_of_reach__is_overloaded_and_no_reason_not_to_start(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{closed.getsockname()[1]}"
        )
        async with open_dynamodb(table, region=REGION) as history:
            outcomes = await asyncio.gather(
                history.ping(),
                history.add(ALICE, TURN),
                history.sessions(ALICE, limit=1),
                history.messages(ALICE, "chat", limit=1),
                history.rename(ALICE, "chat", "x"),
                history.delete(ALICE, "chat"),
                return_exceptions=True,
            )

    assert {type(outcome) for outcome in outcomes} == {Overloaded}


async def test_a_table_that_never_answers__is_overloaded_in_time(
    aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
        async with open_dynamodb("any", region=REGION, call_timeout_seconds=0.1) as history:
            with pytest.raises(Overloaded):
                await history.ping()


async def test_a_position__is_a_moment_and_a_name_and_nothing_else(
    history: DynamoHistory,
) -> None:
    for junk in ('["~"]', '["00000000000000000001#a b"]', '["1#a"]', '["x","y"]'):
        with pytest.raises(ValueError):
            await history.sessions(ALICE, limit=1, after=junk)
