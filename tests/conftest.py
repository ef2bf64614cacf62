"""What tests of several rooms need: an AWS on this machine."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from botocore.loaders import create_loader
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.fakes.browser import MISSING, find_chromium

LOADER = create_loader()
TEARDOWN_SECONDS = 120


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of the marker `browser` where there is none."""
    if item.get_closest_marker("browser") and find_chromium() is None:
        pytest.skip(MISSING)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Limit the time of a teardown: for a test that failed nobody else does.

    Both clocks of pyproject.toml stop when a test fails (`pytest_exception_interact`), since it may
    be in a debugger. What hangs then ends its process, with the stacks of all threads.
    """
    stderr = item.config.stash[fault_handler_stderr_fd_key]
    faulthandler.dump_traceback_later(TEARDOWN_SECONDS, file=stderr, exit=True)
    return (yield)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of a moto server: it keeps the wire of DynamoDB, S3 and Memory's events."""
    moto, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serve(environ: dict[str, Any], respond: Any) -> Any:
        """One call at a time: a transaction that fails puts back moto's whole table as it was."""
        with turn:
            return moto(environ, respond)

    server = make_server("127.0.0.1", 0, serve, True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host, port = server.server_address[:2]
    yield f"http://{host!s}:{port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def aws_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that no AWS would take, and no look at what the machine has."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    # reading the service models takes 50 ms a client: once for all tests is enough
    monkeypatch.setattr("botocore.session.create_loader", lambda path: LOADER)
