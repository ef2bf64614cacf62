"""The clients that front ends use, from npm; a script in node/ drives each through its scenes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bff.agents.embedded import EmbeddedAgent
from tests.clients.conftest import Play, Start

pytestmark = pytest.mark.npm

both = pytest.mark.parametrize("alias", ["ai6", "ai7"])
every = pytest.mark.parametrize("alias", ["ai500", "ai560", "ai5120", "ai6", "ai7"])
both_openai = pytest.mark.parametrize("alias", ["openai6", "openai7"])


@both_openai
async def test_openai__shows_text_reasoning_usage_errors_and_stops(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage()

    shown = await play(service, node, "openai.mjs", alias, "scenes")

    assert shown["version"].startswith(alias[-1])
    answer = {"text": "Hello", "reasoning": "", "tool_calls": 0, "finish": ["stop"], "usage": [3]}
    assert shown["hello"] == answer
    assert shown["blocking"] == {"text": "Hello", "finish": "stop", "usage": 3}
    assert shown["tools"] == answer | {
        "text": "Let me see.345",
        "reasoning": "A sum.",
        "usage": [0],
    }
    assert (shown["fail"]["text"], shown["fail"]["finish"]) == ("Hel", [])
    assert shown["fail"]["error"]["code"] == "agent_failed"
    assert shown["fail_blocking"]["error"]["status"] == 502
    assert shown["throttled"]["error"]["class"] == "RateLimitError"
    assert shown["too_long"]["error"]["param"] == "messages.0.content"
    assert (shown["stop"], shown["models"]) == ("Hel", ["agent"])
    # one call a turn, although the client would repeat a 429 and a 502 twice each
    assert set(service.actor.calls.values()) == {1}
    await service.seen(lambda: service.actor.closed["wait stop"] == 1)


@both_openai
async def test_openai__comes_back_after_a_429_and_pays_the_agent_once(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage(MAX_STREAMS_PER_USER="1")
    path = "/v1/chat/completions"

    async with service.full_house():
        playing = asyncio.create_task(play(service, node, "openai.mjs", alias, "retry"))
        await service.seen(lambda: 429 in service.statuses(path))
    shown = await playing

    assert shown["hello"]["text"] == "Hello"
    assert service.statuses(path) == [429, 200]
    assert service.actor.calls["hello retried"] == 1


@both
async def test_the_ai_sdk__shows_tools_and_errors_resumes_from_the_start_and_stops(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage()

    playing = asyncio.create_task(play(service, node, "ui.mjs", alias, "scenes"))
    await service.seen(lambda: service.statuses("/v1/ui/chat/resumed/stream") == [200])
    service.actor.signal("go").set()
    shown = await playing

    assert shown["version"].startswith(alias[-1])
    hello = shown["hello"]["message"]
    assert (shown["hello"]["text"], shown["hello"]["errors"]) == ("Hello", [])
    assert hello["metadata"] == {
        "runId": hello["id"],
        "sessionId": "1",
        "status": "complete",
        "usage": {"inputTokens": 1, "outputTokens": 2},
    }
    assert tools_shown(shown["tools"]) == [
        ("step-start", None),
        ("reasoning", "A sum."),
        ("text", "Let me see."),
        ("dynamic-tool", ["output-available", {"expression": "15 * 23"}, "345"]),
        ("data-custom", {"progress": 1}),
        ("text", "345"),
    ]
    failed = "The agent failed before its answer was complete."
    assert (shown["fail"]["text"], shown["fail"]["errors"]) == ("Hel", [failed])
    assert shown["chat"] == {
        "toolCalls": [],  # none was offered to the page
        "errors": [failed, failed],
        "failed": "error",
        "roles": ["user", "assistant", "user", "assistant"],
    }
    assert (shown["resume"]["before"], shown["resume"]["after"]) == ("Hel", "Hello")
    assert shown["resume"]["then"] is None
    assert shown["stop"] == {"text": "Hel", "status": "ready", "run": "cancelled", "then": None}
    assert shown["stopped"][-2:] == ["text-end", "abort"]
    # one call a turn; the failed one was asked for again, by `regenerate()`
    assert service.actor.calls.pop("fail chat") == 2
    assert set(service.actor.calls.values()) == {1}
    assert service.actor.closed["wait stop"] == service.actor.closed["wait watched"] == 1


@every
async def test_the_ai_sdk__holds_conversations_edits_and_answers(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage(EmbeddedAgent())

    shown = await play(service, node, "chats.mjs", alias)

    assert shown["version"].startswith(alias[2])
    one, two = (f"I have seen {turns} of this conversation." for turns in ("1 turn", "2 turns"))
    assert shown["memory"] == {
        "turns": [two], "regenerated": [two], "edited": [one], "then": [two], "errors": [],
    }  # fmt: skip
    city = {"city": "Rome"}
    assert shown["tool"] == {
        "asked": [["tool-locate", "input-available", None]],
        "said": ['You answered: {"city":"Rome"}'],
        "tools": [["tool-locate", "output-available", city]],
        "messages": 2,  # the answer goes on with the message that asked
        "errors": [],
    }
    assert (shown["input"]["said"], shown["input"]["errors"]) == (["You answered: Rome"], [])
    if alias.startswith("ai5"):
        return  # which knows no approvals
    asked = [["dynamic-tool", "approval-requested", None]]
    wish = "I would like to pay."
    assert shown["approved"] == {
        "asked": asked,
        "said": [wish, "Paid 7 to Jo."],
        "tools": [["dynamic-tool", "output-available", "paid"]],
        "turns": [two],
        "messages": 4,
        "errors": [],
    }
    assert shown["declined"]["said"] == [wish, "Not paid: it was declined."]
    assert shown["declined"]["tools"] == [["dynamic-tool", "output-error", "declined"]]
    assert shown["reloaded"] == {
        "asked": asked,
        "said": [wish, "Paid 7 to Jo."],
        "messages": 2,
        "again": [["text"], ["step-start", "dynamic-tool", "text", "step-start", "text"]],
        "tools": [["dynamic-tool", "output-available", "paid"]],
        "errors": [],
    }


def tools_shown(read: dict[str, Any]) -> list[tuple[str, Any]]:
    """The parts of a message, each with what a page would render of it."""
    assert read["errors"] == []
    parts = []
    for part in read["message"]["parts"]:
        tool = [part.get("state"), part.get("input"), part.get("output")]
        shown = tool if "toolCallId" in part else part.get("text", part.get("data"))
        parts.append((part["type"], shown))
    return parts


@both
async def test_the_ai_sdk__shows_a_429_in_words_and_does_not_call_again(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage(MAX_STREAMS_PER_USER="1")

    async with service.full_house():
        shown = await play(service, node, "ui.mjs", alias, "refused")

    for refused in (shown["refused"], shown["then"]):
        assert refused["status"] == (429 if alias == "ai7" else None)
        assert refused["problem"]["code"] == "too_many_streams"
    assert service.statuses("/v1/ui/chat") == [429, 429]
    assert service.actor.calls["hello refused"] == 0


async def test_ag_ui__builds_the_thread_shows_errors_and_stops(
    stage: Start, play: Play, node: Path
) -> None:
    service = await stage()

    shown = await play(service, node, "agui.mjs", "scenes")

    assert shown["version"].startswith("1.")
    assert shown["hello"]["messages"][1:] == [{"role": "assistant", "content": "Hello"}]
    turn = [
        {"role": "reasoning", "content": "A sum."},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tools": [["calculator", '{"expression":"15 * 23"}']],
        },
        {"role": "tool", "content": "345"},
        {"role": "assistant", "content": "345"},
    ]
    assert shown["tools"]["messages"][1:] == turn
    assert (shown["tools"]["outcome"], shown["tools"]["custom"]) == ("success", {"progress": 1})
    assert shown["fail"]["errors"] == ["agent_failed"]
    assert shown["fail"]["events"][-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    two_turns = shown["thread"]
    assert two_turns["messages"][1:5] == two_turns["messages"][6:] == turn
    assert len(set(two_turns["ids"])) == len(two_turns["ids"])
    assert shown["stop"] == {"text": "Hel"}
    assert set(service.actor.calls.values()) == {1}
    await service.seen(lambda: service.actor.closed["wait stop"] == 1)


async def test_ag_ui__throws_a_429_with_its_status(stage: Start, play: Play, node: Path) -> None:
    service = await stage(MAX_STREAMS_PER_USER="1")

    async with service.full_house():
        shown = await play(service, node, "agui.mjs", "refused")

    assert shown["refused"]["thrown"]["status"] == 429
    assert "too_many_streams" in shown["refused"]["thrown"]["message"]
    assert service.actor.calls["hello refused"] == 0


async def test_eventsource__comes_back_with_what_it_saw_last_until_nothing_is_left(
    stage: Start, play: Play, node: Path
) -> None:
    service = await stage()

    def streams() -> list[int]:
        return [status for _, path, status in service.replies if path.endswith("/events")]

    playing = asyncio.create_task(play(service, node, "eventsource.mjs"))
    await service.seen(lambda: streams() == [200, 200])
    service.actor.signal("go").set()
    shown = await playing

    assert shown["version"].startswith("4.")
    assert (shown["ids"], shown["text"]) == ([1, 2, 3, 4], "Hello")
    assert shown["resumedAfter"] == [None, "2", "4"]
    assert (shown["statuses"], shown["status"], shown["state"]) == ([200, 200, 204], "complete", 2)
    assert set(service.actor.calls.values()) == {1}
