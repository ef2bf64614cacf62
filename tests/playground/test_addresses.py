from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from bff.api.playground import FILES
from tests.fakes.page import KEY, AgentByMessage, Served, local_settings, serve_page


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve_page(local_settings(tmp_path), AgentByMessage(lambda _: None)) as served:
        yield served


@pytest.mark.parametrize(
    ("headers", "given"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, KEY),
        ({"Sec-Fetch-Site": "none"}, KEY),
        ({"Sec-Fetch-Site": "same-origin", "Host": "localhost:8000"}, KEY),
        ({"Sec-Fetch-Site": "same-origin", "Host": "[::1]:8000"}, KEY),
        ({}, None),
        ({"Sec-Fetch-Site": "same-site"}, None),
        ({"Sec-Fetch-Site": "cross-site"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Host": "rebound.example:8000"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Host": "127.0.0.1.rebound.example"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Host": "localhost.rebound.example"}, None),
        ({"Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "127.0.0.1"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Forwarded": "for=127.0.0.1"}, None),
    ],
)
async def test_made_up_key__is_given_to_the_page_on_this_machine_only(
    served: Served, headers: dict[str, str], given: str | None
) -> None:
    address = served.url + "playground/config.json"
    async with aiohttp.ClientSession() as client, client.get(address, headers=headers) as reply:
        told = await reply.json()
        assert told == {"agent": "embedded", "key": given, "most_file_bytes": 25 * 1024**2}
        assert reply.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in reply.headers


@pytest.mark.parametrize(
    "path", ["", *(f"playground/{name}" for name in FILES if "html" not in name)]
)
async def test_page__is_served_under_a_strict_policy(served: Served, path: str) -> None:
    async with aiohttp.ClientSession() as client, client.get(served.url + path) as reply:
        assert reply.status == 200
        policy = dict(
            part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; ")
        )
        kind = reply.content_type

    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert kind == kinds.get(path.rpartition(".")[2], "text/html")


@pytest.mark.parametrize("name", ["", "nothing.js", "index.html", "%2e%2e%2fapp.py"])
async def test_file__that_is_none_of_the_pages_is_not_found(served: Served, name: str) -> None:
    address = f"{served.url}playground/{name}"
    async with aiohttp.ClientSession() as client, client.get(address) as reply:
        assert reply.status == 404
        assert (await reply.json())["code"] == "not_found"


async def test_page__is_served_where_it_is_wanted_only(tmp_path: Path) -> None:
    settings = local_settings(tmp_path, playground=False)
    async with (
        serve_page(settings, AgentByMessage(lambda _: None)) as served,
        aiohttp.ClientSession(headers={"Sec-Fetch-Site": "same-origin"}) as client,
    ):
        for path in ("", "playground/app.js", "playground/config.json"):
            async with client.get(served.url + path) as reply:
                assert reply.status == 404


def test_page__has_no_inline_script_or_style_and_no_other_origin() -> None:
    for path in FILES.values():
        text = path.read_text()
        assert "innerHTML" not in text
        assert set(re.findall(r"https?://([\w.]+)", text)) <= {
            "www.w3.org",
            "html.spec.whatwg.org",
        }, path
    page = FILES["index.html"].read_text()
    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", page) == []
