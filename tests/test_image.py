"""The image: its recipe always, and the image itself where docker or podman works."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bff.settings import DEFAULT_PORT
from stack.task import HEALTH_CHECK, USER

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and line[0] != "#"
]
BASE = "docker.io/library/python:3.13-slim-bookworm"
TAG = "localhost/agentcore-bff:under-test"
ADDED_MIB = 150
"""What we may put on top of the base."""


def instruction(name: str) -> str:
    """The last instruction of that name, without it."""
    return [line for line in INSTRUCTIONS if line.split()[0] == name][-1].partition(" ")[2].strip()


# The recipe -------------------------------------------------------------------------------------


def test_recipe__no_syntax_line_that_a_closed_network_could_not_fetch() -> None:
    assert "syntax=" not in DOCKERFILE.splitlines()[0]


def test_recipe__base_is_the_one_tested() -> None:
    python = instruction("ARG").removeprefix("PYTHON=")

    froms = [line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")]
    assert {name.replace("${PYTHON}", python) for name in froms} == {BASE}


def test_recipe__hashed_wheels_only() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "--only-binary :all:" in DOCKERFILE


def test_recipe__exec_form_user_and_port_as_the_stack_says() -> None:
    assert json.loads(instruction("CMD")) == ["python", "-m", "bff"]
    assert instruction("USER") == USER
    assert instruction("EXPOSE") == str(DEFAULT_PORT)
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_recipe__context_holds_nothing_but_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = {
        source.removeprefix("./")
        for line in INSTRUCTIONS
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied


# The image --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Engine:
    command: list[str]
    limits: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, check: bool = True, seconds: int = 60) -> str:
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                capture_output=True,
                text=True,
                timeout=seconds,
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired:
            if check:
                raise
            return ""
        if check and done.returncode:
            pytest.fail(f"{' '.join(arguments[:2])} failed:\n{done.stdout}\n{done.stderr}"[-3000:])
        return done.stdout if done.returncode == 0 else ""


def _engine() -> Engine | None:
    """The first that works; one that is installed without its daemon does not."""
    limits = []
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        _, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:  # podman asks for more than it may where we are limited
            limits += ["--ulimit", f"{name}={min(hard, 1024)}:{min(hard, 1024)}"]
    runtime = ["--runtime", "runc"] if shutil.which("runc") else []
    for engine in (Engine(["docker"]), Engine(["podman", *runtime], limits)):
        if not shutil.which(engine.command[0]):
            continue
        ready = engine("info", check=False, seconds=30)
        if ready and "ERROR" not in ready:
            return engine
    return None


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = _engine()
    if found is None:
        pytest.skip("neither docker nor podman works here; apt-get install podman runc gives one")
    here = found("image", "inspect", BASE, check=False)
    if not here and not found("pull", "--quiet", BASE, check=False, seconds=60):
        pytest.skip(f"the base image {BASE} is not here and cannot be pulled from here")
    return found


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    podman = ["--format", "docker"] if engine.command[0] == "podman" else []
    authority = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    secret = ["--secret", f"id=ca,src={authority}"] if authority else []
    engine(
        "build", *podman, *engine.limits, "--network", "host", *secret, "-t", TAG, ".", seconds=500
    )
    return TAG


def inspected(engine: Engine, image: str) -> dict[str, Any]:
    (about,) = json.loads(engine("image", "inspect", image))
    assert isinstance(about, dict)
    return about


def health_check(engine: Engine, image: str) -> list[str]:
    """The command; podman keeps it beside the configuration, docker in it."""
    about = inspected(engine, image)
    check = about.get("HealthCheck") or about.get("Healthcheck") or about["Config"]["Healthcheck"]
    how, *command = check["Test"]
    assert how == "CMD"
    return [str(word) for word in command]


Run = Callable[..., str]


@pytest.fixture(scope="module")
def inside(engine: Engine, image: str) -> Run:
    """Run Python in a new container and return what it prints."""

    def run(code: str) -> str:
        options = ["--rm", "--network", "none", *engine.limits]
        return engine("run", *options, image, "python", "-c", code)

    return run


@dataclass(frozen=True)
class Running:
    engine: Engine
    name: str
    port: int

    def get(self, path: str) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        with urllib.request.urlopen(request, timeout=3) as answer:
            return int(answer.status)

    def logs(self) -> str:
        return self.engine("logs", self.name)


@pytest.fixture
def running(engine: Engine, image: str) -> Iterator[Running]:
    """The service as ECS runs it: read-only root, no capabilities, no way to more rights."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "ENVIRONMENT": "test",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AGENT_URL": "embedded:",
        "API_KEYS": f"first:{hashlib.sha256(b'key').hexdigest()}",
        "HISTORY": "sqlite:////dev/shm/bff.db",
        "LOG_FORMAT": "json",
        "METRICS": "emf",
    }
    name = f"agentcore-bff-test-{port}"
    engine(
        *("run", "--detach", "--name", name, "--network", "host", *engine.limits),
        *("--read-only", "--cap-drop=ALL", "--security-opt", "no-new-privileges"),
        *(f"--env={key}={value}" for key, value in variables.items()),
        image,
    )
    container = Running(engine, name, port)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                container.get("/health")
                break
            except OSError:
                assert time.monotonic() < deadline, container.logs()
                time.sleep(0.1)
        yield container
    finally:
        engine("rm", "--force", name, check=False)


