"""What is left in each store of a conversation that was deleted: looked for by a word of it."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import uuid
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from bff.agents import Prompt
from bff.events import Done, Event, File, Input, Message, Source, Thinking, ToolEnd, ToolStart
from bff.history.aws import open_client
from bff.history.dynamodb import open_dynamodb
from bff.history.dynamodb.table import create_table
from tests.api.conftest import Service, Start
from tests.api.sent_files import send
from tests.fakes.dynamodb import REGION
from tests.fakes.memory import FakeMemory
from tests.fakes.scripted import ScriptedAgent
from tests.files.conftest import Bucket, contents_of
from tests.history.conftest import PATIENT_SECONDS, memory_history
from tests.runs.valkey.valkey import Valkey, running_valkey

WORD = "Zanzibar"
Look = Callable[[], Awaitable[str]]
"""All that a store holds, as text."""


class WordyAgent(ScriptedAgent):
    """Says the word in every kind of event, and asks when it is asked to."""

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Event], None]:
        self.calls.append(prompt)
        yield [
            Thinking(f"{WORD}?"),
            ToolStart(f"call-{len(self.calls)}", "find", {"place": WORD}),
            ToolEnd(f"call-{len(self.calls)}", "find", f"{WORD} is an island"),
            Source("https://example.com", WORD),
            File("text/plain", None, base64.b64encode(f"{WORD}\n".encode() * 40_000).decode()),
            Message(f"{WORD} it is."),
        ]
        if "ask" in prompt.conversation.text:
            yield [
                Input(f"q{len(self.calls)}", "input", f"Which {WORD}?", None, {"type": "string"})
            ]
        yield [Done()]


@dataclass
class Talk:
    """A conversation that leaves something in every place, and ends in an open question."""

    service: Service

    async def whole(self) -> None:
        file = await send(
            self.service, f"{WORD} by hand\n".encode(), filename=f"{WORD}.txt",
            content_type="text/plain",
        )  # fmt: skip
        document = {"type": "document", "source": {"type": "file", "value": file["id"]}}
        said = [{"type": "text", "text": f"Where is {WORD}?"}, document]
        await self.chat(message=said, headers={"Idempotency-Key": f"{WORD}-key"})
        await self.chat(message=f"Tell me more of {WORD}")
        await self.edit(f"Is {WORD} far?")
        await self.edit(f"Is {WORD} near?")
        asked = await self.chat(message=f"ask me about {WORD}")
        question = asked["inputs"][0]["id"]
        answer = {"input_id": question, "status": "resolved", "payload": f"The {WORD} I know"}
        await self.chat(resume=[answer])
        forgotten = await self.ask("POST", "/v1/responses", input=WORD, conversation="chat")
        await self.ask("DELETE", f"/v1/responses/{forgotten['id']}")
        for session in (await self.ask("GET", "/v1/sessions"))["sessions"]:
            path = f"/v1/sessions/{session['session_id']}"
            await self.ask("PATCH", path, title=f"About {WORD}")
        await self.chat(message=f"ask me about {WORD} once more")

    async def chat(self, *, headers: dict[str, str] | None = None, **body: Any) -> Any:
        return await self.ask("POST", "/v1/chat", headers=headers, session_id="chat", **body)

    async def edit(self, text: str) -> None:
        message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
        body = {"id": "chat", "messages": [message], "messageId": "m1"}
        async with self.service.client.post("/v1/ui/chat", json=body) as reply:
            assert reply.status == 200
            await reply.read()

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **body: Any
    ) -> Any:
        async with self.service.client.request(
            method, path, json=body or None, headers=headers
        ) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def delete(self) -> None:
        async with self.service.client.delete("/v1/sessions/chat") as reply:
            assert reply.status == 204
        assert (await self.ask("GET", "/v1/sessions"))["sessions"] == []
        assert (await self.ask("GET", "/v1/files"))["data"] == []


async def settled(look: Look, *, without: str) -> str:
    """What a store holds once a word is not in it any more: some sweep behind the request."""
    async with asyncio.timeout(30):
        while without in (held := await look()):
            await asyncio.sleep(0.02)
    return held


def folder(path: Path) -> Look:
    """The files of a folder, and what is in them."""

    async def look() -> str:
        return "\n".join(
            f"{name}: {(path / name).read_text(errors='replace')}" for name in contents_of(path)
        )

    return look


async def test_sqlite_and_a_folder__have_nothing_left(start: Start) -> None:
    service = await start(WordyAgent())
    files = folder(service.files)

    async def rows() -> str:
        with closing(sqlite3.connect(service.files.parent / "bff.db")) as database:
            return "\n".join(line for line in database.iterdump() if line.startswith("INSERT"))

    talk = Talk(service)
    await talk.whole()
    assert (await rows()).count(WORD) > 10
    assert (await files()).count(WORD) > 10

    await talk.delete()

    assert await rows() == ""
    assert await files() == ""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with running_valkey(tmp_path) as server:
        yield server


async def test_dynamodb_s3_and_valkey__have_no_word_left(
    valkey: Valkey, start: Start, aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws)
    table, bucket = f"bff-{uuid.uuid4().hex[:8]}", Bucket(aws, f"files-{uuid.uuid4().hex}")
    await create_table(table, region=REGION)
    await bucket.ask("PUT")
    async with (
        open_client("dynamodb", region=REGION) as dynamodb,
        open_client("s3", region=REGION) as s3,
        open_dynamodb(table, region=REGION, call_timeout_seconds=PATIENT_SECONDS) as history,
    ):

        async def items() -> str:
            found = (await dynamodb.scan(TableName=table, ConsistentRead=True))["Items"]
            return "\n".join(json.dumps(item, default=unpacked) for item in found)

        async def objects() -> str:
            found = {
                key: await s3.get_object(Bucket=bucket.name, Key=key) for key in await bucket.keys()
            }
            return "\n".join([f"{key}: {await one['Body'].read()}" for key, one in found.items()])

        async def keys() -> str:
            with redis.Redis(port=valkey.port, decode_responses=True, protocol=2) as kept:
                return "\n".join(f"{key}: {value_of(kept, key)}" for key in kept.keys("*"))

        service = await start(
            WordyAgent(),
            history,
            FILES=f"s3://{bucket.name}/chat/",
            REDIS_URL=valkey.url,
            AWS_REGION=REGION,
        )
        talk = Talk(service)
        await talk.whole()
        stores = (items, objects, keys)
        assert [(await look()).count(WORD) > 10 for look in stores] == [True] * 3

        await talk.delete()

        assert await settled(items, without="pk") == ""
        assert await objects() == ""
        left = (await keys()).splitlines()
        # ids, digests and times, and they expire; and a key of the client's own that was used
        assert [line.split(":")[3] for line in left if WORD in line] == ["key"]
        of_runs = [line for line in left if ":run:" in line]
        assert len(of_runs) == len(service.agent.calls)
        assert all("forgotten" in line and "meta" not in line for line in of_runs)
        kinds = {line.split(":")[3] for line in left}
        assert kinds <= {"run", "session", "key", "epoch", "leases", "alive", "rate", "part"}


def unpacked(value: object) -> str:
    assert isinstance(value, bytes)
    return zlib.decompress(value).decode()


def value_of(kept: redis.Redis, key: str) -> object:
    match kept.type(key):
        case "string":
            return kept.get(key)
        case "hash":
            return kept.hgetall(key)
        case "list":
            return kept.lrange(key, 0, -1)
        case "zset":
            return kept.zrange(key, 0, -1, withscores=True)
    raise AssertionError(key)


async def test_agentcore_memory__has_no_word_left(
    start: Start, aws_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = FakeMemory()
    async with memory.serve() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", address)
        async with memory_history() as history:
            service = await start(WordyAgent(), history)

            async def events() -> str:
                return json.dumps([event for kept in memory.sessions.values() for event in kept])

            talk = Talk(service)
            await talk.whole()
            assert (await events()).count(WORD) > 10

            await talk.delete()

            await settled(events, without=WORD)
            left = [event for kept in memory.sessions.values() for event in kept]
            # until nobody can be reading what they hide
            notes = [json.loads(event["payload"][0]["blob"]) for event in left]
            assert {note["kind"] for note in notes} <= {"clear"}
            assert await folder(service.files)() == ""
