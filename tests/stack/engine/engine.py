"""Pulumi's own engine on this repository's program, with a made-up cloud in place of AWS.

with open_engine(folder) as engine:
    stack = engine.stack("prod", {"agentRuntimeArn": …})
    stack.up()
    assert stack.preview({"cpu": 1024}).replaced == []
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.stack.engine import binary
from tests.stack.engine.cloud import Cloud
from tests.stack.engine.plugins import ROOT, plugins, program_runner

PROJECT = "agentcore-bff"
SECONDS = 200


@dataclass(frozen=True)
class Step:
    op: str
    """The engine's word: `create`, `update`, `replace`, `delete`, `same` …"""
    key: str
    """Type and name."""
    changed: tuple[str, ...] = ()
    """Properties that are different."""

    def __str__(self) -> str:
        return f"{self.key} ({', '.join(self.changed)})" if self.changed else self.key


@dataclass
class Outcome:
    """What a command of the engine's did or would do."""

    ok: bool
    steps: list[Step] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """Warnings and errors."""
    text: str = ""

    def of(self, op: str) -> list[str]:
        return [str(step) for step in self.steps if step.op == op]

    @property
    def created(self) -> list[str]:
        return self.of("create")

    @property
    def replaced(self) -> list[str]:
        return self.of("replace")

    @property
    def deleted(self) -> list[str]:
        return self.of("delete")

    @property
    def changes(self) -> dict[str, list[str]]:
        """All that is not as it was, by what happens to it; components and providers left out."""
        found = {
            op: sorted(step for step in self.of(op) if not step.startswith(("pulumi:", "bff:")))
            for op in ("create", "update", "replace", "delete")
        }
        return {op: steps for op, steps in found.items() if steps}

    @property
    def errors(self) -> str:
        return "\n".join(self.said)


@dataclass
class Engine:
    folder: Path
    pulumi: Path
    programs: Path
    cloud: Cloud

    def stack(self, name: str, config: Mapping[str, Any]) -> LiveStack:
        stack = LiveStack(self, name, dict(config))
        stack.write(stack.config)
        self.run("stack", "init", name)
        stack.write(stack.config, salt=True)
        return stack

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {
            "HOME": str(self.folder),
            "PATH": f"{self.programs}:{self.pulumi.parent}:/usr/bin:/bin",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "not a secret",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_EXPERIMENTAL": "true",
            "PULUMI_SKIP_CHECKPOINTS": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "NO_COLOR": "1",
            "GRPC_VERBOSITY": "NONE",
        }
        done = subprocess.run(
            [self.pulumi, *arguments, "--non-interactive"],
            cwd=self.folder / "project",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done


@dataclass
class LiveStack:
    engine: Engine
    name: str
    config: dict[str, Any]
    salt: str = ""
    runs: int = 0

    def up(self, config: Mapping[str, Any] | None = None) -> Outcome:
        """Apply the configuration, which then is the stack's."""
        if config is not None:
            self.config = dict(config)
        return self._operate("up", "--yes", "--skip-preview", config=self.config)

    def preview(self, more: Mapping[str, Any] | None = None) -> Outcome:
        """What the stack's configuration with `more` on top would do; None takes a key away."""
        return self._operate("preview", config={**self.config, **(more or {})})

    def refresh(self) -> Outcome:
        return self._operate("refresh", "--yes", "--skip-preview", config=self.config)

    def destroy(self) -> Outcome:
        return self._operate("destroy", "--yes", "--skip-preview", config=self.config)

    def outputs(self) -> dict[str, Any]:
        done = self.engine.run("stack", "output", "--json", "--show-secrets", "--stack", self.name)
        loaded = json.loads(done.stdout)
        assert isinstance(loaded, dict)
        return loaded

    def state(self) -> list[dict[str, Any]]:
        """The stack's resources as the engine keeps them."""
        done = self.engine.run("stack", "export", "--show-secrets", "--stack", self.name)
        resources = json.loads(done.stdout)["deployment"].get("resources", [])
        assert isinstance(resources, list)
        return resources

    def write(self, config: Mapping[str, Any], *, salt: bool = False, name: str = "") -> Path:
        file = self.engine.folder / "project" / f"Pulumi.{name or self.name}.yaml"
        if salt and not self.salt:
            self.salt = yaml.safe_load(file.read_text())["encryptionsalt"]
        settings = {
            key if ":" in key else f"{PROJECT}:{key}": value
            for key, value in config.items()
            if value is not None
        }
        document = {"config": settings} | ({"encryptionsalt": self.salt} if self.salt else {})
        file.write_text(yaml.safe_dump(document))
        return file

    def _operate(self, *command: str, config: Mapping[str, Any]) -> Outcome:
        self.runs += 1
        file = self.write(config, name=f"{self.name}.{self.runs}")
        log = self.engine.folder / f"{self.name}.{self.runs}.events"
        done = self.engine.run(
            *command,
            *("--stack", self.name, "--config-file", str(file), "--event-log", str(log)),
            check=False,
        )
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        text = done.stdout + done.stderr
        return Outcome(done.returncode == 0, list(_steps(events)), list(_said(events)), text)


def _steps(events: list[dict[str, Any]]) -> Iterator[Step]:
    for event in events:
        if step := event.get("resourcePreEvent", {}).get("metadata"):
            *_, types, name = step["urn"].split("::")
            changed = sorted({path.partition("[")[0] for path in step.get("detailedDiff") or {}})
            yield Step(
                {"create-replacement": "create for", "delete-replaced": "delete after"}.get(
                    step["op"], step["op"]
                ),
                f"{types.rpartition('$')[2]}::{name}",
                tuple(sorted({path.partition(".")[0] for path in changed})),
            )


def _said(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        said = event.get("diagnosticEvent", {})
        ours = "from $PATH at" not in said.get("message", "")
        if said.get("severity") in ("warning", "error") and ours:
            yield said["message"].strip()


@contextlib.contextmanager
def open_engine(folder: Path) -> Iterator[Engine]:
    """`folder` is empty, and short: sockets' paths are."""
    pulumi = binary.find()
    assert pulumi, binary.SKIPPED
    cloud = Cloud()
    project = folder / "project"
    for made in (project, folder / "home", folder / "state"):
        made.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", project)
    (project / "stack").symlink_to(ROOT / "stack")
    with program_runner(folder) as runner, plugins(folder, runner, cloud) as programs:
        yield Engine(folder, pulumi, programs, cloud)


os.environ.setdefault("GRPC_VERBOSITY", "NONE")
