"""OpenAI's Agents SDK with the agent as its model, over Responses, and a tool of this program's.

pip install openai-agents
BFF_KEY=... python examples/chat_clients/openai_agents_chat.py "I am Jo" "Who am I?"
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from agents import (
    Agent,
    OpenAIResponsesModel,  # or OpenAIChatCompletionsModel
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(
    base_url=os.environ.get("BFF_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ["BFF_KEY"],
)


@function_tool
def locate() -> str:
    """Where the user is."""
    return "Rome"


agent = Agent(
    name="Agent",
    instructions="Be brief.",
    model=OpenAIResponsesModel(model="agent", openai_client=client),
    tools=[locate],
)


async def chat(*texts: str) -> None:
    said: list[Any] = []
    for text in texts:
        answer = await Runner.run(agent, [*said, {"role": "user", "content": text}])
        print(answer.final_output)
        said = answer.to_input_list()


asyncio.run(chat(*sys.argv[1:]))
