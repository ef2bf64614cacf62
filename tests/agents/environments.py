"""Environments for real agents, apart from ours: their packages want other versions than we do.

`python -m tests.agents.environments NAME …` makes them (the Makefile does). A test that needs one
makes it if it is small, and skips if it is one of the zoo's that nobody made.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "agents" / "zoo"
INSTALL_SECONDS = 300

EXAMPLE = "langgraph"
"""The environment of examples/langgraph_agent, as its own requirements say."""
ZOO = sorted(path.stem for path in (FOLDER / "requirements").glob("*.txt"))
"""The zoo's Python frameworks; each has requirements/NAME.txt and its agents in NAME_agents.py."""
JAVASCRIPT = "javascript"


class NotMade(Exception):
    """An environment is not here; the text says what makes it."""


def requirements_of(name: str) -> Path:
    if name == EXAMPLE:
        return ROOT / "examples" / "langgraph_agent" / "requirements.txt"
    return FOLDER / "requirements" / f"{name.removeprefix('zoo-')}.txt"


def command(name: str) -> list[str]:
    """What starts a framework's agents. Raises `NotMade`."""
    if name == JAVASCRIPT:
        node, server = shutil.which("node"), FOLDER / JAVASCRIPT / "server.mjs"
        if node is None or not (server.parent / "node_modules" / ".ready").exists():
            raise NotMade(f"{name}: not made here, 'make test-zoo' makes it (with Node.js)")
        return [node, str(server)]
    python, _ = _places(f"zoo-{name}")
    if not is_made(f"zoo-{name}"):
        raise NotMade(f"{name}: not made here, 'make test-zoo' makes it")
    return [str(python), str(FOLDER / f"{name.replace('-', '_')}_agents.py")]


def is_made(name: str) -> bool:
    python, stamp = _places(name)
    return python.exists() and stamp.exists() and stamp.read_text() == _digest(name)


def python_of(name: str) -> Path:
    """The interpreter of an environment that has exactly the locked packages.

    Raises `subprocess.SubprocessError` or `OSError` where they cannot be installed.
    """
    python, stamp = _places(name)
    if is_made(name):
        return python
    requirements, home = requirements_of(name), stamp.parent
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, home)
        _run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, requirements)
    else:
        venv.create(home, clear=True, with_pip=True)
        _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements)
    stamp.write_text(_digest(name))
    return python


def _places(name: str) -> tuple[Path, Path]:
    home = ROOT / ".envs" / name
    return home / "bin" / "python", home / "requirements.sha256"


def _digest(name: str) -> str:
    return hashlib.sha256(requirements_of(name).read_bytes()).hexdigest()


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=INSTALL_SECONDS)


if __name__ == "__main__":
    for environment in sys.argv[1:] or [EXAMPLE, *(f"zoo-{name}" for name in ZOO)]:
        print(f"{environment}: {python_of(environment)}")
