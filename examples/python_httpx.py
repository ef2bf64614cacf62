"""Stream an answer with httpx, over as many connections as it takes.

    pip install httpx httpx-sse
    BFF_KEY=... python examples/python_httpx.py "What is 15 * 23?"

The message goes out under an Idempotency-Key, so sending it again after a broken connection is the
same run and never a second call of the agent. Once the run has an id, its events are picked up
behind the last one that was seen.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import EventSource

MOST_FAILURES = 8


def ask(client: httpx.Client, message: str) -> Iterator[tuple[str, Any]]:
    """The events of the answer, each once and in order: its name and its data."""
    key, run_id, last_id, failures = str(uuid4()), "", 0, 0
    while True:
        if run_id:
            headers = {"Last-Event-ID": str(last_id)}
            request = client.stream("GET", f"/v1/runs/{run_id}/events", headers=headers)
        else:
            headers = {"Idempotency-Key": key}
            request = client.stream(
                "POST", "/v1/chat/stream", headers=headers, json={"message": message}
            )
        try:
            with request as response:
                if response.is_error:
                    response.read()
                    raise SystemExit(f"{response.status_code}: {response.json()['detail']}")
                run_id = response.headers["X-Run-Id"]
                for event in EventSource(response).iter_sse():
                    if not event.data:
                        continue  # httpx-sse hands out a lone `retry:` as well
                    last_id, failures = int(event.id), 0
                    yield event.event, event.json()
                    if event.event in ("done", "error"):
                        return
        except httpx.TransportError:
            pass  # what was said so far is kept; go on behind it
        failures += 1
        if failures > MOST_FAILURES:
            raise SystemExit("the service cannot be reached")
        time.sleep(min(0.2 * 2**failures, 10))


def main() -> None:
    url = os.environ.get("BFF_URL", "http://127.0.0.1:8000")
    key = os.environ["BFF_KEY"]
    message = " ".join(sys.argv[1:]) or "What is 15 * 23?"
    # the service says something every 15 s, so a longer silence is a dead connection
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30) as client:
        for name, data in ask(client, message):
            match name:
                case "message":
                    print(data["content"], end="", flush=True)
                case "tool_start":
                    print(f"[{data['tool']} {data['args']}", end="", flush=True)
                case "tool_end":
                    print(f" -> {data.get('result', data.get('error'))}]")
                case "error":
                    raise SystemExit(f"\n{data['title']}: {data['detail']}")
    print()


if __name__ == "__main__":
    main()
