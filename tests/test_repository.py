"""The rules the repository keeps about itself: who imports whom, how long a file may be, what may
not be committed. A new module fails here until it has its row.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Who may import whom

BOTTOM = {
    *("agent_settings", "errors", "events", "frozen", "json_text", "log_context", "messages"),
    *("off_loop", "settings", "signing", "tasks"),
}
ROOMS: Mapping[str, set[str]] = {
    "errors": set(),
    "frozen": set(),
    "json_text": set(),
    "log_context": set(),
    "off_loop": set(),
    "signing": set(),
    "tasks": set(),
    "events": {"frozen", "json_text"},
    "messages": {"events", "frozen"},
    "setting_parsers": set(),
    "metric_names": set(),
    "agent_settings": {"setting_parsers"},
    "settings": {"agent_settings", "setting_parsers"},
    "agents": BOTTOM,
    "files": BOTTOM,
    "history": BOTTOM,
    "conversations": {"agents", "history"} | BOTTOM,
    "runs": {"agents", "conversations", "files", "history"} | BOTTOM,
    "limits": {"runs"} | BOTTOM,
    "identity": BOTTOM,
    "telemetry": {"agents", "metric_names", "runs"} | BOTTOM,
    "api": {"agents", "conversations", "files", "history", "identity"}
    | {"limits", "runs", "telemetry"}
    | BOTTOM,
    "app": {"agents", "api", "files", "history", "identity", "limits", "runs"}
    | {"task_protection", "telemetry"}
    | BOTTOM,
    "task_protection": {"runs"} | BOTTOM,
    "workers": BOTTOM,
    "connections": {"api"} | BOTTOM,
    "server": {"api", "app", "connections", "telemetry", "workers"} | BOTTOM,
    "__main__": {"agents", "history", "identity", "server"} | BOTTOM,
}
"""The arrows run one way: __main__, app, api, runs, then agents and history, then the bottom."""

HOMES: Mapping[str, tuple[str, ...]] = {
    "aiohttp.web": (
        *("bff/__main__.py", "bff/app.py", "bff/connections.py", "bff/server.py"),
        "bff/api/",
    ),
    "aioboto3": ("bff/agents/agentcore.py", "bff/files/s3/", "bff/history/"),
    "aiobotocore": ("bff/agents/agentcore.py", "bff/files/s3/", "bff/history/"),
    "boto3": (),
    "botocore": ("bff/agents/agentcore.py", "bff/files/s3/", "bff/history/"),
    "redis": ("bff/runs/valkey/",),
    "jwt": ("bff/identity/",),
    "multipart": ("bff/api/forms.py",),
    "pydantic": ("bff/api/",),
    "prometheus_client": ("bff/telemetry/",),
    "opentelemetry": ("bff/telemetry/",),
    "dotenv": ("bff/__main__.py",),
    "pulumi": ("stack/",),
}
"""Where else a foreign name may not appear."""

FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "core", "services", "models"}


def sources(*folders: str) -> list[Path]:
    """Python files, by their paths in the repository."""
    return sorted(
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if not {"node_modules", "__pycache__"} & set(path.parts)
    )


def imports(source: Path) -> Iterator[str]:
    """Every dotted name that a file imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                yield "."  # relative: the table could not see where it leads
            case _:
                pass


def room_of(source: Path) -> str:
    return source.parts[1].removesuffix(".py")


@pytest.mark.parametrize("source", sources("bff"), ids=str)
def test_a_module__imports_only_from_rooms_below_its_own(source: Path) -> None:
    room = room_of(source)
    if room == "__init__":
        assert not list(imports(source))
        return

    assert room in ROOMS, f"{source}: a new room needs its row in ROOMS"
    for name in imports(source):
        parts = name.split(".")
        if parts[0] == "bff" and parts[1] in ROOMS:
            assert parts[1] == room or parts[1] in ROOMS[room], f"{source} imports {name}"
        else:
            assert parts[0] not in ("", "stack", "tests", "benchmarks"), f"{source} imports {name}"


def test_the_rooms__have_no_circle_and_no_ghost() -> None:
    reachable = {room: set(below) for room, below in ROOMS.items()}
    for _ in ROOMS:
        for below in reachable.values():
            below |= set().union(*(reachable[room] for room in below))

    assert [room for room, below in reachable.items() if room in below] == []
    assert set(ROOMS) == {room_of(source) for source in sources("bff")} - {"__init__"}


