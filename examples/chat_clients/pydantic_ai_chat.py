"""Pydantic AI with the agent as its model, over Responses.

pip install "pydantic-ai-slim[openai]"
BFF_KEY=... python examples/chat_clients/pydantic_ai_chat.py "I am Jo" "Who am I?"
"""

from __future__ import annotations

import os
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel  # or OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(
    base_url=os.environ.get("BFF_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ["BFF_KEY"],
)
agent = Agent(OpenAIResponsesModel("agent", provider=provider), system_prompt="Be brief.")
said = None
for text in sys.argv[1:]:
    answer = agent.run_sync(text, message_history=said)
    print(answer.output)
    said = answer.all_messages()
