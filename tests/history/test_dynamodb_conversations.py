"""What DynamoDB does for conversations that go on: calls, conditions, items, sweeping."""

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import Overloaded
from bff.history import Turn
from bff.history.dynamodb import DynamoHistory, open_dynamodb
from bff.history.dynamodb.points import SLOTS
from tests.fakes.dynamodb import REGION, Proxy, dynamodb, expire, items
from tests.history.conftest import PATIENT_SECONDS
from tests.history.turns import ALICE, TURN, begun, found_at, pointed, session_after, turn

REFUSAL = (400, {"__type": "com.amazonaws#AccessDeniedException"})


def cancelled(*codes: str) -> tuple[int, dict[str, Any]]:
    """What a transaction answers whose writes were refused for these reasons."""
    kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    return 400, {"__type": kind, "CancellationReasons": [{"Code": code} for code in codes]}


@pytest.fixture
async def history(table: str, proxy: Proxy) -> AsyncIterator[DynamoHistory]:
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        proxy.calls.clear()
        yield history


async def until_swept(history: DynamoHistory) -> None:
    async with asyncio.timeout(30):
        while not repr(history).endswith(" 0 sweeps>"):
            await asyncio.sleep(0.005)


def asking(n: int) -> Turn:
    return replace(turn(n), inputs=[{"id": "q", "kind": "input"}])


async def test_each_question__costs_the_calls_that_it_must(
    history: DynamoHistory, proxy: Proxy
) -> None:
    async def cost(call: Any) -> list[str]:
        proxy.calls.clear()
        await call
        return proxy.operations()

    assert await cost(history.add(ALICE, pointed(1, "a", "b", "c"))) == ["TransactWriteItems"]
    assert await cost(history.session(ALICE, "chat")) == ["GetItem"]
    assert await cost(history.find(ALICE, ["a", "x"])) == ["BatchGetItem"] * 2
    assert await cost(history.find(ALICE, ["x", "y"])) == ["BatchGetItem"]
    assert await cost(history.find(ALICE, [])) == []
    twenty = [turn(n) for n in range(20)]
    assert await cost(history.begin(ALICE, begun("fork"), twenty)) == ["TransactWriteItems"]
    assert await cost(history.add(ALICE, turn(21, session_id="fork"))) == ["TransactWriteItems"]
    assert await cost(history.fork_turns(ALICE, "fork", turn(9).run_id)) == [
        "GetItem",
        "GetItem",
        "Query",
    ]
    await history.add(ALICE, asking(2))
    assert await cost(history.claim(ALICE, "chat", "run", ["q"])) == ["UpdateItem"]
    assert await cost(history.claim(ALICE, "chat", "run", ["q"])) == ["UpdateItem", "GetItem"]
    assert all(call.get("ConsistentRead") for name, call in proxy.calls if name == "GetItem")


async def test_find__asks_consistently_and_again_for_what_a_busy_table_left_over(
    history: DynamoHistory, proxy: Proxy, table: str
) -> None:
    await history.add(ALICE, pointed(1, "a"))
    keys = {"Keys": [{"pk": {"S": f"{ALICE}#P#a"}, "sk": {"S": "P"}}], "ConsistentRead": True}
    left_over = {"Responses": {}, "UnprocessedKeys": {table: keys}}
    proxy.answers["BatchGetItem"] = [(200, left_over), (200, left_over)]

    assert await found_at(history, ALICE, ["a", "a"]) == ("chat", turn(1).run_id)

    asked = [call["RequestItems"][table] for name, call in proxy.calls if name == "BatchGetItem"]
    assert [call["ConsistentRead"] for call in asked] == [True] * 4
    assert asked[0] == keys


async def test_a_point_of_very_many_sessions__stays_a_small_item(
    history: DynamoHistory, table: str, aws: str
) -> None:
    for n in range(60):
        await history.add(ALICE, pointed(n, "hi", session_id=f"s{n}"))

    (point,) = [item for item in await items(aws, table) if item["sk"]["S"] == "P"]
    assert len(point) - 2 <= SLOTS
    assert await found_at(history, ALICE, ["hi"]) == ("s59", turn(59, session_id="s59").run_id)


