"""LangChain's ChatOpenAI with another address.

pip install langchain-openai
BFF_KEY=... python examples/chat_clients/langchain_chat.py "I am Jo" "Who am I?"
"""

from __future__ import annotations

import os
import sys
from typing import Any

from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="agent",
    base_url=os.environ.get("BFF_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ["BFF_KEY"],
    # use_responses_api=True works as well
)
said: list[Any] = [("system", "Be brief.")]
for text in sys.argv[1:]:
    said.append(("user", text))
    answer = None
    for chunk in model.stream(said):
        print(chunk.text, end="", flush=True)
        answer = chunk if answer is None else answer + chunk
    print()
    said.append(answer)
