from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bff.api.health import Readiness
from bff.errors import AgentUnavailable
from tests.api.conftest import Start
from tests.fakes.scripted import ListHistory, ScriptedAgent

BROKEN: list[BaseException] = [
    ValueError("private"),
    KeyError("private"),
    ConnectionResetError(),
    RecursionError(),
    asyncio.CancelledError(),
]


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        raise error

    return ping


@pytest.mark.parametrize("error", BROKEN, ids=repr)
async def test_a_check_that_breaks__names_its_dependency(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fine() -> None:
        pass

    readiness = Readiness(
        {"agent": raising(error), "history": raising(AgentUnavailable()), "runs": fine}
    )

    checks = await readiness.checks()

    assert {name: check["status"] for name, check in checks.items()} == {
        "agent": "internal",
        "history": "agent_unavailable",
        "runs": "ok",
    }
    assert f"agent could not be checked: {type(error).__name__}" in caplog.text
    assert "private" not in caplog.text


async def test_ready__is_503_and_names_the_history_that_breaks(start: Start) -> None:
    class Broken(ListHistory):
        async def ping(self) -> None:
            raise ZeroDivisionError

    service = await start(ScriptedAgent(), Broken())

    reply = await service.client.get("/ready")

    assert reply.status == 503
    body = await reply.json()
    assert body["status"] == "unavailable"
    assert body["checks"]["history"]["status"] == "internal"
    assert body["checks"]["agent"]["status"] == "ok"
