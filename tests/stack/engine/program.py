"""Runs the stack's program as the Python language host does, many times and quickly.

`python -m tests.stack.engine.program SOCKET` imports the SDKs once and then forks for every run:
each gets a process of its own with `PULUMI_*` settings, the program's folder first on `sys.path`,
and ends with one line of JSON. Started and ended by `plugins`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import operator
import os
import re
import runpy
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

WARM = ("pulumi_aws", "pulumi_awsx", "pulumi_docker_build", "pulumi_random", "yaml")
"""What the program imports and what nothing here changes."""
RUN_SECONDS = 100


def serve(path: str) -> None:
    _import()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child: it answers itself
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.alarm(RUN_SECONDS)  # one that hangs must not outlive the tests
            with connection:
                answer = _run(json.loads(connection.makefile("rb").readline()))
                connection.sendall(json.dumps(answer).encode() + b"\n")
            os._exit(0)
        connection.close()


def _import() -> None:
    """All that the program imports, but for its own modules and the service's."""
    warnings.simplefilter("ignore")
    for module in WARM:
        __import__(module)
    # SDKs load their parts when they are first asked for.
    sources = "".join(path.read_text() for path in Path("stack").glob("*.py"))
    for package, names in re.findall(r"\b(awsx?|docker_build|random)((?:\.\w+)+)", sources):
        with contextlib.suppress(AttributeError):
            operator.attrgetter(names[1:])(sys.modules[f"pulumi_{package}"])


def _run(run: dict[str, Any]) -> dict[str, Any]:
    """One run. `bail`: the program has said itself what went wrong."""
    import pulumi
    from pulumi.runtime import reset_options, run_in_stack, set_all_config

    def program() -> None:
        runpy.run_path(run["program"], run_name="__main__")

    os.chdir(run["directory"])
    os.environ |= run["environment"]
    sys.path[:] = [
        run["program"],
        *(part for part in sys.path if part not in ("", str(Path.cwd()))),
    ]
    reset_options(
        project=run["project"],
        stack=run["stack"],
        organization=run["organization"],
        parallel=run["parallel"],
        preview=run["preview"],
        monitor_address=run["monitor"],
        engine_address=run["engine"],
    )
    set_all_config(run["config"], run["secret_keys"])
    try:
        asyncio.run(run_in_stack(program))
    except BaseException as error:
        refused = isinstance(error, pulumi.RunError)
        # Where the engine has given up, it listens no more.
        with contextlib.suppress(Exception):
            pulumi.log.error(str(error) if refused else traceback.format_exc())
        return {"bail": True}
    return {}


if __name__ == "__main__":
    serve(sys.argv[1])
