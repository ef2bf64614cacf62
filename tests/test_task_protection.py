from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bff.api import RUNS
from bff.app import create_app
from bff.settings import Settings
from bff.task_protection import (
    BREAK_SECONDS,
    EXPIRES_MINUTES,
    PATH,
    RENEW_SECONDS,
    TaskProtection,
)
from bff.telemetry.metrics import Meter

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def protection(clock: Clock, *, longest: float = HOUR) -> TaskProtection:
    return TaskProtection(Meter(), longest_seconds=longest, clock=clock)


def end(task: TaskProtection) -> None:
    task.run_ended("agent", "complete", None, 1)


# When it is told what ----------------------------------------------------------------------------


def test_protection__is_for_as_long_as_runs_are_open() -> None:
    task = protection(Clock())

    assert task.due() is None
    task.run_started()
    assert (task.due(), task.due()) == (True, None)
    task.run_started()
    end(task)
    assert task.due() is None
    end(task)
    assert (task.due(), task.due()) == (False, None)
    assert task.wait_seconds() is None


def test_protection__is_renewed_before_it_expires() -> None:
    clock = Clock()
    task = protection(clock)
    task.run_started()
    assert task.due() is True

    assert task.wait_seconds() == RENEW_SECONDS < EXPIRES_MINUTES * 60
    clock.now += RENEW_SECONDS
    assert (task.due(), task.due()) == (True, None)


def test_protection__of_a_busy_task_is_broken_once_a_runs_length() -> None:
    clock = Clock()
    task = protection(clock, longest=200)
    task.run_started()
    assert task.due() is True

    assert task.wait_seconds() == 200
    clock.now += 200
    assert task.due() is False
    assert task.wait_seconds() == BREAK_SECONDS
    clock.now += BREAK_SECONDS
    assert task.due() is True


def test_protection__ends_with_the_drain() -> None:
    task = protection(Clock())
    task.run_started()
    assert task.due() is True

    task.drain()

    assert (task.due(), task.due()) == (False, None)
    task.run_started()
    assert task.due() is None


def test_observer__is_told_all_the_same() -> None:
    meter = Meter()
    task = TaskProtection(meter, longest_seconds=HOUR)

    task.run_started()
    task.run_spoke("agent", 0.1)
    task.history_failed()
    task.run_started()
    end(task)

    assert meter.registry.get_sample_value("bff_open_runs") == 1
    assert meter.registry.get_sample_value("bff_history_failures_total") == 1
    assert repr(task) == "<TaskProtection off, 1 runs>"


@dataclass
class EcsTask:
    """A task as ECS has it: stopped only when it is not protected; cuts what is open then."""

    task: TaskProtection
    protected_until: float = 0.0
    runs: list[float] = field(default_factory=list)
    """When each open run will end."""

    def step(self, now: float) -> None:
        for ended in [at for at in self.runs if at <= now]:
            self.runs.remove(ended)
            end(self.task)
        told = self.task.due()
        if told is not None:
            self.protected_until = now + EXPIRES_MINUTES * 60 if told else now


def test_rolling_restarts__cut_no_run_of_half_an_hour() -> None:
    clock, cut, finished = Clock(), 0, 0
    tasks = [EcsTask(protection(clock)) for _ in range(2)]
    for restart in range(3):
        old, tasks = tasks, [EcsTask(protection(clock)) for _ in range(2)]
        for n, task in enumerate(old):
            for started in range(3):
                task.runs.append(clock.now + 1800 + 60 * (n + started + restart))
                task.task.run_started()
            task.step(clock.now)
        waiting = list(old)  # the new ones get whatever comes from now on
        while waiting:
            clock.now += 30
            for task in old:
                task.step(clock.now)
            for task in [task for task in waiting if task.protected_until <= clock.now]:
                cut += len(task.runs)
                finished += 3 - len(task.runs)
                waiting.remove(task)

    assert (cut, finished) == (0, 18)


# The agent beside the task -----------------------------------------------------------------------


class EcsAgent:
    """What `$ECS_AGENT_URI` answers with."""

    def __init__(self, status: int = 200, answer: dict[str, Any] | None = None) -> None:
        self.status = status
        self.answer = answer or {"protection": {}}
        self.told: list[dict[str, Any]] = []
        self.heard = asyncio.Condition()

    async def put(self, request: web.Request) -> web.Response:
        async with self.heard:
            self.told.append(await request.json())
            self.heard.notify_all()
        return web.json_response(self.answer, status=self.status)

    async def after(self, calls: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(30), self.heard:
            await self.heard.wait_for(lambda: len(self.told) >= calls)
            return self.told


@asynccontextmanager
async def serving(
    agent: EcsAgent, **more: Any
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    endpoint = web.Application()
    endpoint.router.add_put(f"/api/task{PATH}", agent.put)
    async with TestServer(endpoint) as server:
        settings = Settings.load(
            {
                "HISTORY": "sqlite:///unused.db",
                "API_KEYS": "me:secret",
                "ECS_AGENT_URI": str(server.make_url("/api/task")),
                **more,
            }
        )
        async with TestClient(TestServer(create_app(settings))) as client:
            yield client


async def chat(client: TestClient[web.Request, web.Application], message: str) -> int:
    reply = await client.post(
        "/v1/chat", json={"message": message}, headers={"X-API-Key": "secret"}
    )
    return reply.status


async def test_run__protects_its_task_until_it_ends(tmp_path: Any) -> None:
    agent = EcsAgent()
    async with serving(agent, HISTORY=f"sqlite:///{tmp_path}/bff.db") as client:
        assert agent.told == []
        assert await chat(client, "/slow 3") == 200
        told = await agent.after(2)

    assert told == [
        {"ProtectionEnabled": True, "ExpiresInMinutes": EXPIRES_MINUTES},
        {"ProtectionEnabled": False},
    ]


async def test_drain__gives_protection_up_while_runs_go_on(tmp_path: Any) -> None:
    agent = EcsAgent()
    async with serving(agent, HISTORY=f"sqlite:///{tmp_path}/bff.db") as client:
        running = asyncio.create_task(chat(client, "/slow 30"))
        await agent.after(1)
        assert client.app is not None
        client.app[RUNS].drain_begun.set()

        told = await agent.after(2)
        assert not running.done()
        assert await running == 200

    assert told[1] == {"ProtectionEnabled": False}


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (200, {"failure": {"Reason": "TASK_NOT_VALID", "Arn": "x"}}, "TASK_NOT_VALID"),
        (500, {"error": {"Code": "ServerException"}}, "500"),
    ],
)
async def test_agent__that_refuses_is_reported_once_and_stops_nothing(
    tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
    status: int,
    answer: dict[str, Any],
    why: str,
) -> None:
    agent = EcsAgent(status, answer)
    caplog.set_level(logging.WARNING, "bff.task_protection")
    async with serving(agent, HISTORY=f"sqlite:///{tmp_path}/bff.db") as client:
        assert await chat(client, "hello") == 200
        await agent.after(2)
        assert await chat(client, "hello") == 200

    said = [r.getMessage() for r in caplog.records if r.name == "bff.task_protection"]
    assert len(said) == 1
    assert why in said[0]


async def test_off__asks_nobody(tmp_path: Any) -> None:
    agent = EcsAgent()
    more = {"HISTORY": f"sqlite:///{tmp_path}/bff.db", "PROTECT_OPEN_RUNS": "false"}
    async with serving(agent, **more) as client:
        assert await chat(client, "hello") == 200

    assert agent.told == []
