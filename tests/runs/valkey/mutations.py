"""Would the simulation notice? Decisions of the service put wrong, one at a time.

    python -m tests.runs.valkey.mutations            all of them
    python -m tests.runs.valkey.mutations C1 C4      some

A mutation is a text in a file of `bff/`, and what stands there instead. The machine of
`test_simulation.py` runs on a copy of `bff/` that has it, and has to fail. C1 and C4 are defects
that the service once had, and `test_mutations.py` puts them back; the others are what somebody
might break one day.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
MOST_SECONDS = 300.0
FOUND = "found:"


@dataclass(frozen=True)
class Change:
    file: str
    """In `bff/runs/valkey/`."""
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    what: str
    changes: Sequence[Change]


def mutation(what: str, *changes: tuple[str, str, str]) -> Mutation:
    return Mutation(what, [Change(*change) for change in changes])


MUTATIONS = {
    "C1": mutation(
        "a run whose end is on its way is given up when the server says that its session is free",
        (
            "replicas.py",
            "        if known:\n",
            "        if known:\n"
            "            if now := self.open_in(run.owner, run.session_id):\n"
            "                self.superseded(now.member)\n",
        ),
    ),
    "C1, all that travels with it": mutation(
        "what such a run had to say is dropped, and whoever shares its pipeline pays for that",
        (
            "replicas.py",
            "        if known:\n",
            "        if known:\n"
            "            if now := self.open_in(run.owner, run.session_id):\n"
            "                self._all[now.member]._puts.clear()\n",
        ),
        (
            "uploads.py",
            "                self._replicas.give_up(replica)\n\n    def _failed",
            "                for other in self._replicas._all.copy():\n"
            "                    self._replicas.superseded(other)\n\n    def _failed",
        ),
    ),
    "C4": mutation(
        "a run whose key is known here, and no longer at the server, is kept beside the earlier",
        (
            "replicas.py",
            "        if opened.run_id == run.run_id:\n",
            "        earlier = opened\n"
            "        if opened := replace(opened, run_id=run.run_id):\n",
        ),
        (
            "replicas.py",
            "            self.see_to(replica)\n        return opened",
            "            self.see_to(replica)\n        return earlier",
        ),
        ("log.py", "        if opened.run_id != run.run_id:  # the server", "        if False:  #"),
    ),
    "read ahead": mutation(
        "an event is delivered before the server has it",
        (
            "replica.py",
            "        self._out = Close(records, end) if end else Append(records)\n"
            "        self._became(\"sent\")\n"
            "        return [self._out]\n",
            "        self._out = Close(records, end) if end else Append(records)\n"
            "        self._became(\"sent\")\n"
            "        early, self._with_it = self._deliver(self._with_it), 0\n"
            "        return [*early, self._out]\n",
        ),
    ),
    "no way out": mutation(
        "a server that is there again is not told what it missed",
        (
            "replica.py",
            '        self._away = False\n        self._became("reopened")',
            '        self._became("reopened")',
        ),
    ),
    "no time for owners": mutation(
        "a run is ended as soon as its lease has lapsed, whatever kept its owner from renewing",
        (
            "takeover.py",
            "        return self._server.steady_seconds >= self._timing.grace_seconds and",
            "        return self._server.up and",
        ),
    ),
    "never asked again": mutation(
        "a run that was refused, and may have begun, is not withdrawn when the server is back",
        ("begin.py", "        self._withdrawn[keys.member] = keys\n", ""),
        (
            "begin.py",
            "            self._withdrawn.pop(keys.member, None)\n\n    def withdrawals",
            "\n    def withdrawals",
        ),
    ),
    "no history": mutation(
        "whoever ended a run and did not hear of it does not ask",
        (
            "takeover.py",
            "                self._unanswered.setdefault(keys.member, (keys, ended))\n",
            "                pass\n",
        ),
    ),
    "deaf": mutation(
        "a follower elsewhere trusts that it hears every message",
        (
            "remote_runs.py",
            "                if remote.check_at <= now and not remote.ended",
            "                if False",
        ),
    ),
}  # fmt: skip


def found(name: str, *, examples: int = 300) -> str | None:
    """How the machine found a mutation, or None if it did not; the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bff"
        shutil.copytree(ROOT / "bff", copy, ignore=shutil.ignore_patterns("__pycache__"))
        for change in MUTATIONS[name].changes:
            path = copy / "runs" / "valkey" / change.file
            text = path.read_text()
            assert text.count(change.old) == 1, f"{name}: {change.file} has not once: {change.old}"
            path.write_text(text.replace(change.old, change.new))
        ran = subprocess.run(
            [sys.executable, "-m", "tests.runs.valkey.test_simulation", str(examples), "--same"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([folder, str(ROOT)])},
            capture_output=True, text=True, timeout=MOST_SECONDS, check=False,
        )  # fmt: skip
    if ran.returncode == 0:
        return None
    lines = re.findall(rf"^{FOUND} (.*)$", ran.stdout, re.MULTILINE)
    assert lines, ran.stdout + ran.stderr
    return str(lines[-1])


def main() -> None:
    missed = 0
    for name in sys.argv[1:] or MUTATIONS:
        began = time.monotonic()
        how = found(name)
        missed += how is None
        print(f"{name}: {MUTATIONS[name].what}")
        print(f"    {how or 'NOT FOUND'} ({time.monotonic() - began:.0f} s)", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
