"""Clients that are programs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

CLIENT_SECONDS = 200


async def output_of(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What a client prints, which has to end well; it is ended with whoever waits for it."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=env,
    )
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return out.decode()