@pytest.mark.timeout(600)
def test_image__builds_with_a_numeric_user_and_no_shell(engine: Engine, image: str) -> None:
    config = inspected(engine, image)["Config"]

    assert config["User"] == USER
    assert config["Cmd"] == ["python", "-m", "bff"]
    assert not config.get("Entrypoint")
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert "HOST=0.0.0.0" in config["Env"]
    assert health_check(engine, image)[:2] == ["python", "-c"]


@pytest.mark.timeout(600)
def test_image__adds_little_to_its_base(engine: Engine, image: str) -> None:
    added = inspected(engine, image)["Size"] - inspected(engine, BASE)["Size"]

    assert added / 2**20 < ADDED_MIB


@pytest.mark.timeout(600)
def test_image__holds_the_service_and_no_secret_test_or_tool(inside: Run) -> None:
    listed = inside(
        "import os\n"
        "tops = ('/app', '/opt', '/root', '/home', '/build', '/run/secrets', '/usr/local/bin')\n"
        "for top in tops:\n"
        "    for folder, _, files in os.walk(top):\n"
        "        for name in files: print(os.path.join(folder, name))"
    ).splitlines()

    assert "/app/bff/settings.py" in listed
    assert "/app/bff/playground/index.html" in listed
    ours = [path for path in listed if path.startswith("/app/")]
    assert [path for path in ours if not path.startswith("/app/bff/")] == []
    assert [path for path in listed if path.startswith(("/build", "/run/secrets"))] == []
    tools = {Path(path).name for path in listed}
    assert not tools & {"pip", "pip3", "uv", "gcc", "cc", "make", ".env", "conftest.py"}
    assert [path for path in listed if "/site-packages/pip/" in path] == []


@pytest.mark.timeout(600)
def test_image__its_user_can_write_nothing_but_data(inside: Run) -> None:
    writable = inside(
        "import os\n"
        "skip = {'/proc', '/sys', '/dev', '/tmp', '/run', '/var/tmp'}\n"
        "for folder, folders, files in os.walk('/'):\n"
        "    folders[:] = [f for f in folders if os.path.join(folder, f) not in skip]\n"
        "    for path in [folder, *(os.path.join(folder, f) for f in files)]:\n"
        "        if not os.path.islink(path) and os.access(path, os.W_OK): print(path)"
    ).split()

    assert set(writable) <= {"/app/data", "/var/lock", "/run/lock"}


@pytest.mark.timeout(600)
def test_image__serves_on_a_read_only_root_without_capabilities(running: Running) -> None:
    assert running.get("/health") == 200
    assert running.get("/ready") == 200
    assert "listening" in running.logs()


@pytest.mark.timeout(600)
def test_health_checks__the_images_and_the_task_definitions_both_pass(running: Running) -> None:
    check = health_check(running.engine, TAG)
    ecs = HEALTH_CHECK.replace(str(DEFAULT_PORT), str(running.port))

    running.engine("exec", running.name, *check)
    running.engine("exec", running.name, "python", "-c", ecs)
    dead = HEALTH_CHECK.replace(str(DEFAULT_PORT), "1")
    assert subprocess.run(
        [*running.engine.command, "exec", running.name, "python", "-c", dead],
        capture_output=True,
        timeout=30,
    ).returncode


@pytest.mark.timeout(600)
def test_sigterm__ends_the_idle_service_with_exit_code_0(running: Running) -> None:
    running.engine("kill", "--signal", "TERM", running.name)

    # 5 s: what the contract allows, and the engine's own time on top of the service's 2
    assert running.engine("wait", running.name, seconds=5).strip() == "0"