async def test_a_point__of_a_session_that_has_expired_is_not_found(
    history: DynamoHistory, table: str, aws: str
) -> None:
    await history.add(ALICE, pointed(1, "a"))

    await expire(aws, table, 1.0, prefix="S#")

    assert await found_at(history, ALICE, ["a"]) is None
    assert await history.claim(ALICE, "chat", "run", ["q"]) is False
    await history.begin(ALICE, begun("chat"))
    assert await history.session(ALICE, "chat") == begun("chat")


async def test_delete__that_is_done_but_not_answered_is_still_done(
    table: str, proxy: Proxy, aws: str
) -> None:
    """Unlike AWS, moto does not know a transaction by its token when it is sent again."""
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        await history.add(ALICE, pointed(1, "1"))
        proxy.hold = lambda call: (
            "reply" if "TransactItems" in call and not proxy.held.is_set() else None
        )
        assert await history.delete(ALICE, "chat")
        assert proxy.held.is_set()
        assert not await history.delete(ALICE, "chat")
        await until_swept(history)
    assert await items(aws, table) == []


async def test_delete__takes_points_along_and_leaves_other_sessions_theirs(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        for n in range(30):
            await history.add(ALICE, pointed(n, f"{n}", f"{n}-too"))
        await history.add(ALICE, pointed(50, "1", "29-too", session_id="other"))
        assert await history.delete(ALICE, "chat")
        await until_swept(history)
        assert await found_at(history, ALICE, ["29-too"]) is not None
        left = [item for item in await items(aws, table) if item["sk"]["S"] == "P"]
        assert sorted(item["pk"]["S"] for item in left) == [f"{ALICE}#P#1", f"{ALICE}#P#29-too"]
        assert [len(item) for item in left] == [3, 3]
        assert await history.delete(ALICE, "other")
        await until_swept(history)
    assert await items(aws, table) == []


async def test_a_point__swept_late_leaves_the_new_session_of_that_name_its_place(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        await history.add(ALICE, pointed(1, "a", "b"))
        proxy.answers["DeleteItem"] = [REFUSAL]
        await history.delete(ALICE, "chat")
        await until_swept(history)
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        await history.add(ALICE, pointed(2, "a"))
        await history.sessions(ALICE, limit=1)
        await until_swept(history)
        assert await found_at(history, ALICE, ["a"]) == ("chat", turn(2).run_id)

    left = await items(aws, table)
    assert sorted(item["sk"]["S"][:2] for item in left) == ["P", "R#", "S#", "T#"]


async def test_claim__waits_for_a_transaction_that_writes_the_same_session(
    history: DynamoHistory, proxy: Proxy
) -> None:
    await history.add(ALICE, asking(1))
    kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException"
    proxy.answers["UpdateItem"] = [(400, {"__type": kind})] * 2

    assert await history.claim(ALICE, "chat", "run", ["q"]) is True


async def test_claim__whose_answer_was_lost_is_still_the_runs(
    history: DynamoHistory, proxy: Proxy
) -> None:
    await history.add(ALICE, asking(1))
    assert await history.claim(ALICE, "chat", "run", ["q"])  # as if its answer had been lost

    proxy.answers["UpdateItem"] = [(500, {"__type": "InternalServerError"})]

    assert await history.claim(ALICE, "chat", "run", ["q"]) is True


async def test_add__after_a_claim_and_a_new_title_keeps_both(
    history: DynamoHistory, proxy: Proxy
) -> None:
    """A claim and a title are no reason for `add` to be refused: it does not look at them."""
    await history.add(ALICE, asking(1))
    await history.session(ALICE, "chat")
    await history.claim(ALICE, "chat", turn(2).run_id, ["q"])
    await history.rename(ALICE, "chat", "named")
    proxy.calls.clear()

    await history.add(ALICE, turn(2))

    assert proxy.operations() == ["TransactWriteItems"]
    session = await history.session(ALICE, "chat")
    assert session == replace(
        session_after(turn(1)),
        title="named",
        updated_at=turn(2).answered_at,
        last_run_id=turn(2).run_id,
        claimed_by=turn(2).run_id,
    )
    assert await history.claim(ALICE, "chat", turn(2).run_id, ["q"]) is True


async def test_adding_at_once__ends_with_the_newest_turns_questions(
    history: DynamoHistory,
) -> None:
    turns = [replace(asking(n), inputs=[{"id": f"q{n}", "kind": "input"}]) for n in range(8)]
    random.Random(5).shuffle(turns)

    await asyncio.gather(*(history.add(ALICE, t) for t in turns))

    session = await history.session(ALICE, "chat")
    assert session is not None
    assert list(session.inputs) == [{"id": "q7", "kind": "input"}]
    assert session.last_run_id == turn(7).run_id


# Beginnings


def large(n: int) -> Turn:
    return replace(turn(n), answer=random.Random(n).randbytes(30_000).hex())


async def test_a_long_beginning__is_written_in_parts_and_then_shown_whole(
    history: DynamoHistory, proxy: Proxy, table: str, aws: str
) -> None:
    turns = [large(n) for n in range(70)] + [
        replace(turn(70), answer=random.Random(70).randbytes(500_000).hex())
    ]

    await history.begin(ALICE, begun("fork"), turns)

    shared = await history.fork_turns(ALICE, "fork", turns[-1].run_id)
    assert shared is not None
    assert [t.answer for t in shared] == [t.answer for t in turns]
    left = await items(aws, table)
    assert {item["sk"]["S"][:2] for item in left} == {"S#", "T#", "R#", "C#"}
    assert len(left) == 1 + 2 * 71 + 2


async def test_a_long_beginning__shows_nothing_before_it_is_whole(
    history: DynamoHistory, proxy: Proxy, table: str, aws: str
) -> None:
    proxy.answers["TransactWriteItems"] = [REFUSAL]
    with pytest.raises(Overloaded):
        await history.begin(ALICE, begun("fork"), [large(n) for n in range(70)])

    assert await history.session(ALICE, "fork") is None
    assert (await history.sessions(ALICE, limit=9)).items == []
    assert await history.messages(ALICE, "fork", limit=9) is None


async def test_a_beginning_that_was_broken_off__is_swept_once_it_is_surely_over(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        proxy.answers["TransactWriteItems"] = [REFUSAL]
        with pytest.raises(Overloaded):
            await history.begin(ALICE, begun("fork"), [large(n) for n in range(70)])
        await history.sessions(ALICE, limit=1)
    kept = await items(aws, table)
    assert len(kept) == 141, "the turns and the ticket: it might still be going on"

    (ticket,) = [item for item in kept if item["sk"]["S"].startswith("D#")]
    async with dynamodb(aws) as client:
        old = ticket | {"begun_at": {"N": "1790000000"}}
        await client.put_item(TableName=table, Item=old)
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        await history.sessions(ALICE, limit=1)
        await until_swept(history)
    assert await items(aws, table) == []


async def test_a_large_first_turn__that_was_broken_off_is_swept_once_it_is_surely_over(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        proxy.answers["TransactWriteItems"] = [REFUSAL]
        with pytest.raises(Overloaded):
            await history.add(ALICE, very_large(1))
    assert {item["sk"]["S"][:2] for item in await items(aws, table)} == {"D#", "C#"}
    await make_tickets_old(aws, table)

    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        await history.sessions(ALICE, limit=1)
        await until_swept(history)

    assert await items(aws, table) == []


async def test_a_large_first_turn__outrun_by_another_leaves_nothing_behind(
    history: DynamoHistory, proxy: Proxy, table: str, aws: str
) -> None:
    proxy.answers["TransactWriteItems"] = [cancelled("ConditionalCheckFailed", "None", "None")]

    await history.add(ALICE, very_large(1))
    await until_swept(history)

    left = [item["sk"]["S"][:2] for item in await items(aws, table)]
    assert sorted(left) == ["C#", "C#", "C#", "R#", "S#", "T#"]


async def test_a_forgotten_turn__takes_along_what_was_written_of_it_in_vain(
    history: DynamoHistory, proxy: Proxy, table: str, aws: str
) -> None:
    await history.add(ALICE, turn(0))
    proxy.answers["TransactWriteItems"] = [REFUSAL]
    await history.session(ALICE, "chat")
    with pytest.raises(Overloaded):
        await history.add(ALICE, very_large(1))
    await history.session(ALICE, "chat")
    await history.add(ALICE, very_large(1))
    assert [item["sk"]["S"][:2] for item in await items(aws, table)].count("C#") == 6

    assert await history.forget(ALICE, "chat", turn(1).run_id)
    await until_swept(history)

    left = [item["sk"]["S"][:2] for item in await items(aws, table)]
    assert sorted(left) == ["R#", "R#", "S#", "T#"]


def very_large(n: int) -> Turn:
    return replace(turn(n), answer=random.Random(n).randbytes(900_000).hex())


async def make_tickets_old(aws: str, table: str) -> None:
    async with dynamodb(aws) as client:
        for item in await items(aws, table):
            if item["sk"]["S"].startswith("D#"):
                old = item | {"begun_at": {"N": "1790000000"}}
                await client.put_item(TableName=table, Item=old)


async def test_a_beginning__that_somebody_began_to_sweep_is_written_again(
    history: DynamoHistory, proxy: Proxy
) -> None:
    proxy.answers["TransactWriteItems"] = [cancelled("None", "ConditionalCheckFailed")]

    await history.begin(ALICE, begun("fork"), [large(n) for n in range(70)])

    found = await history.messages(ALICE, "fork", limit=1000)
    assert found is not None
    assert len(found[1].items) == 140


async def test_a_beginning__outrun_by_another_leaves_nothing_behind(
    history: DynamoHistory, proxy: Proxy, table: str, aws: str
) -> None:
    # moto undoes what others do while it refuses a transaction, so nobody else is really there
    proxy.answers["TransactWriteItems"] = [cancelled("ConditionalCheckFailed", "None")]
    await history.begin(ALICE, begun("fork"), [large(n) for n in range(30)])
    await until_swept(history)

    left = await items(aws, table)
    assert len(left) == 1 + 2 * 30
    assert len({item["pk"]["S"] for item in left}) == 2


# What 0.1.0 wrote


def items_of_0_1_0(*turns: Turn) -> list[dict[str, Any]]:
    """The items of a session as 0.1.0 wrote them, from its source."""
    place = f"{ALICE}#chat#0123456789abcdef"
    first, last = turns[0], turns[-1]
    written: list[dict[str, Any]] = [
        {
            "pk": {"S": ALICE},
            "sk": {"S": "S#chat"},
            "session_id": {"S": "chat"},
            "generation": {"S": "0123456789abcdef"},
            "title": {"S": first.message},
            "created_at": {"N": repr(first.asked_at)},
            "updated_at": {"N": repr(last.answered_at)},
            "updated": {"S": f"{round(last.answered_at * 1e6):020}#chat"},
        }
    ]
    for t in turns:
        body = {
            "run_id": t.run_id,
            "session_id": "chat",
            "message": t.message,
            "answer": t.answer,
            "status": t.status,
            "asked_at": t.asked_at,
            "answered_at": t.answered_at,
            "tool_calls": list(t.tool_calls),
        }
        key = f"T#{round(t.asked_at * 1e6):020}#{t.run_id}"
        packed = zlib.compress(json.dumps(body).encode())
        written.append({"pk": {"S": place}, "sk": {"S": f"R#{t.run_id}"}})
        written.append({"pk": {"S": place}, "sk": {"S": key}, "body": {"B": packed}})
    return written


async def test_items_of_0_1_0__are_read_gone_on_with_and_deleted(
    table: str, proxy: Proxy, aws: str
) -> None:
    async with dynamodb(aws) as client:
        for item in items_of_0_1_0(turn(1), replace(TURN, asked_at=turn(2).asked_at), turn(3)):
            await client.put_item(TableName=table, Item=item)
    async with open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history:
        session = replace(session_after(turn(1)), updated_at=turn(3).answered_at, last_run_id=None)
        assert await history.session(ALICE, "chat") == session
        assert (await history.sessions(ALICE, limit=9)).items == [session]
        found = await history.messages(ALICE, "chat", limit=9)
        assert found is not None
        assert [m.content for m in found[1].items][2:4] == [TURN.message, TURN.answer]
        assert found[1].items[3].tool_calls == TURN.tool_calls
        shared = await history.fork_turns(ALICE, "chat", TURN.run_id)
        assert shared is not None
        assert [t.run_id for t in shared] == [turn(1).run_id, TURN.run_id]
        assert await history.fork_turns(ALICE, "chat", "run-unknown") is None
        assert await history.claim(ALICE, "chat", "run", ["q"]) is False

        await history.add(ALICE, turn(3))  # it is there
        await history.add(ALICE, pointed(0, "late"))
        assert await history.session(ALICE, "chat") == session
        await history.add(ALICE, replace(pointed(5, "new"), inputs=asking(5).inputs))
        assert await history.claim(ALICE, "chat", "run", ["q"]) is True
        assert await found_at(history, ALICE, ["new"]) == ("chat", turn(5).run_id)
        assert await history.delete(ALICE, "chat")
        await until_swept(history)
    assert await items(aws, table) == []
