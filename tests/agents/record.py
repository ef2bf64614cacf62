"""Records what real agents send: `python -m tests.agents.record [NAME …]` writes golden/.

Each shape is two files: NAME.sse or NAME.json has the bytes, NAME.events what they must become.
Read the difference before you commit it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

from bff.agents.dialects.decoder import Decoder
from bff.events import record
from tests.agents.conftest import ALL_MODES, QUESTION, serving
from tests.agents.environments import ROOT

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, tuple[str, object]] = {
    "langgraph-messages": ("modes", "messages"),
    "langgraph-updates": ("modes", "updates"),
    "langgraph-values": ("modes", "values"),
    "langgraph-every-mode": ("modes", ALL_MODES),
    "langgraph-subgraphs": ("subgraphs", ["messages", "values"]),
    "langgraph-dumps": ("dumps", None),
    "langgraph-constructors": ("lc", None),
    "langgraph-astream-events": ("events", None),
    "langgraph-prints": ("prints", None),
    "langgraph-fails": ("failing", None),
    "langgraph-empty": ("empty", "values"),
    "langgraph-state-body": ("json-state", None),
    "langgraph-agentcore-sse-in-sse": ("sse-in-sse", None),
    "agui-langgraph": ("agui", None),
    "text-dicts": ("dicts", None),
    "strings": ("strings", None),
    "strings-then-result": ("strings-then-result", None),
    "app-error": ("app-error", None),
    "result-body": ("json-result", None),
    "string-body": ("json-string", None),
    "strands-raw": ("strands", None),
    "strands-default-str": ("strands-default-str", None),
    "strands-converse": ("strands-converse", None),
    "strands-filtered": ("strands-both", None),
    "strands-data": ("strands-data", None),
    "strands-body": ("json-strands", None),
}


def outcome(data: bytes, suffix: str) -> str:
    """What the bytes become: a line an event, and how it ends if it fails."""
    decoder = Decoder("application/json" if suffix == ".json" else "text/event-stream")
    records = [record(0, event) for event in decoder.feed(data) + decoder.end()]
    lines = [f"{event.name} {event.data}" for event in records]
    if decoder.failure:
        lines.append(f"failed: {decoder.failure}")
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    program = ROOT / "tests" / "agents" / "zoo" / "agent.py"
    with (
        tempfile.TemporaryDirectory() as logs,
        serving("agents", program, Path(logs) / "log") as url,
    ):
        for name in sys.argv[1:] or CASES:
            case, modes = CASES[name]
            thread = name.ljust(33, "-")
            asked = {"prompt": QUESTION, "session_id": thread, "case": case, "modes": modes}
            request = urllib.request.Request(f"{url}/invocations", json.dumps(asked).encode())
            with urllib.request.urlopen(request) as response:
                data = response.read()
                is_json = response.headers["Content-Type"].startswith("application/json")
            file = GOLDEN / f"{name}{'.json' if is_json else '.sse'}"
            file.write_bytes(data)
            file.with_suffix(".events").write_text(outcome(data, file.suffix), "utf-8")


if __name__ == "__main__":
    main()
