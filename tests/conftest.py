"""What tests of several rooms need: an AWS on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from botocore.loaders import create_loader
from moto.server import ThreadedMotoServer

LOADER = create_loader()


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of a moto server: it keeps the wire of DynamoDB, S3 and Memory's events."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
