"""Files through openai's own client, whichever major this interpreter has.

Run by tests/clients/test_files.py; prints what the agent said of each, as JSON.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
from typing import Any

openai: Any = importlib.import_module("openai")  # it is not in the environment that mypy reads
client = openai.OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["API_KEY"])


def part(kind: str, mime_type: str, filename: str, data: str) -> dict[str, Any]:
    url = f"data:{mime_type};base64,{data}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"type": "file", "file": {"filename": filename, "file_data": url}}


def chat(content: list[dict[str, Any]]) -> str:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *content]}]
    reply = client.chat.completions.create(model="agent", messages=messages)
    return str(reply.choices[0].message.content)


def responses(kind: str, mime_type: str, filename: str, data: str) -> str:
    url = f"data:{mime_type};base64,{data}"
    file = (
        {"type": "input_image", "image_url": url, "detail": "auto"}
        if kind == "image"
        else {"type": "input_file", "filename": filename, "file_data": url}
    )
    content = [{"type": "input_text", "text": "What is it?"}, file]
    reply = client.responses.create(model="agent", input=[{"role": "user", "content": content}])
    return str(reply.output_text)


def uploaded(kind: str, mime_type: str, filename: str, data: str) -> str:
    sent = (filename, base64.b64decode(data), mime_type)
    file = client.files.create(file=sent, purpose="user_data")
    return chat([{"type": "file", "file": {"file_id": file.id}}])


files = json.loads(os.environ["SENT"])
print(
    json.dumps(
        {
            "chat": [chat([part(*file)]) for file in files],
            "responses": [responses(*file) for file in files],
            "uploaded": [uploaded(*file) for file in files],
        }
    )
)
