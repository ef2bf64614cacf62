"""TypeScript types made of the served OpenAPI document, used as a front end uses them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import aiohttp
import pytest

from tests.clients.conftest import NODE, Start

pytestmark = pytest.mark.npm


async def run(*command: str | Path, cwd: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_types__are_made_from_the_document_and_compile(
    stage: Start, node: Path, tmp_path: Path
) -> None:
    service = await stage()
    _ = shutil.copytree(NODE / "types", tmp_path, dirs_exist_ok=True)
    async with aiohttp.request("GET", f"{service.url}/openapi.json") as reply:
        _ = (tmp_path / "openapi.json").write_bytes(await reply.read())
    tools = NODE / "node_modules/.bin"

    made, said = await run(
        tools / "openapi-typescript", "openapi.json", "-o", "api.ts", cwd=tmp_path
    )
    assert made == 0, said
    compiled, errors = await run(tools / "tsc", "--project", tmp_path, cwd=tmp_path)

    assert (compiled, errors) == (0, "")
