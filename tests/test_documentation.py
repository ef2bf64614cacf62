"""The docs are a contract: what they name is there, and what is there they name.

A new setting, route, event, error or metric fails here until it has its row; the stack's keys do in
tests/stack.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web

from bff import __version__
from bff.app import create_app
from bff.errors import every_problem
from bff.events import NAMES
from bff.settings import Settings
from bff.telemetry.emf import UNITS
from bff.telemetry.metrics import Meter

ROOT = Path(__file__).parents[1]


def documented(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def rows(page: str) -> list[tuple[str, ...]]:
    """The cells of every table row of a page."""
    return [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in documented(page).splitlines()
        if line.startswith("|") and not line.startswith("| ---")
    ]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


class Recording(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@cache
def variables() -> set[str]:
    environ = Recording()
    Settings.load(environ)
    return environ.asked


def test_every_setting__is_in_configuration_md_and_nothing_else_is() -> None:
    named = [name for row in rows("configuration.md") for name in quoted(row[0])]

    assert sorted(named) == sorted(variables())


def test_every_setting__is_in_env_example() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()

    assert sorted(re.findall(r"^#([A-Z_]+)=", "\n".join(lines), re.M)) == sorted(variables())


@cache
def routes() -> set[str]:
    def canonical(route: web.AbstractRoute) -> str:
        assert route.resource is not None
        return route.resource.canonical

    app = create_app(Settings(playground=True))
    found = {f"{route.method} {canonical(route)}" for route in app.router.routes()}
    # HEAD comes with every GET; a page's own files are no part of the protocol
    assets = re.compile(r"(HEAD|\*) | /(playground|docs)/")
    return {route for route in found if not assets.search(route)}


def test_every_route__is_in_protocol_md_and_nothing_else_is() -> None:
    named = {
        text
        for row in rows("protocol.md")
        for text in quoted(row[0])
        if re.match(r"(GET|POST|PATCH|PUT|DELETE) /", text)
    }

    assert named == routes()


def test_every_event__is_in_protocol_md() -> None:
    named = {name for row in rows("protocol.md") for name in quoted(row[0])}

    assert set(NAMES.values()) <= named


def test_every_error__is_in_protocol_md_with_its_status() -> None:
    told = {(row[0], *quoted(row[1])) for row in rows("protocol.md") if row[0].isdigit()}

    assert told == {(str(problem.status), problem.code) for problem in every_problem()}


def test_every_metric__is_in_metrics_md_and_nothing_else_is() -> None:
    exposed = set()
    for family in Meter().registry.collect():
        if family.name.startswith("bff_"):
            exposed.add(f"{family.name}_total" if family.type == "counter" else family.name)
    cloudwatch = set(UNITS)
    named = {name for row in rows("metrics.md") for name in quoted(row[0])}

    assert {name for name in named if name.startswith("bff_")} == exposed
    assert {name for name in named if name[0].isupper()} == cloudwatch


def pages() -> list[Path]:
    return sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page__links_only_to_what_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)

    broken = [
        target
        for target in targets
        if not target.startswith(("http://", "https://", "mailto:"))
        and not (page.parent / target).exists()
    ]

    assert broken == []


def test_every_page__is_linked_from_another() -> None:
    missing = [
        page.name
        for page in (ROOT / "docs").glob("*.md")
        if not any(f"{page.name})" in other.read_text() for other in pages() if other != page)
    ]

    assert missing == ["index.md"]


def test_the_changelog__has_an_entry_for_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text()

    assert project["version"] == __version__
    entry = re.search(
        rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$(.*?)(^## |\Z)",
        changelog,
        re.M | re.S,
    )
    assert entry is not None
    assert "- " in entry[1]
