"""What the engine finds on its PATH: providers and the language host, all answered by this process.

A plugin is a program that prints the port it listens on and lives until it is killed. Here that
program is a few lines that ask this process for a port, so a run of the engine starts no Python
that has SDKs to import.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    provider_pb2_grpc,
)

from tests.stack.engine.cloud import Cloud
from tests.stack.engine.program import RUN_SECONDS
from tests.stack.engine.provider import StandIn
from tests.stack.engine.shapes import PACKAGES

ROOT = Path(__file__).resolve().parents[3]

PLUGIN = """#!{python} -IS
import signal, socket, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
door = socket.socket(socket.AF_UNIX)
door.connect({door!r})
door.sendall(b"{kind} " + " ".join(sys.argv[1:]).encode() + b"\\n")
print(door.makefile().readline().strip(), flush=True)
sys.stdout.close()
door.recv(1)
"""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """https://github.com/pulumi/pulumi/blob/master/sdk/python/cmd/pulumi-language-python"""

    def __init__(self, runner: str, engine: str) -> None:
        self._runner = runner
        self._engine = engine

    def Handshake(self, request: Any, context: Any) -> Any:
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.0.0")

    def About(self, request: Any, context: Any) -> Any:
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        return language_pb2.GetProgramDependenciesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Any:
        return iter(())

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> Any:
        program = Path(request.info.program_directory) / (request.info.entry_point or ".")
        run = {
            "directory": request.pwd,
            "program": str(program.resolve()),
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "parallel": max(request.parallel, 1),
            "preview": request.dryRun,
            "monitor": request.monitor_address,
            "engine": self._engine,
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
            "environment": {"PULUMI_ROOT_DIRECTORY": request.info.root_directory},
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(RUN_SECONDS)
            connection.connect(self._runner)
            connection.sendall(json.dumps(run).encode() + b"\n")
            answer = connection.makefile().readline()
        if not answer:
            return language_pb2.RunResponse(error="the program ended without an answer")
        return language_pb2.RunResponse(**json.loads(answer))


@contextlib.contextmanager
def program_runner(folder: Path) -> Iterator[str]:
    """The process that runs programs; the socket's path."""
    path = str(folder / "runner")
    arguments = [sys.executable, "-m", "tests.stack.engine.program", path]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield path
        finally:
            process.terminate()


@contextlib.contextmanager
def plugins(folder: Path, runner: str, cloud: Cloud) -> Iterator[Path]:
    """Programs by the engine's names for them, in a folder to be put on PATH."""
    door = str(folder / "door")
    programs = folder / "bin"
    programs.mkdir()
    for kind, name in [
        *((f"resource {package}", f"pulumi-resource-{package}") for package in PACKAGES),
        ("language", "pulumi-language-python"),
        ("language", "pulumi-language-python-exec"),
    ]:
        file = programs / name
        file.write_text(PLUGIN.format(python=sys.executable, door=door, kind=kind))
        file.chmod(0o755)

    def add(words: list[str]) -> Callable[[grpc.Server], None]:
        if words[0] == "language":
            host = LanguageHost(runner, words[-1])
            return lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(
                host, server
            )
        provider = StandIn(words[1], cloud)
        return lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            provider, server
        )

    def answer(connection: socket.socket) -> None:
        """A port for one plugin, for as long as its program lives."""
        with connection:
            words = connection.makefile().readline().split()
            server = grpc.server(ThreadPoolExecutor(16), options=_LARGE)
            add(words)(server)
            connection.sendall(f"{server.add_insecure_port('127.0.0.1:0')}\n".encode())
            server.start()
            with contextlib.suppress(OSError):
                connection.recv(1)
            server.stop(None)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(door)
    listener.listen()
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield programs
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        Path(door).unlink()


_LARGE = [("grpc.max_receive_message_length", 1 << 28), ("grpc.max_send_message_length", 1 << 28)]
