"""Several processes on one port, started, cut and stopped as their users would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.runs.valkey.services import START_SECONDS
from tests.runs.valkey.valkey import running_valkey

ROOT = Path(__file__).parent.parent
KEY = "alice-key"
WORKERS = 3


@dataclass
class Served:
    process: Process
    url: str

    @property
    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def exit_code(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    with running_valkey(tmp_path) as valkey:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bff"),
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "PORT": "0",
                "API_KEYS": f"alice:{KEY}",
                "LOG_FORMAT": "json",
                "RATE_LIMIT_REQUESTS": "30",
                "MAX_STREAMS_PER_USER": "100",
                "REDIS_URL": valkey.url,
                "METRICS": "emf",
                "WORKERS": str(WORKERS),
            },
            stdin=DEVNULL,
            stdout=PIPE,
            limit=1 << 20,
        )
        assert process.stdout
        found: set[str] = set()
        listening = 0
        async with asyncio.timeout(START_SECONDS):
            while listening < WORKERS:
                line = await process.stdout.readline()
                assert line, "the service did not start"
                if told := re.search(r"listening on (http://[0-9.:]+)", line.decode()):
                    found.add(told[1])
                    listening += 1
        [url] = found
        children = psutil.Process(process.pid).children()
        yield Served(process, url)
        for child in children:
            if child.is_running():
                child.kill()
        if process.returncode is None:
            process.kill()
        await process.communicate()


def client() -> aiohttp.ClientSession:
    """Of which each request has a connection of its own, and so any worker."""
    connector = aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(headers={"X-API-Key": KEY}, connector=connector)


async def test_workers__are_one_service(served: Served) -> None:
    async with client() as session:

        async def chat(number: int) -> tuple[int, str]:
            body = {"message": "What is 15 * 23?", "session_id": f"session-{number}"}
            async with session.post(f"{served.url}/v1/chat", json=body) as reply:
                return reply.status, reply.headers.get("X-Run-Id", "")

        answered = await asyncio.gather(*[chat(number) for number in range(40)])
        runs = [run for status, run in answered if status == 200]
        known = []
        for run in runs[:3]:
            for _ in range(6):
                async with session.get(f"{served.url}/v1/runs/{run}") as reply:
                    known.append(reply.status)

    served.process.terminate()
    assert served.process.stdout
    told = await served.process.stdout.read()
    assert await served.exit_code() == 0
    # one limit for all, one log of runs, one line of the log at a time
    assert sorted({status for status, _ in answered}) == [200, 429]
    assert len(runs) == 30
    assert set(known) == {200}
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line.get("message") for line in lines].count("drained") == WORKERS


NOTHING_WRITABLE = """
import resource
from bff.settings import Settings
from bff.telemetry.log_writer import LineWriter
from bff.workers import run_workers

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

def serve(shared):
    writer = LineWriter(1, lock=shared.log_lock)
    writer.write("served")
    writer.close()
    return 0

raise SystemExit(run_workers(Settings(workers=1), (), serve))
"""


def test_workers__need_no_file_that_can_be_written() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_WRITABLE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == "served\n", done.stderr


async def test_a_worker_that_ends_by_itself__ends_them_all(served: Served) -> None:
    first, *others = served.workers

    first.kill()

    assert await served.exit_code() == 128 + signal.SIGKILL
    assert not any(other.is_running() for other in others)


async def test_workers__end_when_the_first_process_is_killed(served: Served) -> None:
    workers = served.workers

    served.process.kill()

    await served.exit_code()
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 20)
    assert alive == []
