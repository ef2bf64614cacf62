"""Serving an application on a socket: signals, the drain, the exit.

The steps of stopping are in docs/operations.md.
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

from aiohttp import http_parser, web

from bff.api import RUNS
from bff.app import create_app
from bff.connections import Runner
from bff.settings import STOP_GRACE_SECONDS, Settings
from bff.telemetry.logs import open_logs
from bff.workers import BACKLOG, Shared, cannot_listen, open_port, run_workers

logger = logging.getLogger(__name__)

LAST_SECONDS = 0.5
"""Between the time limit of an orderly stop and that of any."""


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
