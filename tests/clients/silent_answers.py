"""What Pydantic AI and OpenAI's Agents SDK make of an answer without text; prints it as JSON."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from typing import Any


def need(module: str) -> Any:
    """A module that mypy's environment has not."""
    return importlib.import_module(module)


async def pydantic_ai(model: str, client: Any, text: str, *, streamed: bool) -> str:
    provider = need("pydantic_ai.providers.openai").OpenAIProvider(openai_client=client)
    of_openai = getattr(need("pydantic_ai.models.openai"), model)("agent", provider=provider)
    agent = need("pydantic_ai").Agent(of_openai)
    if streamed:
        async with agent.run_stream(text) as answer:
            return str(await answer.get_output())
    return str((await agent.run(text)).output)


async def openai_agents(model: str, client: Any, text: str, *, streamed: bool) -> str:
    agents = need("agents")
    agents.set_tracing_disabled(True)
    of_openai = getattr(agents, model)(model="agent", openai_client=client)
    agent = agents.Agent(name="Agent", model=of_openai)
    if streamed:
        answer = agents.Runner.run_streamed(agent, text)
        async for _ in answer.stream_events():
            pass
    else:
        answer = await agents.Runner.run(agent, text)
    return str(answer.final_output)


async def main() -> None:
    shown = {}
    async with need("openai").AsyncOpenAI(
        base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["API_KEY"], max_retries=0
    ) as client:
        for ask, models in (
            (pydantic_ai, ("OpenAIChatModel", "OpenAIResponsesModel")),
            (openai_agents, ("OpenAIChatCompletionsModel", "OpenAIResponsesModel")),
        ):
            for model in models:
                for streamed in (False, True):
                    name = f"{ask.__name__} {model}{' streamed' if streamed else ''}"
                    shown[name] = await ask(model, client, f"silent {name}", streamed=streamed)
    print(json.dumps(shown))


asyncio.run(main())
