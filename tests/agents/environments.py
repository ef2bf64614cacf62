"""Environments for real agents, apart from ours: their packages want other versions than we do.

`python -m tests.agents.environments` makes all of them (the Makefile does); a test makes the one it
needs if it is not there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = {
    "langgraph": ROOT / "examples" / "langgraph_agent" / "requirements.txt",
    "agents": ROOT / "tests" / "agents" / "zoo" / "requirements.txt",
}
INSTALL_SECONDS = 300


def python_of(name: str) -> Path:
    """The interpreter of an environment that has exactly the locked packages.

    Raises `subprocess.SubprocessError` or `OSError` where they cannot be installed.
    """
    requirements = REQUIREMENTS[name]
    home = ROOT / ".envs" / name
    python = home / "bin" / "python"
    stamp = home / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == digest:
        return python
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, home)
        _run(uv, "pip", "sync", "--quiet", "--python", python, requirements)
    else:
        venv.create(home, clear=True, with_pip=True)
        _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements)
    stamp.write_text(digest)
    return python


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=INSTALL_SECONDS)


if __name__ == "__main__":
    for environment in sys.argv[1:] or REQUIREMENTS:
        print(f"{environment}: {python_of(environment)}")
