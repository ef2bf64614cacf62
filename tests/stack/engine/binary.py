"""Pulumi's command line: the one on PATH, else built with Go and kept in the user's cache.

    python -m tests.stack.engine.binary     prints where it is; builds it first where it is nowhere

`go.mod` beside this file says which version is built. Pulumi itself is published elsewhere too, but
a Go module is what a proxy of modules has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
VERSION = re.findall(r"github\.com/pulumi/pulumi/pkg/v3 (v[\d.]+)", (HERE / "go.mod").read_text())[
    0
]
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SKIPPED = "skipped: no pulumi on PATH and no Go to build it, so tests of the real engine skip"
OLDEST = (3, 272)


def find() -> Path | None:
    """Where it is, if it is anywhere."""
    for candidate in (shutil.which("pulumi"), str(cached())):
        if candidate and os.access(candidate, os.X_OK) and _new_enough(candidate):
            return Path(candidate)
    return None


def cached() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "agentcore-bff" / f"pulumi-{VERSION}" / "pulumi"


def build() -> Path:
    """Raises `CalledProcessError`; half a build is never taken for a whole one."""
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f"half-{os.getpid()}")
    version = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
    # Unoptimised, it compiles in two thirds of the time and runs as fast: it waits for providers.
    # But each run makes a key of its passphrase, by a million rounds.
    subprocess.run(
        [
            *("go", "build", "-trimpath", "-gcflags=all=-N -l", "-gcflags=crypto/...="),
            *(f"-ldflags=-s -w {version}", "-o", str(half), PACKAGE),
        ],
        cwd=HERE,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    half.replace(target)
    return target


def _new_enough(pulumi: str) -> bool:
    said = subprocess.run([pulumi, "version"], capture_output=True, text=True, timeout=30).stdout
    numbers = re.match(r"v?(\d+)\.(\d+)", said)
    return numbers is not None and tuple(map(int, numbers.groups())) >= OLDEST


def main() -> int:
    found = find()
    if found is None and shutil.which("go"):
        print(
            f"Building pulumi {VERSION} with Go, once; this takes some minutes ...", file=sys.stderr
        )
        try:
            found = build()
        except subprocess.CalledProcessError:
            print("skipped: pulumi could not be built, see above", file=sys.stderr)
            return 0
    print(found or SKIPPED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
