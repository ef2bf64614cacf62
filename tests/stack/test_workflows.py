from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.stack.planner import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def workflow(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    text = (ROOT / f".github/workflows/{name}.yml").read_text().replace("\non:", '\n"on":')
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def test_workflows__are_the_three() -> None:
    assert [path.stem for path in FILES] == ["deploy", "preview", "test"]


@EACH
def test_actions__pinned_by_commit_with_the_version_beside(path: Any) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())

    assert used
    for use in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/.+", use), use


@EACH
def test_permissions__none_but_what_a_job_asks_for(path: Any) -> None:
    loaded = workflow(path.stem)
    asked = {
        permission
        for job in loaded["jobs"].values()
        for permission, level in job["permissions"].items()
        if level == "write"
    }

    assert loaded["permissions"] == {}
    assert (
        asked
        == {
            "test": set(),
            "preview": {"id-token", "pull-requests"},
            "deploy": {"id-token"},
        }[path.stem]
    )
    assert "pull_request_target" not in loaded["on"]
    assert "secrets." not in path.read_text(), "roles are assumed by OIDC"


def test_preview__never_with_a_role_that_deploys() -> None:
    text = (ROOT / ".github/workflows/preview.yml").read_text()

    assert "PREVIEW_ROLE_ARN" in text
    assert "DEPLOY_ROLE_ARN" not in text
    assert "command: preview" in text
    assert "comment-on-pr: true" in text
    assert "head.repo.full_name == github.repository" in text


def test_deploy__on_a_tag_after_tests_and_approval() -> None:
    loaded = workflow("deploy")

    assert loaded["on"] == {"push": {"tags": ["v*"]}}
    assert loaded["jobs"]["deploy"]["environment"] == "prod"
    assert loaded["jobs"]["deploy"]["needs"] == "test"
    assert loaded["concurrency"]["cancel-in-progress"] is False


@EACH
def test_variables__documented_each(path: Any) -> None:
    page = (ROOT / "docs/operations.md").read_text()

    for name in re.findall(r"vars\.(\w+)", path.read_text()):
        assert f"`{name}`" in page
