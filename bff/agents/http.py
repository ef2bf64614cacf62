"""One call of an agent over HTTP: sent once, read as it comes, its failures given our names.

Both agents that are reached over HTTP go through here and differ only in the request they make.
The rule that matters: a request that may have reached the agent is never sent again. aiohttp
repeats only idempotent methods, redirects are not followed, and what is tried again here is only
what did not happen: a connection that never opened, and AgentCore's RetryableConflict.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import field
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from bff.agents import Prompt
from bff.agents.dialects.decoder import Decoder
from bff.errors import (
    AgentFailed,
    AgentThrottled,
    AgentTimeout,
    AgentUnavailable,
    Problem,
)
from bff.events import Event
from bff.frozen import dataclass

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
PIECE_BYTES = 64 * 1024
"""Of a body that is sent in pieces."""
READ_BYTES = 32 * 1024
"""Of an answer that is handled before everybody else has a turn: an agent that has it ready sends
it at once, and what a system call brings of that may be 17,000 events."""
PAUSES_SECONDS = (0.1, 0.5)
"""Before the second and the third attempt at what did not happen."""
MOST_RETRY_AFTER_SECONDS = 300.0

SESSION_HEADER = istr("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id")
"""What aiohttp compares names by, an `istr` has made once."""
USER_HEADER = istr("X-Amzn-Bedrock-AgentCore-Runtime-User-Id")
REQUEST_HEADER = istr("X-Amzn-Bedrock-AgentCore-Runtime-Request-Id")
ACCEPT = "text/event-stream, application/json"
_TRACE_LIMITS = {"traceparent": 128, "tracestate": 512, "baggage": 8192}


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted, and how the log names it."""

    url: URL
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


Advice = Callable[[int], str]
"""What an operator should look at when the agent's side answers this status."""


def open_session(*, keep_connections: bool) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """A client that adds nothing of its own: no cookies, proxies, decompression or pool limit.

    Time limits of a run are its owner's; only connecting has one here.
    """
    connector = aiohttp.TCPConnector(limit=0, force_close=not keep_connections)
    handler: type[ResponseHandler] = _Connection
    connector._factory = partial(handler, loop=asyncio.get_running_loop())
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "agentcore-bff"},
    )


class _Connection(ResponseHandler):
    """aiohttp's connection, but that whoever reads a body is told when it cannot go on.

    aiohttp closes the connection where what comes is not framed as HTTP is, and lets the reader of
    the body wait for more.
    """

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc if exc_cause is None else exc_cause)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the rest of the answer is not HTTP"))


def headers(prompt: Prompt) -> dict[str, str]:
    """What every call says about itself."""
    found = {**_FIXED_HEADERS, SESSION_HEADER: prompt.session_id}
    if prompt.user_id:
        found[USER_HEADER] = prompt.user_id
    found.update(prompt.headers)
    for name, value in prompt.trace.items():
        if _fits(value, _TRACE_LIMITS.get(name, 0)):
            found[name] = value
    return found


_FIXED_HEADERS: Mapping[str, str] = {
    hdrs.CONTENT_TYPE: "application/json",
    hdrs.ACCEPT: ACCEPT,
}


def _fits(value: str, most: int) -> bool:
    return 0 < len(value) <= most and value.isascii() and value.isprintable()


async def stream(
    session: aiohttp.ClientSession,
    prepare: Callable[[], Awaitable[Request]],
    advice: Advice,
    pauses: Sequence[float] = PAUSES_SECONDS,
) -> AsyncGenerator[Sequence[Event], None]:
    """Post once and yield the answer's events; `prepare` makes the request, anew per attempt."""
    response = await _answered(session, prepare, advice, pauses)
    del prepare, advice  # and with them the request, which may be megabytes of conversation
    try:
        decoder = Decoder(response.headers.get(hdrs.CONTENT_TYPE, ""))
        _forget_heads(response)
        chunk = b""
        while chunk := chunk[READ_BYTES:] or await response.content.readany():
            yield decoder.feed(chunk[:READ_BYTES])
            if decoder.failure:
                break
            if len(chunk) > READ_BYTES:
                await asyncio.sleep(0)
        else:
            yield decoder.end()
        if logger.isEnabledFor(logging.DEBUG):
            read_as = ", ".join(decoder.dialects) or "nothing"
            logger.debug("the agent's answer was read as %s", read_as)
        if decoder.failure:
            logger.error("agent failed: %s", decoder.failure)
            raise AgentFailed(answered=True, agent_called=True)
    except (aiohttp.ClientError, OSError) as error:
        raise _broken(error) from error
    finally:
        if not response.closed:  # as it is once all has come
            response.close()  # not release: whatever the agent still sends, nobody wants it


