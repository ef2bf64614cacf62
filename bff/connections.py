"""aiohttp's server with our time limits on connections, and our words for what it refuses itself.

Its own runner's limits are longer than a container is given: a SIGTERM would end as a SIGKILL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from bff.api import STATE, RequestState
from bff.errors import PROBLEM_JSON, BadRequest, Internal, Problem, RequestTimeout
from bff.events import dumps
from bff.settings import (
    HEADERS_TIMEOUT_SECONDS,
    IDLE_CONNECTION_SECONDS,
    STOP_GRACE_SECONDS,
    WRITE_TIMEOUT_SECONDS,
)

REFUSED_BODY_SECONDS = 10.0
"""What comes of a body that is refused is read for so long and thrown away. A client that is still
sending would see a broken connection, and not the refusal, if it ended earlier."""
LATE_BODY_SECONDS = 2.0
"""The same for a body that was late: its client has had its time."""
MAX_HEADER_BYTES = 32 * 1024
"""For one header: more than the longest token, so that a longer one is a 401 and not a 400."""
READ_AHEAD_BYTES = 16 * 1024
"""From twice as much on, a connection is not read before its body is: what a system call brings at
once is 256 KiB, and of two that wait an upload would hold half a megabyte."""


class Connection(RequestHandler):
    """aiohttp's connection, but for four things: a head that does not arrive is answered with
    408, what aiohttp itself refuses with a problem document, a body that goes wrong is not waited
    for, and a reply that is not read is cut.
    """

    __slots__ = (
        "_arriving",
        "_early",
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
        self._arriving: Callable[[bytes], bool] | None = None
        """Told what has come for a WebSocket; false if that is to be passed over."""
        self._early = False
        """Something came for a WebSocket before it was there."""
        self._trailing = False
        """What came last may have ended in the middle of a head."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self._arriving is not None and not self._arriving(data):
            return
        super().data_received(data)
        if self._arriving is None:
            self._early = bool(self._message_tail)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_body()
        if data:
            self._trailing = not data.endswith(b"\r\n\r\n")
        if self._messages or self._current_request is not None or self._upgraded:
            self._forget_timer()
        elif self._head_timer is None:
            self._await_head()

    def _end_body(self) -> None:
        """Tell who reads a body that what follows is no HTTP: aiohttp lets them wait for more."""
        if len(self._messages) > 1:
            body = self._messages[-2][1]
        elif self._current_request is not None:
            body = self._current_request.content
        else:
            return
        if not body.is_eof() and body.exception() is None:
            self._lingering_time = 0  # for what would follow
            body.set_exception(web.RequestPayloadError("not HTTP"))

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_timer()
        if self._reply_timer is not None:
            self._reply_timer.cancel()
        super().connection_lost(exc)

    def upgraded(self, arriving: Callable[[bytes], bool]) -> bool:
        """From here on it is a WebSocket's, which says of all that comes whether it is to be kept.

        The parser goes: it holds a head of which nothing is wanted any more. False if frames came
        before the client could know that it may send any.
        """
        self._arriving = arriving
        self._parser = None
        return not self._early

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
        if isinstance(resp, web.HTTPException) and STATE not in request:
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
    request[STATE] = RequestState(headers["X-Request-Id"])
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
