"""Several processes on one port: what `WORKERS` asks for.

The first process opens the port, starts the others and waits; it serves nobody itself. Each worker
is an instance as any other: what they share is in Valkey, where instances of other machines share
it too. A worker that ends by itself ends them all, so that the supervisor (ECS, systemd) restarts
the service and reports it. docs/operations.md says how many workers a machine should have.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from bff.settings import Settings, SettingsError

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker has from the first process."""

    port: Sequence[socket.socket]
    """On each address of the host that was asked for."""
    first: int
    """The end of a pipe that is at its end when the first process has gone."""
    log_lock: str
    """A file; who has it locked writes to standard output. Longer lines would mix otherwise."""


def open_port(settings: Settings) -> Sequence[socket.socket]:
    """The port, open for all workers."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return [
            socket.create_server(address[:2], family=family, backlog=BACKLOG)
            for family, *_, address in found
        ]
    except OSError as error:
        raise cannot_listen(settings, error) from None


def cannot_listen(settings: Settings, error: OSError) -> SettingsError:
    """Which of the two settings is wrong."""
    if isinstance(error, socket.gaierror) or error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        takes = "an address of this machine, or a name of one"
        return SettingsError("HOST", repr(settings.host), takes)
    got = f"{settings.port} on {settings.host} ({os.strerror(error.errno or 0)})"
    return SettingsError("PORT", got, "one that is free and may be listened on")


def run_workers(
    settings: Settings, port: Sequence[socket.socket], serve: Callable[[Shared], int]
) -> int:
    """Serve from `settings.workers` processes and return the exit code of the worst of them."""
    with ExitStack() as stack:
        for listening in port:
            stack.enter_context(listening)
        log_lock = stack.enter_context(_log_lock())
        first, kept_open = os.pipe()
        group = _Group()
        group.forward_signals()
        for _ in range(settings.workers):
            if not group.fork():
                os.close(kept_open)
                _end(lambda: serve(Shared(port, first, log_lock)))
        os.close(first)
        try:
            return group.wait()
        finally:
            os.close(kept_open)


@contextmanager
def _log_lock() -> Iterator[str]:
    """A file to lock, as a path that the workers can open each for itself.

    In memory where the system has that: a container's file system may not be writable at all.
    """
    if not sys.platform.startswith("linux"):
        with tempfile.NamedTemporaryFile(prefix="bff-log-") as file:
            yield file.name
        return
    descriptor = os.memfd_create("bff-log")
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _end(serve: Callable[[], int]) -> None:
    """Be a worker, and nothing of the first process behind it."""
    code = 1
    try:
        code = serve()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Group:
    """The workers, as the first process sees them."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._stopping = False

    def fork(self) -> bool:
        """Start one; true in the first process."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            pid = os.fork()
            if pid:
                self._pids.add(pid)
                if self._stopping:
                    self._tell(signal.SIGTERM)
                return True
            os.setpgid(0, 0)  # what a terminal sends to all of them is forwarded once
            for number in _FORWARDED:
                signal.signal(number, lambda *_: os._exit(0))  # until it has handlers of its own
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def forward_signals(self) -> None:
        for number in _FORWARDED:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._tell(number)

    def _tell(self, number: int) -> None:
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait(self) -> int:
        """Until the last has ended."""
        worst = 0
        while self._pids:
            pid, status = os.waitpid(-1, 0)
            self._pids.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if not self._stopping:  # by itself, which is wrong whatever its code says
                print(f"worker {pid} ended with {code}; all of them end", file=sys.stderr)
                self._stopping = True
                self._tell(signal.SIGTERM)
                code = code or 1
            worst = worst or (code if code >= 0 else 128 - code)
        return worst


_FORWARDED = (signal.SIGTERM, signal.SIGINT)
