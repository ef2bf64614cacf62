"""Commands on their way to a server, and the connections they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import ResponseError

from bff.runs.valkey.client import Client, Command, packed
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey

COMMANDS: list[Command] = [
    ("EVALSHA", "sha", 0),
    ("SET", "key", -17),
    ("SET", "key", 'message {"content":"d\u00e9j\u00e0 vu \U0001f600"}'),
    ("SET", "", "line\r\n$1\r\n"),
]

WRONG: Command = ("EVAL", "return redis.error_reply('wrong')", 1, "key")


def echo(text: str | int) -> Command:
    """A command that a cluster takes as well: it names a key."""
    return ("EVAL", "return ARGV[1]", 1, "key", text)


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    client = Client(url)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize("commands", [COMMANDS, *[[each] for each in COMMANDS]])
def test_commands__are_packed_as_the_library_does(commands: list[Command]) -> None:
    theirs = b"".join(Connection(encoding="utf-8").pack_commands(commands))
    assert packed(commands) == theirs


async def test_replies__come_in_order_with_errors_among_them(valkey: Valkey) -> None:
    async with client_of(valkey.url) as client:
        one, error, other = await client.execute([echo("one"), WRONG, echo("two")])
        assert (one, other) == ("one", "two")
        assert isinstance(error, ResponseError)
        replies = await asyncio.gather(*[client.execute([echo(n)]) for n in range(20)])
        assert replies == [[str(n)] for n in range(20)]


async def test_a_reply_that_nobody_waits_for__is_not_taken_for_the_next_one(own: Valkey) -> None:
    async with Relay(own.port).serve() as relay, client_of(relay.url) as client:
        assert await client.execute([echo("first")]) == ["first"]
        relay.delay = 0.05
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.execute([echo("given up")])
        relay.delay = 0.0
        assert await client.execute([echo("second")]) == ["second"]


async def test_a_connection_that_the_server_closed__is_not_used_again(own: Valkey) -> None:
    async with client_of(own.url) as client:
        assert await client.execute([echo("before")]) == ["before"]
        own.tell("CLIENT KILL TYPE normal SKIPME yes")
        async with asyncio.timeout(20):
            while True:  # the loop hears of it a moment later
                with suppress(NoConnection):
                    assert await client.execute([echo("after")]) == ["after"]
                    break
        own.kill()
        with pytest.raises(NoConnection):
            await client.execute([echo("gone")])
        own.start()
        assert await client.execute([echo("back")]) == ["back"]


async def test_what_is_closed__keeps_no_connection(own: Valkey) -> None:
    async with client_of(own.url) as client:
        await asyncio.gather(*[client.execute([echo(n)]) for n in range(5)])
        assert own.tell("CLIENT LIST TYPE normal").count("id=") == 6
        await client.reconnect()
        async with asyncio.timeout(20):
            while own.tell("CLIENT LIST TYPE normal").count("id=") > 1:
                await asyncio.sleep(0.01)
        assert await client.execute([echo("again")]) == ["again"]
