"""`make bench`: run the benchmarks one after another; ARGS names some of them.

Each is a module of this folder and explains itself in its first lines.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

LONG = frozenset({"interruptions"})
"""Minutes long: run only by name."""
PARTS = frozenset({"__init__", "__main__", "parts"})


def main() -> None:
    names = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - PARTS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names], metavar="NAME", help=str(names))
    chosen = parser.parse_args().names or [name for name in names if name not in LONG]
    for name in chosen:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")


if __name__ == "__main__":
    main()
