"""openai's Python client, in three majors, each from an environment of its own in .envs/."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients.conftest import ROOT, Play, Start

SCRIPT = Path(__file__).with_name("openai_scenes.py")


@pytest.fixture(params=["1", "2", "3"])
def openai(request: pytest.FixtureRequest) -> Path:
    """A Python that has this major of openai."""
    environment = ROOT / f".envs/openai{request.param}"
    if not (environment / ".ready").exists():
        pytest.skip(f"openai {request.param} is not installed: make test makes {environment.name}")
    return environment / "bin/python"


async def test_openai__shows_text_reasoning_usage_errors_and_stops(
    stage: Start, play: Play, openai: Path
) -> None:
    service = await stage()

    shown = await play(service, openai, SCRIPT, "scenes")

    assert shown["version"].startswith(openai.parts[-3].removeprefix("openai"))
    assert shown["hello"] == {
        "text": "Hello",
        "reasoning": "",
        "tool_calls": 0,
        "finish": ["stop"],
        "usage": [3],
    }
    assert shown["blocking"] == {"text": "Hello", "finish": "stop", "usage": 3}
    assert shown["async"] == "Hello"
    assert shown["tools"] == {
        "text": "Let me see.345",
        "reasoning": "A sum.",
        "tool_calls": 0,
        "finish": ["stop"],
        "usage": [0],  # the agent did not say
    }
    assert shown["fail"]["text"] == "Hel"
    assert shown["fail"]["finish"] == []
    assert shown["fail"]["error"]["code"] == "agent_failed"
    assert shown["fail"]["error"]["type"] == "server_error"
    assert shown["fail_blocking"]["error"]["class"] == "InternalServerError"
    assert shown["fail_blocking"]["error"]["status"] == 502
    assert shown["fail_blocking"]["error"]["request_id"]
    assert shown["throttled"]["error"]["class"] == "RateLimitError"
    assert shown["throttled"]["error"]["code"] == "agent_throttled"
    assert shown["too_long"]["error"]["class"] == "UnprocessableEntityError"
    assert shown["too_long"]["error"]["param"] == "messages.0.content"
    assert shown["stop"] == "Hel"
    assert shown["models"] == ["agent"]
    # one call a turn, although the client would repeat a 429 and a 502 twice each
    assert set(service.actor.calls.values()) == {1}
    assert len(service.actor.calls) == 8
    await service.seen(lambda: service.actor.closed["wait stop"] == 1)


async def test_openai__keeps_reads_lists_and_deletes_files(
    stage: Start, play: Play, openai: Path
) -> None:
    service = await stage(FILES_MAX_MB="1")

    shown = await play(service, openai, SCRIPT, "files")

    file = shown["file"]
    assert (file["object"], file["bytes"], file["status"]) == ("file", 300_008, "processed")
    assert (file["filename"], file["purpose"], file["mime_type"]) == (
        "ü.png",
        "vision",
        "image/png",
    )
    assert shown["same"]
    assert shown["content"]
    assert shown["streamed"]
    assert shown["asynchronous"]
    newest = sorted(shown["made"], reverse=True)
    assert shown["all"] == newest
    assert shown["pages"] == [newest[:2], newest[2:]]
    assert shown["deleted"] == {"id": file["id"], "object": "file", "deleted": True}
    assert [shown[name]["class"] for name in ("gone", "gone_content", "empty", "large")] == [
        *("NotFoundError", "NotFoundError", "UnprocessableEntityError", "APIStatusError"),
    ]
    assert [shown[name]["status"] for name in ("gone", "empty", "large")] == [404, 422, 413]
    assert (shown["empty"]["param"], shown["large"]["code"]) == ("file", "too_large")


async def test_openai__comes_back_after_a_429_and_pays_the_agent_once(
    stage: Start, play: Play, openai: Path
) -> None:
    service = await stage(MAX_STREAMS_PER_USER="1")
    path = "/v1/chat/completions"

    async with service.full_house():
        playing = asyncio.create_task(play(service, openai, SCRIPT, "retry"))
        await service.seen(lambda: 429 in service.statuses(path))
    shown = await playing

    assert shown["hello"]["text"] == "Hello"
    assert service.statuses(path) == [429, 200]
    assert service.actor.calls["hello retried"] == 1


async def test_an_answer_without_text__calls_the_agent_once(stage: Start, play: Play) -> None:
    """Pydantic AI asks again where the text is missing or empty."""
    environment = ROOT / ".envs/openai3"
    if not (environment / ".ready").exists():
        pytest.skip("its clients are not installed: make test makes openai3")
    service = await stage()

    script = SCRIPT.with_name("silent_answers.py")
    shown = await play(service, environment / "bin/python", script)

    assert set(shown.values()) == {"\n"}
    assert len(shown) == 8
    assert service.actor.calls == {f"silent {name}": 1 for name in shown}
