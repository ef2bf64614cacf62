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
AGUI = {
    "agui37": (0, 0, 37),
    "agui42": (0, 0, 42),
    "agui45": (0, 0, 45),
    "agui59": (0, 0, 59),
    "@ag-ui/client": (1, 0, 0),
}
every_agui = pytest.mark.parametrize("alias", AGUI)
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


@every_agui
async def test_ag_ui__builds_the_thread_shows_errors_and_stops(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage()

    shown = await play(service, node, "agui.mjs", alias, "scenes")

    version = tuple(int(part) for part in shown["version"].split("."))
    assert version == AGUI[alias]
    assert shown["hello"]["messages"][1:] == [{"role": "assistant", "content": "Hello"}]
    turn = [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tools": [["calculator", '{"expression":"15 * 23"}']],
        },
        {"role": "tool", "content": "345"},
        {"role": "assistant", "content": "345"},
    ]
    assert without_thoughts(shown["tools"]["messages"])[1:] == turn
    thoughts = {"role": "reasoning", "content": "A sum."}
    assert (thoughts in shown["tools"]["messages"]) == (alias in ("agui45", "@ag-ui/client"))
    assert shown["tools"]["custom"]["value"] == {"progress": 1}
    assert shown["fail"]["errors"] == ["agent_failed"]
    assert shown["fail"]["events"][-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    own = shown["own"]
    # 0.0.45 cannot apply a patch, whoever sends it: its build lacks the function
    assert own["state"] == {"n": 1 if alias == "agui45" else 2}
    assert own["messages"][-1]["content"] == "Hello"
    assert own["custom"]["name"] == "progress"
    assert "thrown" not in own
    two_turns = without_thoughts(shown["thread"]["messages"])
    assert two_turns[1:4] == two_turns[5:] == turn
    assert len(set(shown["thread"]["ids"])) == len(shown["thread"]["ids"])
    assert shown["stop"]["text"] == "Hel"
    assert set(service.actor.calls.values()) == {1}
    await service.seen(lambda: service.actor.closed["wait stop"] == 1)


def without_thoughts(messages: list[Any]) -> list[Any]:
    """What every version keeps of a thread."""
    return [message for message in messages if message["role"] not in ("reasoning", "activity")]


@every_agui
async def test_ag_ui__holds_conversations_edits_answers_and_comes_back(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage(EmbeddedAgent())

    shown = await play(service, node, "agui.mjs", alias, "threads")

    turns = {n: f"I have seen {n} turns of this conversation." for n in (2, 3)}
    assert shown["memory"] == {
        "empty": ["RUN_STARTED", "RUN_FINISHED"],
        "third": turns[3],
        "edited": turns[2],
        "then": turns[3],
    }
    assert shown["tool"] == {
        "asked": "RUN_FINISHED",
        "call": {"name": "locate", "arguments": '{"exact":true}'},
        "said": 'You answered: {"city":"Rome"}',
    }
    asked = [["pay", '{"amount":7,"to":"Jo"}']]
    paid = {"asked": asked, "said": "Paid 7 to Jo.", "result": "paid", "turns": turns[2]}
    declined = {"said": "Not paid: it was declined.", "result": "declined"}
    assert shown["approved"] == paid
    assert shown["declined"] == paid | declined
    assert shown["input"] == {"asked": 1, "said": "You answered: Rome"}
    back = shown["connected"]
    assert [message["role"] for message in back["shown"]] == [
        "user", "assistant", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert back["shown"][-1]["tools"] == asked
    assert (back["said"], back["turns"]) == ("Paid 7 to Jo.", turns[3])


async def test_ag_ui__throws_a_429_with_its_status(stage: Start, play: Play, node: Path) -> None:
    service = await stage(MAX_STREAMS_PER_USER="1")

    async with service.full_house():
        shown = await play(service, node, "agui.mjs", "@ag-ui/client", "refused")

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
