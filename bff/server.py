"""Serving an application on a socket: time limits on connections, signals, the drain, the exit.

The steps of stopping are in docs/operations.md; the time limits of aiohttp's own runner are longer
than a container is given (a SIGTERM would end as a SIGKILL), hence this one.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from aiohttp import http_parser, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from bff.api import REQUEST_ID, RUNS
from bff.app import create_app
from bff.errors import PROBLEM_JSON, BadRequest, Internal, Problem, RequestTimeout
from bff.events import dumps
from bff.settings import (
    HEADERS_TIMEOUT_SECONDS,
    IDLE_CONNECTION_SECONDS,
    STOP_GRACE_SECONDS,
    WRITE_TIMEOUT_SECONDS,
    Settings,
)
from bff.telemetry.logs import open_logs
from bff.workers import BACKLOG, Shared, cannot_listen, open_port, run_workers

logger = logging.getLogger(__name__)

REFUSED_BODY_SECONDS = 10.0
"""What comes of a body that is refused is read for so long and thrown away. A client that is still
sending would see a broken connection, and not the refusal, if it ended earlier."""
LATE_BODY_SECONDS = 2.0
"""The same for a body that was late: its client has had its time."""
LAST_SECONDS = 0.5
"""Between the time limit of an orderly stop and that of any."""
MAX_HEADER_BYTES = 32 * 1024
"""For one header: more than the longest token, so that a longer one is a 401 and not a 400."""
READ_AHEAD_BYTES = 16 * 1024
"""From twice as much on, a connection is not read before its body is: what a system call brings at
once is 256 KiB, and of two that wait an upload would hold half a megabyte."""


def run(settings: Settings) -> int:
    """Serve until a signal, drain, and return the exit code."""
    if settings.workers == 1:
        return _run(settings)
    return run_workers(settings, open_port(settings), lambda shared: _run(settings, shared))


def _run(settings: Settings, shared: Shared | None = None) -> int:
    with asyncio.Runner(debug=settings.debug, loop_factory=loop_factory()) as runner:
        return runner.run(serve(settings, shared))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, or None for asyncio's own: there is no uvloop for Windows and none for PyPy."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(settings: Settings, shared: Shared | None = None) -> int:
    """As `run`, on the loop that runs already; `shared` is what a worker has of the others."""
    with open_logs(settings, lock=shared.log_lock if shared else None):
        return await _serve(settings, shared)


async def _serve(settings: Settings, shared: Shared | None) -> int:
    if getattr(http_parser, "HttpRequestParserC", None) is None:
        logger.critical("aiohttp runs without its C parser; install a wheel, not the sources")
        return 1
    stopping, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, stopping, hurry)
    if shared:
        loop.add_reader(shared.first, _first_has_gone, loop, shared.first, stopping)
    runner = Runner(create_app(settings), idle_seconds=settings.idle_connection_seconds)
    over_at: float | None = None
    try:
        await runner.setup()
        try:
            sites: list[web.BaseSite] = (
                [web.SockSite(runner, listening, backlog=BACKLOG) for listening in shared.port]
                if shared
                else [web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG)]
            )
            for site in sites:
                await site.start()
        except OSError as error:
            raise cannot_listen(settings, error) from None
        _collect_less_often()
        host, port = runner.addresses[0][:2]
        announce(settings, host, port)
        await stopping.wait()
        over_at = await drain(runner.app, settings, hurry)
        _exit_in(over_at + STOP_GRACE_SECONDS + LAST_SECONDS - loop.time())
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout_at((over_at or loop.time()) + STOP_GRACE_SECONDS):
                await runner.cleanup()
    return 0


def _first_has_gone(loop: asyncio.AbstractEventLoop, first: int, stopping: asyncio.Event) -> None:
    loop.remove_reader(first)
    stopping.set()


def _exit_in(seconds: float) -> None:
    """End the process then, though a thread of it is still waiting: for a lock of a file, a name.

    Python itself waits for its threads without any limit.
    """
    last = threading.Timer(seconds, os._exit, (0,))
    last.daemon = True
    last.start()


def _collect_less_often() -> None:
    """Keep the garbage collector from looking at the same things again and again.

    What there is by now stays to the end. By default a look is due every 700 objects, several times
    a request, and finds next to nothing: what a request leaves behind is counted, not collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _on_signal(number: int, stopping: asyncio.Event, hurry: asyncio.Event) -> None:
    """The first signal drains; a second SIGINT, a person's, ends at once. SIGTERM twice is once."""
    if number == signal.SIGINT and stopping.is_set():
        hurry.set()
    stopping.set()


async def drain(app: web.Application, settings: Settings, hurry: asyncio.Event) -> float:
    """Let open runs end and their clients read the end; new ones are refused meanwhile.

    Returns when the time for that was over, by the event loop's clock.
    """
    runs, now = app[RUNS], asyncio.get_running_loop().time
    began = now()
    runs.drain_begun.set()
    logger.info(
        "draining: %d open runs, %g s at most", runs.open_count, settings.drain_timeout_seconds
    )
    draining = asyncio.create_task(runs.drain(settings.drain_timeout_seconds))
    hurrying = asyncio.create_task(hurry.wait())
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    over_at = min(now(), began + settings.drain_timeout_seconds)
    if not draining.done():
        draining.cancel()
        await runs.drain(0)
    hurrying.cancel()
    logger.info("drained")
    return over_at


