"""Records what agents of real frameworks send: `python -m tests.agents.record [ENVIRONMENT …]`.

Each environment's program is served as AgentCore would run it and asked every scenario once; the
bytes and the truth of the script are written to golden/. Read the difference before you commit it.
`python -m tests.agents.record --list` prints the frameworks, their versions and scenarios, of which
`reports` alone is written by hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from email.message import Message as Headers
from pathlib import Path
from typing import Any

from tests.agents.environments import JAVASCRIPT, ROOT, ZOO, command
from tests.agents.recordings import GOLDEN, lists, normalised
from tests.agents.serving import serving

SUFFIXES = {"text/event-stream": ".sse", "application/json": ".json"}
NOT_THE_ANSWERS = {"date", "server", "content-length", "transfer-encoding", "connection"}
NOT_THE_ANSWERS |= {"content-type", "keep-alive", "x-powered-by"}
ASK_SECONDS = 60


def record(environment: str) -> None:
    listed = json.loads(
        subprocess.run([*command(environment), "--list"], check=True, capture_output=True).stdout
    )
    folder = GOLDEN / environment
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    entries = []
    with (
        tempfile.TemporaryDirectory() as logs,
        serving(command(environment), Path(logs) / "log") as url,
    ):
        for truth in listed["scenarios"]:
            body, headers = ask(url, truth)
            kind = headers.get_content_type()
            file = f"{truth['name']}{SUFFIXES.get(kind, '.txt')}"
            (folder / file).write_bytes(normalised(body.replace(str(ROOT).encode(), b"/agent")))
            kept = {n: v for n, v in headers.items() if n.lower() not in NOT_THE_ANSWERS}
            sent: dict[str, Any] = {"name": truth["name"], "file": file}
            sent["content_type"] = headers["Content-Type"]
            entries.append(sent | ({"headers": kept} if kept else {}) | truth)
    head = {"framework": listed["framework"], "versions": listed["versions"]}
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f', "scenarios": [\n{rows}\n]}}\n'
    (GOLDEN / f"{environment}.json").write_text(text, "utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{environment}: {len(entries)} scenarios, {size:,} bytes")


def ask(url: str, truth: dict[str, Any]) -> tuple[bytes, Headers]:
    request = urllib.request.Request(f"{url}/invocations", json.dumps(payload(truth)).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=ASK_SECONDS) as response:
        return response.read(), response.headers


def payload(truth: dict[str, Any]) -> dict[str, Any]:
    """What a scenario is asked; one that follows another goes on in its session."""
    session = (truth.get("after") or truth["name"]).ljust(33, "-")
    return {"scenario": truth["name"], "session_id": session, **truth.get("asks", {})}


def show() -> None:
    for environment, listed in lists().items():
        versions = ", ".join(f"{name} {number}" for name, number in listed["versions"].items())
        print(f"{listed['framework']} (`{environment}`): {versions}")
        print(f"  {', '.join(entry['name'] for entry in listed['scenarios'])}")


def main() -> None:
    if "--list" in sys.argv:
        show()
        return
    for environment in sys.argv[1:] or [*ZOO, JAVASCRIPT]:
        record(environment)


if __name__ == "__main__":
    main()
