"""Where the time goes: a flame graph of the service under load, by py-spy.

    make bench ARGS="flames OUT.svg"                  32 callers of whole answers
    make bench ARGS="flames OUT.svg --of streams"     16 streams of 50 events, written one by one
    make bench ARGS="flames OUT.svg --of burst"       the same, all events in one write
    make bench ARGS="flames OUT.svg --of sockets"     50 WebSockets, turn by turn
    make bench ARGS="flames OUT.svg --checkout DIR"   another checkout of ours

py-spy (`pip install py-spy`) reads the process from outside: whichever thread has the interpreter,
since those that wait cannot everywhere be told from those that run. A file that does not end in
.svg gets the stacks as text, one a line with how often it was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from benchmarks.client import Client
from benchmarks.connections import SOCKETS_AT_ONCE, turns
from benchmarks.processes import ROOT, allow_many_connections
from benchmarks.scenarios import BLOCKING, BURST, ONE_BY_ONE, Front, repeated, warm_up
from benchmarks.targets import Targets

SECONDS = 12
RATE = 250
"""Samples a second."""
CALLS: dict[str, tuple[int, Callable[[Client], Awaitable[None]]]] = {
    "blocking": (32, lambda client: client.call(BLOCKING)),
    "streams": (16, lambda client: client.call(ONE_BY_ONE, stream=True)),
    "burst": (16, lambda client: client.call(BURST, stream=True)),
}


async def load(front: Front, of: str) -> None:
    """Keep it busy for a little longer than it is looked at."""
    if of == "sockets":
        async with turns(front) as turn:
            await repeated(front, turn, at_once=SOCKETS_AT_ONCE, seconds=SECONDS + 1)
        return
    at_once, call = CALLS[of]
    with front.client() as client:
        await repeated(front, lambda: call(client), at_once=at_once, seconds=SECONDS + 1)


async def record(program: str, out: Path, of: str, checkout: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with AsyncExitStack() as stack:
            targets = Targets(stack, Path(folder), before=checkout)
            await targets.open()
            front: Front = await stack.enter_async_context(targets.front("before"))
            await warm_up(front)
            kind = "flamegraph" if out.suffix == ".svg" else "raw"
            command = [
                *(program, "record", "--gil", "--function", "--format", kind, "--output", str(out)),
                *("--duration", str(SECONDS), "--rate", str(RATE), "--pid", str(front.process.pid)),
            ]
            spy = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            await load(front, of)
            return await spy.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="flames", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--of", choices=[*CALLS, "sockets"], default="blocking")
    parser.add_argument("--checkout", type=Path, default=ROOT)
    options = parser.parse_args()
    beside = Path(sys.executable).parent
    program = shutil.which("py-spy", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        sys.exit("py-spy is not there: pip install py-spy")
    allow_many_connections()
    out: Path = options.out.absolute()
    code = uvloop.run(record(program, out, options.of, options.checkout))
    if out.exists():  # its title is the command, with this machine's paths
        name = f"py-spy: {options.of}"
        out.write_text(re.sub(f"{re.escape(program)} record[^<]*", name, out.read_text()))
    sys.exit(code)


if __name__ == "__main__":
    main()
