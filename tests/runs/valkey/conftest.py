from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.runs.valkey.instances import Instance, instance_on
from tests.runs.valkey.valkey import Valkey, running_valkey

StartInstance = Callable[..., Coroutine[Any, Any, Instance]]


@pytest.fixture(scope="session", params=["single", "cluster"])
def lasting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Valkey]:
    """A server, and a cluster, that lasts for all tests: for those that break nothing."""
    cluster = request.param == "cluster"
    with running_valkey(tmp_path_factory.mktemp("valkey"), cluster=cluster) as server:
        yield server


@pytest.fixture
def valkey(lasting: Valkey) -> Valkey:
    """The lasting server, empty."""
    lasting.tell("FLUSHALL")
    return lasting


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server for one test, which may do to it what it likes."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def start_instance() -> AsyncIterator[StartInstance]:
    """Start instances: `await start_instance(valkey.url)`."""
    async with AsyncExitStack() as stack:

        async def start(url: str, **options: Any) -> Instance:
            return await stack.enter_async_context(instance_on(url, **options))

        yield start
