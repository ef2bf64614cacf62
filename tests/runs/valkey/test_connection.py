"""The connection itself: TLS, credentials, a slow network, a server that is no server."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from bff.errors import Overloaded
from bff.runs.valkey.client import check_authority
from bff.runs.valkey.patience import within
from bff.settings import SettingsError
from tests.fakes.tcp import tcp_server
from tests.runs.valkey.conftest import StartInstance
from tests.runs.valkey.instances import until, until_well
from tests.runs.valkey.relay import Relay
from tests.runs.valkey.valkey import Valkey, running_valkey


async def test_tls__is_spoken_and_checked(
    own: Valkey, start_instance: StartInstance, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with Relay(own.port).serve(context) as relay:
        url = f"rediss://127.0.0.1:{relay.port}"
        trusting = await start_instance(f"{url}?ssl_ca_certs={tmp_path}/ca.pem")
        await until_well(trusting)
        run = await trusting.begin("run")
        plain = await start_instance(own.url)
        assert (await plain.find(run)).run_id == "run"

        distrusting = await start_instance(url)
        with pytest.raises(Overloaded):
            await distrusting.log.ping()
        await distrusting.die()  # or it would still be at a handshake when the server closes
        await trusting.die()


def test_certificates_that_cannot_be_used__are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("text")
    for name, reason in (("none.pem", "No such file or directory"), ("text.pem", "no certificate")):
        line = rf"REDIS_URL: got ssl_ca_certs='.*{name}' \({reason}.*\), takes a file of PEM"
        with pytest.raises(SettingsError, match=line):
            check_authority(f"rediss://:canary@cache?ssl_ca_certs={tmp_path}/{name}")


async def test_a_password__is_used_and_never_told(
    valkey: Valkey, start_instance: StartInstance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "bff")
    # as docs/valkey.md has it: more than this the service never needs
    rules = "on >Canary-1 ~bff:* &bff:* +@all -@admin -@dangerous"
    assert valkey.tell(f"ACL SETUSER bff {rules}") == "+OK"
    scheme = valkey.url.partition(":")[0]
    right = await start_instance(f"{scheme}://bff:Canary-1@127.0.0.1:{valkey.port}")
    run = await right.begin("run", key="key", on_disconnect="cancel")
    other = await start_instance(f"{scheme}://bff:Canary-1@127.0.0.1:{valkey.port}")
    live = asyncio.create_task(other.read(run))
    await other.log.join(run)
    await right.say(run, 2, 3)
    await other.log.request_cancel(run)
    await until(lambda: right.told.cancels != [])
    await right.end(run, 4)
    assert len(await live) == 4
    assert (await other.limiter.take("owner")).remaining == 99
    await right.log.ping()

    wrong = await start_instance(f"{scheme}://bff:Canary-2@127.0.0.1:{valkey.port}")
    with pytest.raises(Overloaded):
        await wrong.log.ping()
    assert "is not there" in caplog.text
    assert "invalid username-password pair" in caplog.text
    assert "Canary" not in caplog.text + repr(right.log) + repr(wrong.log)


async def test_a_server_that_lets_in_and_says_nothing__is_listened_to_when_it_speaks_again(
    own: Valkey, start_instance: StartInstance
) -> None:
    own.tell("ACL SETUSER bff on >word ~* &* +@all")  # who has a password waits for the reply to it
    async with Relay(own.port).serve() as relay:
        relay.silence()
        a = await start_instance(f"redis://bff:word@127.0.0.1:{relay.port}")
        with pytest.raises(Overloaded):
            await a.begin("kept out", key="key")

        relay.accept()
        await until(lambda: "instance" in own.tell("PUBSUB CHANNELS bff:*"))
        await a.die()


async def test_a_cluster_whose_named_node_has_gone__is_found_by_the_others(
    tmp_path_factory: pytest.TempPathFactory, start_instance: StartInstance
) -> None:
    with (
        running_valkey(tmp_path_factory.mktemp("named"), cluster=True) as named,
        running_valkey(tmp_path_factory.mktemp("other"), cluster=True) as other,
    ):
        named.tell("CLUSTER FLUSHSLOTS")  # it knows the way, and has nothing itself
        named.tell(f"CLUSTER MEET 127.0.0.1 {other.port}")
        await until(lambda: f"{other.port}" in named.tell("CLUSTER SLOTS"))
        a = await start_instance(named.url)
        await a.log.ping()
        run = await a.begin("run")

        named.kill()
        other.tell("CLIENT KILL TYPE normal SKIPME yes")
        await a.say(run, 2)

        b = await start_instance(other.url)
        await until(lambda: "up>" in repr(a.log))
        await a.end(run, 3)
        assert len(await b.read(await b.find(run))) == 3


async def test_a_slow_server__is_as_good_as_gone_until_it_is_quick_again(
    own: Valkey, start_instance: StartInstance
) -> None:
    async with Relay(own.port).serve() as relay:
        instance = await start_instance(relay.url)
        run = await instance.begin("run")
        relay.delay = 20
        await instance.say(run, 2)
        async with asyncio.timeout(20):  # were each to wait, it would be twice as long
            for id in range(3, 50):
                await instance.say(run, id)
                assert (await instance.limiter.take("owner")).limit == 100
            with pytest.raises(Overloaded):
                await instance.log.ping()

        relay.delay = 0.0
        async with asyncio.timeout(30):
            while True:
                with suppress(Overloaded):
                    await instance.log.ping()
                    break
                await asyncio.sleep(0.02)
        other = await start_instance(own.url)
        await instance.end(run, 50)
        assert [item.id for item in await other.read(run)] == list(range(1, 51))
        await instance.die()


async def test_something_else_on_the_port__is_no_server(start_instance: StartInstance) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with tcp_server(answer) as port:
        instance = await start_instance(f"redis://127.0.0.1:{port}")
        with pytest.raises(Overloaded):
            await instance.log.ping()
        await instance.say(await instance.begin("run"), 2, 3)


def hold_up(seconds: float) -> None:
    """Keep the event loop from doing anything else."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def test_a_reply_that_a_busy_process_has_not_read_yet__is_waited_for() -> None:
    async def burst() -> None:
        while True:
            hold_up(0.009)
            await asyncio.sleep(0)

    async def reply() -> str:
        for _ in range(8):  # what it takes to send a call and to read what came back
            await asyncio.sleep(0)
        return "reply"

    async def silence() -> None:
        await asyncio.get_running_loop().create_future()

    busy = asyncio.create_task(burst())
    try:
        assert await within(0.05, reply()) == "reply"
        with pytest.raises(TimeoutError):
            await within(0.05, silence())
    finally:
        busy.cancel()
