"""The processes of a measurement: started on free ports, counted by /proc, ended by their group.

A front is measured from outside, with all of its threads and children, so that no way to spread the
work over them is cheaper than it looks.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
import psutil
import uvloop

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0
"""LiteLLM takes twenty of them on two busy cores."""
STOP_SECONDS = 6.0
TELL_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def allow_many_connections() -> None:
    """Raise this process's limit of open files, and so its children's, as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


def run(work: Coroutine[object, object, T]) -> T:
    """Do it, and let it end its processes on SIGTERM as it does on Ctrl+C."""

    async def stoppable() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    return uvloop.run(stoppable())


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """This thread, and what it starts meanwhile for good, run on these only; none are all."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Running:
    """A process that answers at an address."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Of its whole tree, since the start; what a child used that has ended is not in it."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        """The same, by process id."""
        return {process.pid: _cpu_seconds(process) for process in self._tree()}

    def memory_kib(self) -> float:
        total = 0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1024

    def own_memory_kib(self) -> float:
        """As a container counts it: what processes share counts once. Linux knows."""
        with suppress(psutil.NoSuchProcess):
            return sum(process.memory_full_info().pss for process in self._tree()) / 1024
        return 0.0

    def _tree(self) -> Iterator[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            yield process
            yield from process.children(recursive=True)
        except psutil.NoSuchProcess:
            return


@dataclass(frozen=True)
class Teller:
    """A process that writes what it counts to a file whenever it gets SIGUSR1."""

    process: Running
    path: Path

    async def read(self) -> str:
        self.path.unlink(missing_ok=True)
        os.kill(self.process.pid, signal.SIGUSR1)
        deadline = time.monotonic() + TELL_SECONDS
        while not self.path.exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.process.name} does not tell what it counts")
            await asyncio.sleep(0.01)
        return self.path.read_text()


def _cpu_seconds(process: psutil.Process) -> float:
    """All threads' time, those that ended included; /proc/PID/stat has it in steps of 10 ms only.

    A process's clock has its number complemented above three bits of kind: clock_getcpuclockid(3).
    """
    with suppress(OSError, psutil.NoSuchProcess):
        if sys.platform == "linux":
            return time.clock_gettime(~process.pid << 3 | 2)
        else:
            times = process.cpu_times()
            return float(times.user + times.system)
    return 0.0


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    folder: Path,
    health: str = "/health",
    checkout: Path = ROOT,
    cores: Collection[int] = (),
) -> AsyncIterator[Running]:
    """Start a process; `{port}` in its command and `PORT` are a free one. What it prints is in
    `folder`, its modules are those of `checkout`, and with `cores` it runs on these only. It and
    its children are ended at the end."""
    port = free_port()
    log = folder / f"{name}.log"
    with log.open("ab") as said, on_cores(cores):
        process = await asyncio.create_subprocess_exec(
            *[word.replace("{port}", str(port)) for word in command],
            env={**environ, "PORT": str(port)},
            cwd=checkout,
            stdout=said,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if not await _healthy(f"http://127.0.0.1:{port}{health}", process):
            raise RuntimeError(f"{name} does not start:\n{_end_of(log)}")
        yield Running(name, port, process.pid)
    finally:
        await _end(process)


async def _healthy(url: str, process: asyncio.subprocess.Process) -> bool:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
        while time.monotonic() < deadline and process.returncode is None:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with client.get(url) as reply:
                    if reply.status == 200:
                        return True
            await asyncio.sleep(0.05)
    return False


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
