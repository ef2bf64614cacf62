"""What the histories in AWS share: a client made once, errors in our words, work that is owned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, overload

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from bff.errors import Overloaded, Problem
from bff.tasks import end_tasks

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")
W = TypeVar("W")

CHECK_SECONDS = 1.5
"""How long a start waits to look at what it is to use."""
CONNECT_SECONDS = 1.5
READ_SECONDS = 3.0
"""The longest that AWS may say nothing."""
USER_AGENT = "agentcore-bff"
POOL = 50
"""Connections per client; what comes on top waits, within its call's time."""
CLOSE_SECONDS = 2.5
"""How long a shutdown waits for calls in flight."""
SWEEP_GRACE_SECONDS = 1.0
"""How long it then waits for background deletion; the rest resumes with the next read."""

_log = logging.getLogger(__name__)


def open_session(region: str) -> AioSession:
    """What knows credentials and settings, in the environment or in AWS's files."""
    session = get_session()
    session.set_config_variable("region", region)
    return session


@asynccontextmanager
async def open_client(
    service: str, *, region: str, session: AioSession | None = None
) -> AsyncIterator[Any]:
    """A client that repeats a throttled or broken call twice and never waits long for one.

    Every call of a history may be repeated: writes carry a token or a condition.
    """
    config = AioConfig(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=POOL,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent=USER_AGENT,  # botocore's own is put together twice a call, a sixth of its cost
    )
    session = session or open_session(region)
    async with session.create_client(service, config=config) as client:
        yield client


@contextmanager
def translating_aws(what: str) -> Iterator[None]:
    """Any failure of AWS becomes `Overloaded`; the log says which, for the operator."""
    try:
        yield
    except ClientError as error:
        _log.error("%s: AWS refused %s: %s", what, error.operation_name, code_of(error))
        raise Overloaded() from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        _log.error("%s: AWS cannot be reached: %s", what, type(error).__name__)
        raise Overloaded() from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@overload
async def together(one: Awaitable[T], two: Awaitable[U], /) -> tuple[T, U]: ...
@overload
async def together(
    one: Awaitable[T], two: Awaitable[U], three: Awaitable[V], four: Awaitable[W], /
) -> tuple[T, U, V, W]: ...
@overload
async def together(*work: Awaitable[T]) -> Sequence[T]: ...
async def together(*work: Awaitable[Any]) -> Sequence[Any]:
    """Await all of it, and only then raise what went wrong: nothing is left running."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


class Work:
    """Tasks with an owner: calls that go on when their caller leaves, and sweeping behind them."""

    def __init__(self, what: str, call_timeout_seconds: float) -> None:
        self._what = what
        self._call_timeout_seconds = call_timeout_seconds
        self._calls: set[asyncio.Task[Any]] = set()
        self._sweeps: dict[Hashable, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"{len(self._calls)} calls, {len(self._sweeps)} sweeps"

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on to its end, or its time limit, without its caller too."""

        async def bounded() -> T:
            try:
                async with asyncio.timeout(self._call_timeout_seconds):
                    with translating_aws(self._what):
                        return await work
            except TimeoutError as error:
                _log.error("%s: no answer in time", self._what)
                raise Overloaded() from error

        task = asyncio.create_task(bounded())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def sweep(self, key: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background, unless the same is already being done."""
        if key in self._sweeps:
            work.close()
            return

        async def logged() -> None:
            try:
                with translating_aws(self._what):
                    await work
            except Problem:
                _log.warning("%s: sweeping stopped; it goes on at the next look", self._what)
            finally:
                del self._sweeps[key]

        self._sweeps[key] = asyncio.create_task(logged())

    async def close(self) -> None:
        """Wait for calls, then for sweeping, both within bounds; what is left is cancelled."""
        await _end(lambda: list(self._calls), CLOSE_SECONDS)
        await _end(lambda: list(self._sweeps.values()), SWEEP_GRACE_SECONDS)


async def _end(tasks: Callable[[], list[asyncio.Task[Any]]], timeout: float) -> None:
    """Wait for tasks and for those that they start; what is left in the end is cancelled."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    while (left := tasks()) and loop.time() < until:
        await asyncio.wait(left, timeout=until - loop.time())
    await end_tasks(*left)
