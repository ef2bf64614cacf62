"""Keeps ECS from stopping a task that has open runs.

A run may take an hour; scaling in and deployments stop a task after minutes, whatever it does. ECS
leaves a protected task alone, and a task protects itself by asking the agent beside it:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

Protected only while runs are open, for a few minutes at a time and renewed; never longer in one
piece than a run may take, or a busy task would hold up a deployment for ever. The drain ends it.
Nothing waits for it: where the agent does not answer, runs go on as they would without it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp

from bff.runs.dependencies import RunObserver
from bff.runs.log import Status
from bff.settings import Settings
from bff.tasks import end_tasks

logger = logging.getLogger(__name__)

PATH = "/task-protection/v1/state"
EXPIRES_MINUTES = 10
"""A task that hangs stays protected for no longer."""
RENEW_SECONDS = EXPIRES_MINUTES * 60 / 2
PAUSE_SECONDS = 1.0
"""Between two calls, however often runs begin and end."""
BREAK_SECONDS = 60.0
"""Unprotected after a whole run's length of protection; a deployment that waits goes on then."""
ANSWER_SECONDS = 5.0

Put = Callable[[bool], Awaitable[bool]]
"""Switches the protection on or off; true if the ECS agent confirmed."""


class TaskProtection:
    """A `RunObserver` that passes calls on, counts open runs and requests protection by that."""

    def __init__(
        self,
        observer: RunObserver,
        *,
        longest_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._longest_seconds = longest_seconds
        self._clock = clock
        self._open = 0
        self._changed = asyncio.Event()
        self._since: float | None = None
        """When protection began that has not been broken since."""
        self._renew_at = math.inf
        self._break_until = -math.inf
        self._draining = False

    def __repr__(self) -> str:
        return f"<TaskProtection {'off' if self._since is None else 'on'}, {self._open} runs>"

    # RunObserver

    def run_started(self) -> None:
        self._observer.run_started()
        self._open += 1
        if self._open == 1:
            self._changed.set()

    def run_spoke(self, agent: str, seconds: float) -> None:
        self._observer.run_spoke(agent, seconds)

    def run_ended(self, agent: str, status: Status, code: str | None, seconds: float) -> None:
        self._observer.run_ended(agent, status, code, seconds)
        self._open -= 1
        if self._open == 0:
            self._changed.set()

    def history_failed(self) -> None:
        self._observer.history_failed()

    # Requests to the ECS agent

    def drain(self) -> None:
        """From now on ECS may stop this task: it is being stopped already."""
        self._draining = True
        self._changed.set()

    def due(self) -> bool | None:
        """What to request now, None for nothing; the state changes as if it had been requested."""
        now = self._clock()
        if self._since is not None and now - self._since >= self._longest_seconds:
            self._break_until = now + BREAK_SECONDS
        if not self._open or self._draining or now < self._break_until:
            was_on, self._since, self._renew_at = self._since is not None, None, math.inf
            return False if was_on else None
        if self._since is None:
            self._since = now
        elif now < self._renew_at:
            return None
        self._renew_at = now + RENEW_SECONDS
        return True

    def wait_seconds(self) -> float | None:
        """Until something is due though no run begins or ends; None for never."""
        now = self._clock()
        if self._since is not None:
            return max(0.0, min(self._renew_at, self._since + self._longest_seconds) - now)
        return self._break_until - now if now < self._break_until else None

    async def follow(
        self, put: Put, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Send requests until cancelled; a failed one is repeated with the next."""
        while True:
            self._changed.clear()
            protect = self.due()
            if protect is not None:
                if not await put(protect) and protect:
                    self._renew_at = self._clock() + BREAK_SECONDS
                await sleep(PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.wait_seconds()):
                    await self._changed.wait()


def observer_for(settings: Settings, observer: RunObserver) -> RunObserver:
    """The observer of the runs: `observer` itself where there is no ECS agent."""
    if settings.ecs_agent_uri is None or not settings.protect_open_runs:
        return observer
    return TaskProtection(observer, longest_seconds=settings.agent_streaming_timeout_seconds)


@asynccontextmanager
async def protecting(
    observer: RunObserver, settings: Settings, drain_begun: asyncio.Event
) -> AsyncIterator[None]:
    """Tells the agent meanwhile, if `observer_for` found that there is one."""
    if not isinstance(observer, TaskProtection) or settings.ecs_agent_uri is None:
        yield
        return
    protection = observer

    async def drained() -> None:
        await drain_begun.wait()
        protection.drain()

    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        put = EcsAgent(session, settings.ecs_agent_uri.rstrip("/") + PATH)
        tasks = [asyncio.create_task(protection.follow(put)), asyncio.create_task(drained())]
        try:
            yield
        finally:
            await end_tasks(*tasks)


class EcsAgent:
    """The ECS agent's endpoint for this task; says once what is wrong with it."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._complained = False

    async def __call__(self, protect: bool) -> bool:
        body: dict[str, object] = {"ProtectionEnabled": protect}
        if protect:
            body["ExpiresInMinutes"] = EXPIRES_MINUTES
        try:
            async with self._session.put(self._url, json=body) as reply:
                status = reply.status
                answer = await reply.json(content_type=None) if status < 400 else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return self._failed(type(error).__name__)
        failure = answer.get("failure") or answer.get("error") if isinstance(answer, dict) else None
        if status >= 400 or failure:
            reason = failure.get("Reason") if isinstance(failure, dict) else None
            return self._failed(f"{reason or status}")
        self._complained = False
        logger.debug("task protection is %s", "on" if protect else "off")
        return True

    def _failed(self, why: str) -> bool:
        if not self._complained:
            logger.warning("the ECS agent did not change this task's protection (%s)", why)
        self._complained = True
        return False
