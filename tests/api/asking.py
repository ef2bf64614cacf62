"""An agent that asks, and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bff.events import Done, Input, Message
from tests.api.conftest import Service
from tests.fakes.scripted import ScriptedAgent

APPROVAL = Input("i-1", "approval", "May I?", value={"amount": 10})
CITY = Input("i-2", "input", "Which city?")


def asking(*questions: Input, then: Sequence[Any] = ([Message("Paid.")], [Done()])) -> Any:
    """An agent that asks first, and says what it does with the answers."""

    class Asking(ScriptedAgent):
        async def stream(self, prompt):  # type: ignore[no-untyped-def]
            self.calls.append(prompt)
            for step in then if prompt.questions else ([Message("Wait. ")], [*questions], [Done()]):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                    continue
                yield step

    return Asking()


async def chat(service: Service, status: int = 200, **body: Any) -> dict[str, Any]:
    async with service.client.post("/v1/chat", json=body) as reply:
        answer: dict[str, Any] = await reply.json()
        assert reply.status == status, answer
        return answer


def resume(*answers: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"input_id": id, "status": "resolved", "payload": said} for id, said in answers]


YES = resume(("i-1", {"approved": True}))