async def _pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    """A large body as the agent's side takes it, so that it is not buffered whole once more."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]


async def _answered(
    session: aiohttp.ClientSession,
    prepare: Callable[[], Awaitable[Request]],
    advice: Advice,
    pauses: Sequence[float],
) -> aiohttp.ClientResponse:
    """The response whose body is the answer; anything else raises."""
    waits = iter(pauses)
    while True:
        request = await prepare()
        try:
            response = await session.post(
                request.url,
                data=_pieces(request.body) if len(request.body) > PIECE_BYTES else request.body,
                headers={**request.headers, hdrs.CONTENT_LENGTH: str(len(request.body))},
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:  # raised only before anything was sent
            pause = next(waits, None)
            if pause is None:
                logger.error("agent unreachable at %s: %s", request.url, type(error).__name__)
                raise AgentUnavailable from error
        except aiohttp.ConnectionTimeoutError as error:
            logger.error("agent unreachable at %s: no connection in time", request.url)
            raise AgentUnavailable from error
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error) from error
        else:
            encoding = response.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
            if 200 <= response.status < 300 and encoding in _UNCOMPRESSED:
                return response
            response.close()
            pause = next(waits, None) if _did_not_happen(response) else None
            if pause is None:
                raise _refused(response, advice)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))


def _forget_heads(response: aiohttp.ClientResponse) -> None:
    """Let go of what was asked with and answered with: an answer may go on for an hour, and these
    are 3 KiB. aiohttp has no way to say so."""
    response._request_info = response._request_info._replace(headers=_NONE)
    response._headers, response._raw_headers = _NONE, ()
    response._cache.clear()


_NONE: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())


_UNCOMPRESSED = frozenset({"", "identity", "none", "utf-8"})
"""What servers write where nothing is compressed; only the first two are HTTP's own words."""


def _did_not_happen(response: aiohttp.ClientResponse) -> bool:
    """Whether the service says it never started the call (its model marks this one retryable)."""
    kind = response.headers.get("x-amzn-ErrorType", "")
    return response.status == 409 and kind.startswith("RetryableConflict")


def _kept_out(response: aiohttp.ClientResponse) -> bool:
    """Whether AWS itself refused the call: what an agent there answers comes as 424."""
    own = response.status in (402, 403, 404, 429) and "x-amzn-ErrorType" in response.headers
    return own or _did_not_happen(response)


def _refused(response: aiohttp.ClientResponse, advice: Advice) -> Problem:
    """Our error for a status that is no answer. The body stays unread: it may quote the user."""
    status = response.status
    logger.error(
        "agent answered %d%s: %s%s",
        status,
        _labelled(response, " ", "x-amzn-ErrorType"),
        advice(status),
        _labelled(response, "; AWS request id ", "x-amzn-RequestId"),
    )
    unheard = _kept_out(response)
    match status:
        case 429:
            wait = retry_after_seconds(response.headers.get("Retry-After"), time.time())
            return AgentThrottled(agent_called=True, unheard=unheard, retry_after_seconds=wait)
        case 401 | 402 | 403 | 404 | 405 | 409 | 503:
            return AgentUnavailable(agent_called=True, unheard=unheard)
        case 408 | 504:
            return AgentTimeout(agent_called=True)
        case _ if 300 <= status < 400:
            return AgentUnavailable(agent_called=True)
    return AgentFailed(answered=True, agent_called=True)


def advise(status: int) -> str | None:
    """What to do about the statuses that mean the same whoever answers them."""
    match status:
        case 400:
            return "it refuses our request; compare AGENT_PAYLOAD with what the agent reads"
        case 429:
            return "it has more to do than its quota allows"
        case 408 | 504:
            return "it took too long"
        case _ if 200 <= status < 300:
            return "it sent a compressed body though we asked for none"
        case _ if 300 <= status < 400:
            return "redirects are not followed; configure the final address"
    return None


def _labelled(response: aiohttp.ClientResponse, label: str, header: str) -> str:
    value = response.headers.get(header, "").partition(":")[0]
    return label + value if re.fullmatch(r"[\w.-]{1,80}", value) else ""


def retry_after_seconds(value: str | None, now: float) -> float:
    """Seconds from a `Retry-After` in either form, bounded; some if it says nothing."""
    seconds = 2.0
    if value and re.fullmatch(r"[0-9]{1,9}", value.strip()):
        seconds = float(value)
    elif value:
        with suppress(ValueError, OverflowError):
            seconds = parsedate_to_datetime(value).timestamp() - now
    return min(max(seconds, 1.0), MOST_RETRY_AFTER_SECONDS)


def _broken(error: Exception) -> Problem:
    """Our error for a connection that broke once the request may have been read."""
    logger.error("the connection to the agent broke: %s", type(error).__name__)
    if isinstance(error, TimeoutError):
        return AgentTimeout(agent_called=True)
    return AgentFailed(agent_called=True)


async def ping(session: aiohttp.ClientSession, url: str) -> None:
    """Return if a GET of that address is answered with success."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            response = await session.get(URL(url, encoded=True), allow_redirects=False)
            response.close()
    except (aiohttp.ClientError, OSError) as error:
        raise AgentUnavailable from error
    if not 200 <= response.status < 300:
        raise AgentUnavailable
