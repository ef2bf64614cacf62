"""Files that an agent makes: kept, in the history, and linked where they are large."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bff.api import HISTORY
from bff.events import Done, File, Message
from tests.api.conftest import Start
from tests.api.sent_files import JSON, PNG, ask, encoded, history, kept
from tests.fakes.scripted import ScriptedAgent


async def test_a_small_file_of_the_agents__is_an_id_in_the_history(start: Start) -> None:
    made = File("image/png", data=encoded(PNG), filename="chart.png")
    service = await start(ScriptedAgent([[Message("Here."), made], [Done()]]))

    async with service.client.post(
        "/v1/chat/stream", json={"message": "Draw", "session_id": "s-1"}
    ) as reply:
        assert f'"data":"{encoded(PNG)}"' in await reply.text()

    [file_id] = await kept(service)
    assert (await history(service))[1]["parts"] == [
        {
            "type": "image",
            "source": {"type": "file", "value": file_id, "mimeType": "image/png"},
            "filename": "chart.png",
        }
    ]


LINKED: Mapping[str, JSON] = {
    "/v1/chat/stream": {"message": "Draw"},
    "/v1/chat/completions": {
        "model": "agent",
        "stream": True,
        "messages": [{"role": "user", "content": "Draw"}],
    },
    "/v1/responses": {"model": "agent", "stream": True, "input": "Draw"},
    "/v1/agui": {
        "threadId": "t-1",
        "runId": "r-1",
        "messages": [{"id": "m", "role": "user", "content": "Draw"}],
        "tools": [],
        "context": [],
        "state": {},
        "forwardedProps": {},
    },
    "/v1/ui/chat": {
        "id": "chat-1",
        "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Draw"}]}],
    },
}


@pytest.mark.parametrize("path", LINKED)
async def test_a_large_file_of_the_agents__goes_out_as_a_link(start: Start, path: str) -> None:
    data = PNG * 100
    made = File("image/png", data=encoded(data), filename="chart.png")
    service = await start(ScriptedAgent([[Message("Here."), made], [Done()]]))

    text = (await ask(service, path, LINKED[path]))["text"]

    [file_id] = await kept(service)
    assert f'"/v1/files/{file_id}/content"' in text
    assert len(text) < 10_000
    async with service.client.get(f"/v1/files/{file_id}/content") as reply:
        assert await reply.read() == data


async def test_a_response_that_only_the_history_has__links_to_its_files(start: Start) -> None:
    made = File("image/png", data=encoded(PNG), filename="chart.png")
    service = await start(ScriptedAgent([[Message("Here."), made], [Done()]]))
    body: JSON = {"model": "agent", "input": "Draw"}
    response = await ask(service, "/v1/responses", body)
    assert encoded(PNG) in str(response["output"])

    later = await start(history=service.app[HISTORY])

    async with later.client.get(f"/v1/responses/{response['id']}") as reply:
        shown = str(await reply.json())
    [file_id] = await kept(service)
    assert f"/v1/files/{file_id}/content" in shown
    assert encoded(PNG) not in shown
