"""One open WebSocket: many messages, several runs at once in different sessions.

The frames sent to a client are a run's log, one JSON text frame an event. Everything that is sent
goes through the socket's outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from aiohttp import WSMessage, WSMsgType, web
from pydantic import Field, ValidationError

from bff.api import BODIES, LIMITER, PRINCIPAL, RUNS, SETTINGS, STATE, TELEMETRY
from bff.api.body import Strict, field_errors
from bff.api.chat_request import ChatRequest, conversation_of
from bff.api.named import known_agent
from bff.api.start_run import Asked, start_run
from bff.api.strict_json import parse_json
from bff.api.websocket.arriving import Arriving, Connection, Masks
from bff.api.websocket.outbox import Outbox
from bff.errors import BadRequest, Internal, Invalid, Problem, RateLimited
from bff.events import Record, dumps
from bff.off_loop import LARGE, off_loop
from bff.runs import Follower, Runs
from bff.runs.log import Run
from bff.tasks import end_tasks

logger = logging.getLogger(__name__)

GOING_AWAY, PROTOCOL_ERROR, POLICY, TRY_AGAIN = 1001, 1002, 1008, 1013
TOKEN_EXPIRED, TOO_MANY_REFUSALS = 4401, 4429
EXPIRY_GRACE_SECONDS = 5.0
"""How long a socket outlives its token: half of what clocks may differ by."""
FRAMES, FRAMES_SECONDS = 600, 60.0
"""Frames a client may send besides messages, which have the rate limit. One that is large counts
for each `LARGE` of it."""
FRAMES_AT_ONCE = 32
"""After so many frames everybody else has a turn."""
REFUSALS = 20
"""Messages refused with `rate_limited` in one window, after which the socket is closed."""


class MessageFrame(ChatRequest):
    """What `POST /v1/chat/stream` takes, and the frame's type, which may be left out."""

    type: Literal["message"] = "message"


class RunFrame(Strict):
    type: str
    run_id: Annotated[str, Field(min_length=1, max_length=100)]


class ResumeFrame(RunFrame):
    after: Annotated[int, Field(ge=0, le=10**15)] = 0


class PingFrame(Strict):
    type: str


class _Budget:
    """So many in so many seconds."""

    __slots__ = ("_began", "_limit", "_spent", "_window_seconds")

    def __init__(self, limit: int, window_seconds: float) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._began = float("-inf")
        self._spent = 0

    def spend(self, count: int = 1) -> bool:
        """Count so many; false once the last has been spent."""
        now = time.monotonic()
        if now - self._began >= self._window_seconds:
            self._began, self._spent = now, 0
        self._spent += count
        return self._spent < self._limit