def announce(settings: Settings, host: str, port: int) -> None:
    """Tell where the service is, and in `local` how to talk to it."""
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    logger.info("event loop: %s", type(asyncio.get_running_loop()).__module__.partition(".")[0])
    logger.info("listening on %s", address)
    if not settings.made_up_key:
        return
    lines = [
        "",
        "Paste this into another terminal:",
        "",
        f"  curl -N {address}/v1/chat/stream -H 'X-API-Key: {settings.made_up_key}' \\",
        "    -H 'Content-Type: application/json' -d '{\"message\": \"What is 15 * 23?\"}'",
        "",
    ]
    if settings.playground:
        lines += [f"or open {address}/ in a browser.", ""]
    print("\n".join(lines), flush=True)


class Connection(RequestHandler):
    """aiohttp's connection, but for three things: a head that does not arrive is answered with
    408, what aiohttp itself refuses with a problem document, and a reply that is not read is cut.
    """

    __slots__ = (
        "_arriving",
        "_head_seconds",
        "_head_timer",
        "_left_before",
        "_reply_timer",
        "_replying",
        "_trailing",
        "_write_seconds",
    )

    def __init__(
        self, *args: Any, head_seconds: float, write_seconds: float, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._head_seconds = head_seconds
        self._write_seconds = write_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._reply_timer: asyncio.TimerHandle | None = None
        self._replying = False
        self._left_before: int | None = None
        self._arriving: Callable[[int], bool] | None = None
        """Told how much has come for a WebSocket; false if that is to be passed over."""
        self._trailing = False
        """What came last may have ended in the middle of a head."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._arriving is not None and not self._arriving(len(data)):
            return
        super().data_received(data)
        if data:
            self._trailing = not data.endswith(b"\r\n\r\n")
        if self._messages or self._current_request is not None or self._upgraded:
            self._forget_timer()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_timer()
        if self._reply_timer is not None:
            self._reply_timer.cancel()
        super().connection_lost(exc)

    def upgraded(self, arriving: Callable[[int], bool]) -> None:
        """From here on it is a WebSocket's, which says of all that comes whether it is to be kept.

        The parser goes: it holds a head of which nothing is wanted any more.
        """
        self._arriving = arriving
        self._parser = None

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_seconds, self._head_is_late)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        idle = self._parser and not self._messages and not self._request_in_progress
        if self.transport is not None and idle and not self._is_between_requests():
            headers, body = _to_nobody(RequestTimeout())
            lines = [f"{name}: {value}" for name, value in headers.items()]
            lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
            head = "\r\n".join(["HTTP/1.1 408 Request Timeout", *lines])
            self.transport.write(head.encode() + body)
            self.force_close()

    def _is_between_requests(self) -> bool:
        """Whether the client has begun no further request, which only the parser knows.

        It is given a request of ours to read: behind half a head it could not make this one of it.
        """
        if self._request_count == 0:
            return False
        assert self._parser is not None
        try:
            messages, _, _ = self._parser.feed_data(_PROBE)
        except HttpProcessingError:
            return False
        for _ in messages:
            self._parser.message_consumed()
        return [message.path for message, _ in messages] == [_PROBE_PATH]

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        self._replying, self._left_before = True, None
        if self._reply_timer is None:
            self._watch_reply()
        if isinstance(resp, web.HTTPException) and REQUEST_ID not in request:
            # an `Expect` that aiohttp does not know, which it refuses before any middleware of ours
            resp = _refusal(request, BadRequest())
        if resp.status == RequestTimeout.status:
            self._lingering_time = LATE_BODY_SECONDS
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._replying = False
            if self._trailing and self.transport and not self._messages and not self._head_timer:
                self._await_head()  # of a head that came behind this request, if one has begun

    def _watch_reply(self) -> None:
        """Cut the connection if none of what is left of a reply was taken since the last look.

        One timer serves many replies: a timer for each costs more than most of them need.
        """
        self._reply_timer = None
        if self.transport is None or not self._replying:
            return
        left = self.transport.get_write_buffer_size()
        if self._left_before and left >= self._left_before:
            self.transport.abort()
            return
        self._left_before = left
        self._reply_timer = self._loop.call_later(self._write_seconds / 2, self._watch_reply)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status == 400:
            return _refusal(request, BadRequest())
        super().handle_error(request, status, exc, message)  # logs it, and raises if it is too late
        return _refusal(request, Internal())


_PROBE_PATH = f"/{uuid4().hex}"
_PROBE = f"GET {_PROBE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def _refusal(request: web.BaseRequest, problem: Problem) -> web.Response:
    """What is answered where aiohttp does not hand a request on, or not an answer."""
    headers, body = _to_nobody(problem)
    request[REQUEST_ID] = headers["X-Request-Id"]
    response = web.Response(status=problem.status, body=body, headers=headers)
    response.force_close()
    return response


def _to_nobody(problem: Problem) -> tuple[dict[str, str], bytes]:
    """Headers and body of the answer to a request that could not be read, so has no path or id."""
    request_id = uuid4().hex
    headers = {
        "Content-Type": PROBLEM_JSON,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
    }
    return headers, dumps(problem.document(request_id=request_id, instance="")).encode()


class _Server(web.Server):
    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our connections and time limits."""

    def __init__(
        self,
        app: web.Application,
        *,
        head_seconds: float = HEADERS_TIMEOUT_SECONDS,
        write_seconds: float = WRITE_TIMEOUT_SECONDS,
        idle_seconds: float = IDLE_CONNECTION_SECONDS,
    ) -> None:
        super().__init__(
            app,
            head_seconds=head_seconds,
            write_seconds=write_seconds,
            handler_cancellation=True,  # a handler ends when its client has gone
            auto_decompress=False,  # 1 MB of gzip would stall everyone for two seconds
            access_log=None,
            keepalive_timeout=idle_seconds,
            shutdown_timeout=STOP_GRACE_SECONDS / 4,  # which aiohttp takes twice
            lingering_time=REFUSED_BODY_SECONDS,
            max_field_size=MAX_HEADER_BYTES,
            read_bufsize=READ_AHEAD_BYTES,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )
