"""The agent through OpenAI's own client; versions 1, 2 and 3 are tested.

    pip install openai
    BFF_KEY=... python examples/openai_python.py "What is 15 * 23?"

Tools run inside the agent, so there are no `tool_calls` to execute here.
"""

from __future__ import annotations

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("BFF_URL", "http://127.0.0.1:8000") + "/v1",
    api_key=os.environ["BFF_KEY"],
)
stream = client.chat.completions.create(
    model="agent",
    messages=[{"role": "user", "content": " ".join(sys.argv[1:]) or "What is 15 * 23?"}],
    metadata={"session_id": "openai-example"},  # the conversation; without it, a new one
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        print(f"\n{chunk.usage.total_tokens} tokens")
