"""That the soak asks what it says, and that it sees what stays behind."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from benchmarks.client import KEY
from benchmarks.processes import Teller
from benchmarks.soak import Held, held
from benchmarks.soak_clients import Clients
from benchmarks.targets import Targets

HELD = Held(
    objects=100_000, tasks=4, descriptors=20, threads=8, memory=90_000, kinds={"builtins.dict": 900}
)
ENDS = {
    "ask": {"200", "502"},
    "repeat": {"200 200", "502 502"},
    "stream": {"200"},
    "leave": {"left", "left twice", "200", "204"},
    "cancel": {"200"},
    "hold_socket": {"closed"},
    "chat_completions": {"200"},
    "responses": {"200"},
    "ai_sdk": {"200"},
    "agui": {"200"},
    "keep_file": {"200"},
    "read_sessions": {"200", "201"},
    "be_refused": {"401", "404", "422"},
    "break_off": {"broken off"},
}


async def test_soak__every_kind_of_request_is_taken(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        targets = Targets(stack, tmp_path)
        await targets.open()
        path, files = tmp_path / "counts", {"FILES": f"file:///{tmp_path}/files"}
        front = await stack.enter_async_context(targets.counted(path, "inventory", **files))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"X-API-Key": KEY}, timeout=aiohttp.ClientTimeout(20))
        )
        clients = Clients(front.process.url, http, seed=1)

        ends = {kind.__name__: str(await kind()) for kind in clients.kinds}

        assert ends.keys() == ENDS.keys()
        assert {name: end for name, end in ends.items() if end not in ENDS[name]} == {}
        found = await held(Teller(front.process, path))
    assert found.objects > found.kinds["builtins.dict"] > 0
    assert min(found.tasks, found.descriptors, found.threads, found.memory) > 0


@pytest.mark.parametrize(
    ("later", "grown"),
    [
        (HELD, []),
        (replace(HELD, objects=101_000, memory=95_000), []),
        (replace(HELD, objects=103_000), ["objects"]),
        (replace(HELD, tasks=5), ["tasks"]),
        (replace(HELD, descriptors=21, threads=9), ["descriptors", "threads"]),
        (replace(HELD, memory=100_000), ["memory"]),
    ],
)
def test_held__more_than_a_little_more_has_grown(later: Held, grown: list[str]) -> None:
    assert later.grown(HELD) == grown