SHARED_WITH_THE_STACK = {"bff.settings", "bff.setting_parsers", "bff.metric_names"}
"""What has one definition for both: ports, time limits, variables, parsers, names of metrics."""


@pytest.mark.parametrize("source", sources("stack"), ids=str)
def test_the_stack__knows_nothing_of_the_service_but_settings_and_names(source: Path) -> None:
    ours = [name for name in imports(source) if name.startswith(("bff", "."))]

    assert [name for name in ours if name.rpartition(".")[0] not in SHARED_WITH_THE_STACK] == []


def test_the_run_log__is_reached_through_runs_alone() -> None:
    strays = [
        f"{source}:{node.lineno}"
        for source in sources("bff")
        if room_of(source) != "runs"
        for node in ast.walk(ast.parse((ROOT / source).read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ("log", "_log")
    ]

    assert strays == []


def test_the_stacks_modules__hide_none_of_anybody_elses() -> None:
    # Pulumi puts stack/ first on sys.path
    taken = sys.stdlib_module_names | packages_distributions().keys()

    assert {path.stem for path in sources("stack")} & taken - {"__main__", "__init__"} == set()


@pytest.mark.parametrize("name", HOMES)
def test_a_foreign_name__stays_where_it_belongs(name: str) -> None:
    strays = [
        str(source)
        for source in sources("bff", "stack")
        if not str(source).startswith(HOMES[name])
        and any(f"{found}.".startswith(f"{name}.") for found in imports(source))
    ]

    assert strays == []


def test_no_module__is_named_after_nothing() -> None:
    folders = ("bff", "stack", "benchmarks")
    routes = Path("bff/api/openai/models.py")  # named after its route, as the files beside it
    modules = [path for path in sources(*folders) if path != routes]
    names = {part for path in modules for part in path.with_suffix("").parts}

    assert names & FORBIDDEN_NAMES == set()


def test_no_file__is_longer_than_can_be_read() -> None:
    def lines(path: Path) -> int:
        return len((ROOT / path).read_text().splitlines())

    long = [
        f"{path}: {lines(path)}"
        for path in sources("bff", "stack", "benchmarks")
        if lines(path) > 400
    ]

    assert long == []


# Tests


def test_every_test__is_in_a_file_that_is_collected() -> None:
    strays = [
        str(source)
        for source in sources("tests")
        if not source.name.startswith("test_")
        and any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
            for node in ast.walk(ast.parse((ROOT / source).read_text()))
        )
    ]

    assert strays == []


def test_every_tests_name__is_a_sentence_about_a_subject() -> None:
    wrong = [
        f"{source}: {node.name}"
        for source in sources("tests")
        for node in ast.walk(ast.parse((ROOT / source).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not re.fullmatch(r"test_[a-z0-9]+(_[a-z0-9]+)*__[a-z0-9]+(_[a-z0-9]+)*", node.name)
    ]

    assert wrong == []


# What may not be committed


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: nothing says what is committed")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


SECRETS = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----|xox[baprs]-[A-Za-z0-9-]{10,}"
)
PLACES = re.compile(
    r"(?<![\w.$}-])/(?:work|root|home|Users|opt/wheels)/[A-Za-z0-9._-]+"
    r"|(?:pypi|files\.pythonhosted|registry\.npmjs|registry\.yarnpkg)\.org?\b(?:/simple|/[a-z@])"
)


@pytest.mark.parametrize(
    "text",
    [
        "cd /" + "root/project",
        "file:///" + "home/alice/x",
        '"/' + 'work/here"',
        "--index-url=https://pypi" + ".org/simple",
        '"resolved": "https://registry' + ".npmjs" + '.org/ai"',
        "AKIA" + "A" * 16,
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_the_patterns_of_what_may_not_be_committed__find_it(text: str) -> None:
    assert SECRETS.search(text) or PLACES.search(text)


def test_nothing_committed__names_a_machine_a_registry_or_a_secret() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__):
            hits = [hit[0] for pattern in (SECRETS, PLACES) for hit in pattern.finditer(text)]
            found += [f"{path.relative_to(ROOT)}: {hit}" for hit in hits]

    assert found == []


def test_nothing_committed__is_made_by_a_machine_or_large() -> None:
    made = {"__pycache__", ".venv", ".envs", "node_modules", ".mypy_cache"}
    wrong = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if made & set(path.relative_to(ROOT).parts)
        or path.relative_to(ROOT).parts[0] == "data"
        or path.name == ".env"
        or path.stat().st_size > 500_000
    ]

    assert wrong == []
