"""Histories to ask, each with a real store behind it, and conversations to put into them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from bff.history import History, open_history
from bff.history.agentcore import AgentCoreHistory, open_memory
from bff.history.dynamodb import open_dynamodb
from bff.history.dynamodb.table import create_table
from bff.settings import Settings, SqliteHistory
from tests.fakes.dynamodb import REGION, Proxy
from tests.fakes.history import ListHistory
from tests.fakes.memory import MEMORY_ID, FakeMemory
from tests.history.turns import derive

PATIENT_SECONDS = 30.0
"""What a call to a made-up AWS may take on a machine that is busy."""
Store = Callable[[], AbstractAsyncContextManager[History]]
"""Opens a history; each time the same store, as another task or the next process would."""


@pytest.fixture
def list_store() -> Store:
    history = ListHistory()

    @asynccontextmanager
    async def opened() -> AsyncIterator[History]:
        yield history

    return opened


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    settings = Settings(history=SqliteHistory(str(tmp_path / "new" / "bff.db")))
    return lambda: open_history(settings, derive=derive)


@pytest.fixture(
    params=["list", "sqlite", "dynamodb", "newest_memory", "oldest_memory", "moto_memory"]
)
def store_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def store(request: pytest.FixtureRequest, store_name: str) -> Store:
    found: Store = request.getfixturevalue(f"{store_name}_store")
    return found


@pytest.fixture
async def history(store: Store) -> AsyncIterator[History]:
    async with store() as history:
        yield history


@pytest.fixture
async def dynamodb_store(aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws)
    table = f"bff-{uuid.uuid4().hex[:8]}"
    await create_table(table, region=REGION)
    return lambda: open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS)


@pytest.fixture
async def proxy(
    aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Proxy]:
    proxy = Proxy(aws)
    async with proxy.serve() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", address)
        yield proxy
    assert proxy.wrong == []


@pytest.fixture
async def table(proxy: Proxy) -> str:
    name = f"bff-{uuid.uuid4().hex[:8]}"
    await create_table(name, region=REGION)
    return name


class VirtualTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, wake)


@asynccontextmanager
async def memory_history(
    memory_id: str = MEMORY_ID, *, write: bool = True, time: VirtualTime | None = None
) -> AsyncIterator[AgentCoreHistory]:
    """A history of the memory that the environment leads to; its pace costs no time."""
    time = time or VirtualTime()
    async with open_memory(
        memory_id,
        region="us-west-2",
        write=write,
        derive=derive,
        call_timeout_seconds=PATIENT_SECONDS,
        clock=time.clock,
        sleep=time.sleep,
    ) as history:
        yield history


@pytest.fixture
async def memory(aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeMemory]:
    fake = FakeMemory()
    async with fake.serve() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", address)
        yield fake


@pytest.fixture
def newest_memory_store(memory: FakeMemory) -> Store:
    return memory_history


@pytest.fixture
def oldest_memory_store(memory: FakeMemory) -> Store:
    memory.order, memory.page, memory.empty_pages = "oldest", 3, True
    return memory_history


@pytest.fixture
def moto_memory_store(aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", aws)
    memory_id = f"memory-{uuid.uuid4().hex[:10]}"
    return lambda: memory_history(memory_id)
