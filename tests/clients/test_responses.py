"""OpenAI's Responses through its own clients, from their first major with it to the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from bff.agents.embedded import EmbeddedAgent
from tests.clients.conftest import ROOT, Play, Start

SCRIPT = Path(__file__).with_name("responses_scenes.py")


SHOWN = {
    "streamed": {
        "numbers": True,
        "first": "response.created",
        "last": "response.completed",
        "text": "I thought about it: What is 15 * 23?",
        "deltas": "I thought about it: What is 15 * 23?",
        "items": ["reasoning", "message"],
    },
    "forked": ["I have seen 2 turns of this conversation."] * 2,
    "resumed": {"numbers": True, "text": "word1 word2 word3 word4 word5 word6 word7 word8"},
    "cancelled": ["in_progress", "cancelled", "cancelled"],
    "deleted": ["not_found", "not_found"],
    "approved": {"arguments": {"amount": 7, "to": "Jo"}, "text": "Paid 7 to Jo.", "once": True},
    "called": {"name": "locate", "arguments": {"exact": True}, "text": "You answered: Rome"},
    "refused": [
        [422, "invalid", "input"],
        [404, "not_found", "previous_response_id"],
        [502, "agent_failed", None],
    ],
    "failed": ["response.failed", "failed", "agent_failed"],
}


@pytest.mark.parametrize("major", ["1", "2", "3"])
async def test_responses__stream_resume_cancel_ask_and_refuse(
    stage: Start, play: Play, major: str
) -> None:
    environment = ROOT / f".envs/openai{major}"
    if not (environment / ".ready").exists():
        pytest.skip(f"openai {major} is not installed: make test makes {environment.name}")
    service = await stage(EmbeddedAgent())

    shown = await play(service, environment / "bin/python", SCRIPT)

    assert shown.pop("version").startswith(major)
    assert shown == SHOWN


@pytest.mark.npm
@pytest.mark.parametrize("alias", ["openai6", "openai7"])
async def test_responses__do_the_same_in_javascript(
    stage: Start, play: Play, node: Path, alias: str
) -> None:
    service = await stage(EmbeddedAgent())

    shown = await play(service, node, "responses.mjs", alias)

    assert shown.pop("version").startswith(alias[-1])
    assert shown == SHOWN