class Socket:
    """One client's WebSocket: what it asked for, which runs it follows, what it is still owed."""

    __slots__ = (
        "_arriving",
        "_draining",
        "_following",
        "_frames",
        "_masks",
        "_outbox",
        "_principal",
        "_refusals",
        "_request",
        "_response",
        "_runs",
        "_session_id",
        "_telemetry",
    )

    def __init__(
        self, request: web.Request, response: web.WebSocketResponse, transport: asyncio.Transport
    ) -> None:
        self._request = request
        self._response = response
        self._runs: Runs = request.app[RUNS]
        self._telemetry = request.app[TELEMETRY]
        self._principal = request[PRINCIPAL]
        self._session_id: str | None = None
        self._following: dict[str, asyncio.Task[None]] = {}
        self._outbox = Outbox(response, transport, slow=self._telemetry.slow_client_cut)
        self._draining = False
        self._arriving = Arriving(request.app[BODIES], self._refuse_arriving)
        self._masks: Masks | None = None
        if isinstance(request.protocol, Connection) and request.protocol.upgraded(self._arrived):
            self._masks = Masks()
        self._frames = _Budget(FRAMES, FRAMES_SECONDS)
        window_seconds = request.app[SETTINGS].rate_limit_window_seconds
        self._refusals = _Budget(REFUSALS, window_seconds)

    def __repr__(self) -> str:
        return f"<Socket follows {len(self._following)} runs>"

    async def serve(self) -> None:
        """Read frames until either side closes or the connection is gone."""
        expiry = None
        if (expires_at := self._principal.expires_at) is not None:
            seconds = max(0.0, expires_at + EXPIRY_GRACE_SECONDS - time.time())
            close = partial(self._outbox.close, TOKEN_EXPIRED, at_once=True)
            expiry = asyncio.get_running_loop().call_later(seconds, close)
        self._telemetry.socket_opened()
        try:
            handled = 0
            async for message in self._response:
                self._arriving.handling = True
                if not self._outbox.closing:
                    await self._on_message(message)
                if message.type in (WSMsgType.PING, WSMsgType.PONG):
                    self._arriving.control_handled(len(message.data))
                else:
                    self._arriving.handled()
                handled += 1
                if handled % FRAMES_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a flood is read from memory, without any waiting
        finally:
            self._telemetry.socket_closed()
            self._arriving.handled()
            if expiry:
                expiry.cancel()
            await end_tasks(*self._following.values())
            await self._outbox.finish()

    # What the client says

    async def _on_message(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT:
                await self._on_text(message.data)
            case WSMsgType.BINARY:
                self._count_frame()
                await self._refuse(BadRequest.of("frame", "must be text"))
            case WSMsgType.PING:
                self._count_frame()
                await self._outbox.pong(message.data)
            case _:
                self._count_frame()

    async def _on_text(self, text: str) -> None:
        try:
            kind, value = await self._parse(text)
            if kind == "message":
                await self._send_message(value, len(text))
            else:
                await self._on_control(kind, value)
        except ValidationError as error:
            await self._refuse(Invalid(errors=field_errors(error)))
        except Problem as problem:
            await self._refuse(problem)
        except Exception:
            logger.exception("a frame could not be handled")
            await self._refuse(Internal())

    async def _parse(self, text: str) -> tuple[str, dict[str, Any]]:
        """A frame's type and fields; all but messages, which have the rate limit, are counted."""
        kind = ""
        try:
            value, size = await off_loop(len(text), lambda: parse_json(text))
            if self._arriving.body is not None:
                self._arriving.body.grow(size)
            if not isinstance(value, dict):
                raise Invalid.of("frame", "must be an object")
            given = value.get("type", "message")
            kind = given if isinstance(given, str) else ""
            return kind, value
        finally:
            if kind != "message":
                self._count_frame(1 + len(text) // LARGE)

    async def _send_message(self, value: dict[str, Any], size: int) -> None:
        allowance = await self._request.app[LIMITER].take(self._principal.id)
        if not allowance.allowed:
            await self._refuse(RateLimited(retry_after_seconds=allowance.retry_after_seconds))
            if not self._refusals.spend():
                self._outbox.close(TOO_MANY_REFUSALS)
            return
        frame = await off_loop(size, lambda: MessageFrame.model_validate(value))
        wanted = Asked(
            conversation=conversation_of(frame),
            name=frame.session_id or self._session_id,
            agent=known_agent(self._request, frame.agent),
            on_disconnect=frame.on_disconnect or "continue",
            streaming=True,
        )
        state = self._request[STATE]
        if self._arriving.body is not None:
            state.body = self._arriving.body
        try:
            follower = await start_run(self._request, wanted)
        finally:
            state.body = state.run = None  # which were of this frame
        self._session_id = follower.run.session_id
        self._follow(follower, after=0)

    async def _on_control(self, kind: str, value: dict[str, Any]) -> None:
        match kind:
            case "cancel":
                run = await self._find(RunFrame.model_validate(value).run_id)
                if run.status == "running":
                    await self._runs.request_cancel(run)
            case "resume":
                frame = ResumeFrame.model_validate(value)
                await self._resume(await self._find(frame.run_id), frame.after)
            case "ping":
                PingFrame.model_validate(value)
                await self._outbox.text('{"event":"pong"}')
            case _:
                message = "must be message, cancel, resume or ping"
                raise Invalid.of("type", message)

    async def _find(self, run_id: str) -> Run:
        return await self._runs.find(self._principal.id, run_id)

    async def _resume(self, run: Run, after: int) -> None:
        try:
            after = run.after(after)
        except ValueError:
            message = f"must be the id of an event of this run, 0 to {run.last_event_id}"
            raise Invalid.of("after", message) from None
        # first the new follower, then the end of the earlier: the run may end with its last one
        follower = await self._runs.follow(run)
        earlier = self._following.get(run.run_id)
        self._session_id = run.session_id
        self._follow(follower, after=after)
        if earlier:
            earlier.cancel()

    def _count_frame(self, count: int = 1) -> None:
        if not self._frames.spend(count):
            self._outbox.close(POLICY, at_once=True)

    # Frames to the client

    def _follow(self, follower: Follower, *, after: int) -> None:
        run = follower.run
        task = asyncio.create_task(self._pass_on(follower, after), name=f"socket {run.run_id}")
        self._following[run.run_id] = task
        self._telemetry.stream_opened()
        # not a context in the task: one that is cancelled before its first step never enters it
        task.add_done_callback(partial(self._left, run))

    def _left(self, run: Run, task: asyncio.Task[None]) -> None:
        self._telemetry.stream_closed()
        self._runs.left(run)
        if self._following.get(run.run_id) is task:
            del self._following[run.run_id]
        if self._draining and not self._following:
            self._outbox.close(GOING_AWAY)

    async def _pass_on(self, follower: Follower, after: int) -> None:
        run_id = follower.run.run_id

        def take(records: Sequence[Record]) -> bool:
            if not self._outbox.has_room:
                return False
            for record in records:
                self._outbox.text_now(frame_of(run_id, record))
            return True

        try:
            async with aclosing(follower.batches(after, take=take)) as batches:
                async for batch in batches:
                    for record in batch:
                        await self._outbox.text(frame_of(run_id, record))
        except Exception:
            logger.exception("run %s could not be followed", run_id)
            await self._refuse(Internal(agent_called=True), run_id=run_id)

    async def _refuse(self, problem: Problem, *, run_id: str | None = None) -> None:
        await self._outbox.text(self._error(problem, run_id))

    def _arrived(self, data: bytes) -> bool:
        """Whether these bytes are to be read as frames."""
        if self._masks is not None and not self._masks.hold(data):
            self._outbox.close(PROTOCOL_ERROR, at_once=True)
            return False
        return self._arriving.received(len(data))

    def _refuse_arriving(self, problem: Problem) -> None:
        """A frame is not to be read any further: there is no room for it, or it takes too long."""
        code = TRY_AGAIN if problem.status == 503 else POLICY
        self._outbox.refuse(self._error(problem), code)

    def _error(self, problem: Problem, run_id: str | None = None) -> str:
        self._telemetry.problem(problem.code)
        request_id, instance = self._request[STATE].request_id, self._request.path
        document = problem.document(request_id=request_id, instance=instance)
        name = {} if run_id is None else {"run_id": run_id}
        return dumps({"event": "error", **name, "data": document})

    def drain(self) -> None:
        """Close when the last of the runs that are followed here has ended."""
        self._draining = True
        if not self._following:
            self._outbox.close(GOING_AWAY)

    @property
    def following(self) -> Collection[asyncio.Task[None]]:
        """What passes on a run to this client, a task for each of them."""
        return self._following.values()

    def close(self) -> None:
        """Close behind what is queued, whatever is followed here."""
        self._outbox.close(GOING_AWAY)


def frame_of(run_id: str, record: Record) -> str:
    """A run's event as a frame; its JSON is the log's own text."""
    return f'{{"event":"{record.name}","id":{record.id},"run_id":"{run_id}","data":{record.data}}}'
