"""The lock files agree with pyproject.toml and with one another, without known holes."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]

LOCKS = ("run", "image", "all")


@cache
def locked(name: str) -> Mapping[str, set[Version]]:
    """Versions by package; a package can have one a platform."""
    found: dict[str, set[Version]] = defaultdict(set)
    for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines():
        if match := re.match(r"([a-z0-9._-]+)==([^ ;]+)", line):
            found[canonicalize_name(match[1])].add(Version(match[2]))
    return found


@cache
def wanted(name: str) -> list[Requirement]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, extras = pyproject["project"], pyproject["project"]["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra in {"run": (), "image": ("aws", "shared", "traces"), "all": tuple(extras)}[name]:
        lines += extras[extra]
    if name == "all":
        lines += pyproject["dependency-groups"]["dev"]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock__has_what_pyproject_asks_for(name: str) -> None:
    wrong = [
        str(requirement)
        for requirement in wanted(name)
        if not (versions := locked(name).get(canonicalize_name(requirement.name)))
        or not all(version in requirement.specifier for version in versions)
    ]

    assert wrong == []


@pytest.mark.parametrize("name", ["run", "image"])
def test_a_smaller_lock__has_the_versions_that_were_tested(name: str) -> None:
    assert {
        package: versions
        for package, versions in locked(name).items()
        if not versions <= locked("all").get(package, set())
    } == {}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock__has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()

    pins = re.split(r"\n(?=[a-z0-9])", text)
    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert "index" not in re.sub(r"^[a-z0-9].*$", "", text, flags=re.M)


FLOORS = {"aiohttp": "3.14.4", "pyjwt": "2.15.1", "redis": "4.5.4", "pydantic": "2.4.0"}
"""The first versions without a known hole that reaches us."""


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_with_a_history__is_above_its_last_hole(package: str) -> None:
    floor = Version(FLOORS[package])

    assert Version(version(package)) >= floor
    assert min(locked("image")[canonicalize_name(package)]) >= floor


def test_the_service__has_no_parser_it_does_not_need() -> None:
    assert not {"python-multipart", "boto", "requests-toolbelt"} & locked("run").keys()
