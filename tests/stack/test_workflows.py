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


def test_workflows__are_the_four() -> None:
    assert [path.stem for path in FILES] == ["deploy", "drift", "preview", "test"]


@EACH
def test_actions__pinned_by_commit_with_the_version_beside(path: Any) -> None:
    action = ROOT / ".github/actions/pulumi/action.yml"
    used = re.findall(r"uses: (.+)", path.read_text() + action.read_text())

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
            "drift": {"id-token"},
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


def test_deploy__carries_out_the_plan_that_was_approved() -> None:
    loaded = workflow("deploy")
    plan, deploy = loaded["jobs"]["plan"], loaded["jobs"]["deploy"]

    assert loaded["on"]["push"] == {"tags": ["v*"]}
    assert "workflow_dispatch" in loaded["on"]
    assert deploy["environment"] == "${{ inputs.environment || 'prod' }}"
    assert deploy["needs"] == ["test", "plan"]
    assert loaded["concurrency"]["cancel-in-progress"] is False
    assert "--save-plan plan.json" in str(plan)
    assert "GITHUB_STEP_SUMMARY" in str(plan)
    assert "--plan plan.json" in str(deploy)
    assert "DEPLOY_ROLE_ARN" not in str(plan)
    assert "vars.RUNNER" in deploy["runs-on"]


def test_drift__only_reads_and_fails_on_a_difference() -> None:
    text = (ROOT / ".github/workflows/drift.yml").read_text()

    assert "--refresh --expect-no-changes" in text
    assert "DEPLOY_ROLE_ARN" not in text
    assert workflow("drift")["on"]["schedule"]


def test_pulumi__is_the_version_that_the_engine_tests_build() -> None:
    built = re.findall(
        r"pulumi/pkg/v3 v([\d.]+)", (ROOT / "tests/stack/engine/go.mod").read_text()
    )[0]

    for path in [*FILES, ROOT / ".github/actions/pulumi/action.yml"]:
        assert set(re.findall(r"pulumi-version: (.+)", path.read_text())) <= {built}


def test_bootstrap__gives_each_role_to_its_workflows_only() -> None:
    text = (ROOT / "bootstrap/bootstrap.yaml").read_text()

    class Loader(yaml.SafeLoader):
        """CloudFormation's short forms, as what they stand for."""

    Loader.add_multi_constructor(
        "!",
        lambda loader, suffix, node: (
            loader.construct_sequence(node, deep=True)
            if isinstance(node, yaml.SequenceNode)
            else loader.construct_scalar(node)
        ),
    )
    template = yaml.load(text, Loader)
    resources = template["Resources"]

    def subjects(role: str) -> list[str]:
        document = resources[role]["Properties"]["AssumeRolePolicyDocument"]
        (statement,) = document["Statement"]
        condition = statement["Condition"]["StringEquals"]
        assert condition["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
        found = condition["token.actions.githubusercontent.com:sub"]
        assert isinstance(found, list)
        return found

    assert all(":environment:" in subject for subject in subjects("Deploy"))
    assert not any(":environment:prod" in subject for subject in subjects("Preview"))
    assert resources["State"]["DeletionPolicy"] == "Retain"
    for parameter in template["Parameters"]:
        assert f"`{parameter}`" in (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize(
    ("repository", "taken"),
    [
        ("octo-org/octo-repo", True),
        ("octo-org@123456/octo.repo_2@456789", True),
        ("octo-org", False),
        ("octo-org/*", False),
        ("repo:octo-org/octo-repo", False),
        ("octo-org/octo-repo:environment:prod", False),
    ],
)
def test_bootstrap__trusts_one_repository_by_either_of_githubs_forms(
    repository: str, taken: bool
) -> None:
    text = (ROOT / "bootstrap/bootstrap.yaml").read_text()
    (pattern,) = re.findall(r'AllowedPattern: "(.+)"', text)

    assert bool(re.fullmatch(pattern, repository)) is taken


@EACH
def test_variables__documented_each(path: Any) -> None:
    page = (ROOT / "docs/operations.md").read_text()

    for name in re.findall(r"vars\.(\w+)", path.read_text()):
        assert f"`{name}`" in page
