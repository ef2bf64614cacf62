"""Every scene through openai's own client, whichever major this interpreter has.

Run by tests/clients/test_openai.py; prints what the client showed, as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

openai: Any = importlib.import_module("openai")  # it is not in the environment that mypy reads

BASE_URL = os.environ["BASE_URL"] + "/v1"
API_KEY = os.environ["API_KEY"]


def said(error: BaseException) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "code": getattr(error, "code", None),
        "type": getattr(error, "type", None),
        "param": getattr(error, "param", None),
        "status": getattr(error, "status_code", None),
        "request_id": getattr(error, "request_id", None),
    }


def asked(message: str) -> dict[str, Any]:
    return {"model": "agent", "messages": [{"role": "user", "content": message}]}


def stream(client: Any, message: str, **options: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "text": "",
        "reasoning": "",
        "tool_calls": 0,
        "finish": [],
        "usage": [],
    }
    try:
        for chunk in client.chat.completions.create(**asked(message), stream=True, **options):
            if chunk.usage:
                shown["usage"].append(chunk.usage.total_tokens)
            for choice in chunk.choices:
                shown["text"] += choice.delta.content or ""
                shown["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
                shown["tool_calls"] += len(choice.delta.tool_calls or [])
                if choice.finish_reason:
                    shown["finish"].append(choice.finish_reason)
    except openai.APIError as error:
        shown["error"] = said(error)
    return shown


def blocking(client: Any, message: str) -> dict[str, Any]:
    try:
        answer = client.chat.completions.create(**asked(message))
    except openai.APIError as error:
        return {"error": said(error)}
    [choice] = answer.choices
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "usage": answer.usage.total_tokens,
    }


async def asynchronous(message: str) -> str:
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        chunks = await client.chat.completions.create(**asked(message), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


def stop(client: Any) -> str:
    """Read the first words and close the stream."""
    with client.chat.completions.create(**asked("wait stop"), stream=True) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                return str(chunk.choices[0].delta.content)
    raise AssertionError


def scenes() -> dict[str, Any]:
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return {
            "hello": stream(client, "hello stream", stream_options={"include_usage": True}),
            "blocking": blocking(client, "hello blocking"),
            "async": asyncio.run(asynchronous("hello async")),
            "tools": stream(client, "tools", stream_options={"include_usage": True}),
            "fail": stream(client, "fail stream"),
            "fail_blocking": blocking(client, "fail blocking"),
            "throttled": blocking(client, "throttled"),
            "too_long": blocking(client, "hello " + "x" * 100_000),
            "stop": stop(client),
            "models": [model.id for model in client.models.list()],
        }


def files() -> dict[str, Any]:
    """A file's life: every call that OpenAI's clients have for files but those that wait."""
    png = b"\x89PNG\r\n\x1a\n" + os.urandom(300_000)
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        made = client.files.create(file=("ü.png", png, "image/png"), purpose="vision")
        others = [
            client.files.create(file=(f"{n}.txt", b"hello"), purpose="user_data") for n in range(3)
        ]
        shown = {
            "file": made.to_dict(),
            "same": client.files.retrieve(made.id) == made,
            "content": client.files.content(made.id).read() == png,
            "pages": [[file.id for file in page.data] for page in _pages(client)],
            "all": [file.id for file in client.files.list(limit=2)],
            "made": [file.id for file in (made, *others)],
            "asynchronous": asyncio.run(_file_asynchronously()),
        }
        with client.files.with_streaming_response.content(made.id) as streamed:
            shown["streamed"] = b"".join(streamed.iter_bytes()) == png
        shown["deleted"] = client.files.delete(made.id).to_dict()
        wrong: dict[str, Callable[[], Any]] = {
            "gone": lambda: client.files.retrieve(made.id),
            "gone_content": lambda: client.files.content(made.id),
            "empty": lambda: client.files.create(file=("a", b""), purpose="user_data"),
            "large": lambda: client.files.create(file=("a", bytes(1_100_000)), purpose="vision"),
        }
        for name, call in wrong.items():
            try:
                call()
            except openai.APIError as error:
                shown[name] = said(error)
        return shown


def _pages(client: Any) -> Any:
    page = client.files.list(limit=2)
    return page.iter_pages()


async def _file_asynchronously() -> bool:
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        made = await client.files.create(file=("a.csv", b"a,b"), purpose="assistants")
        content = await client.files.content(made.id)
        deleted = await client.files.delete(made.id)
        return bool(content.read() == b"a,b" and deleted.deleted)


def retry() -> dict[str, Any]:
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        return {"hello": stream(client, "hello retried")}


if __name__ == "__main__":
    act = {"scenes": scenes, "files": files, "retry": retry}[sys.argv[1]]
    print(json.dumps({"version": openai.__version__, **act()}))
