"""Files in messages, over a real socket: what an agent is given, and what is left where."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import re
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from bff.api import BODIES
from bff.events import Done, Message
from bff.messages import FilePart, TextPart
from tests.api.conftest import KEYS, Service, Start
from tests.api.sent_files import JSON, PNG, ask, encoded, history, kept, send
from tests.fakes.scripted import ScriptedAgent

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)
PDF = b"%PDF-1.7\n" + b"page " * 50


def data_url(data: bytes = PNG, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{encoded(data)}"


def image(data: bytes = PNG, **fields: Any) -> JSON:
    source = {"type": "data", "value": encoded(data), "mimeType": "image/png"}
    return {"type": "image", "source": source, **fields}


def document(data: bytes, **fields: Any) -> JSON:
    source = {"type": "data", "value": encoded(data), "mimeType": "application/octet-stream"}
    return {"type": "document", "source": source, **fields}


def stored(file_id: str) -> JSON:
    return {"type": "image", "source": {"type": "file", "value": file_id}}


async def chat(service: Service, *parts: JSON, status: int = 200, **options: Any) -> JSON:
    headers = options.pop("headers", {})
    body = {"message": list(parts), "session_id": "s-1", **options}
    return await ask(service, "/v1/chat", body, status, **headers)


def given(service: Service) -> FilePart:
    [file] = service.agent.calls[-1].conversation.files
    return file


# In, by every protocol


def openai(*content: JSON) -> tuple[str, JSON]:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Look"}, *content]}]
    return "/v1/chat/completions", {"model": "agent", "messages": messages}


def responses(*content: JSON) -> tuple[str, JSON]:
    said = {"role": "user", "content": [{"type": "input_text", "text": "Look"}, *content]}
    return "/v1/responses", {"model": "agent", "input": [said]}


def agui(*content: JSON, **fields: JSON) -> tuple[str, JSON]:
    message = {"id": "m", "role": "user", "content": [{"type": "text", "text": "Look"}, *content]}
    body = {"threadId": "t-1", "runId": "r-1", "messages": [message], "tools": [], "context": []}
    return "/v1/agui", {**body, "state": {}, "forwardedProps": {}, **fields}


def ai_sdk(*parts: JSON) -> tuple[str, JSON]:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Look"}, *parts]}
    return "/v1/ui/chat", {"id": "chat-1", "messages": [message], "trigger": "submit-message"}


def native(*parts: JSON) -> tuple[str, JSON]:
    return "/v1/chat", {"message": [{"type": "text", "text": "Look"}, *parts]}


INLINE: Mapping[str, tuple[tuple[str, JSON], FilePart]] = {
    "native": (native(image()), FilePart("image", "image/png")),
    "native, named": (
        native(image(filename="a.png")),
        FilePart("image", "image/png", filename="a.png"),
    ),
    "OpenAI image_url": (
        openai({"type": "image_url", "image_url": {"url": data_url()}}),
        FilePart("image", "image/png"),
    ),
    "OpenAI image_url of another type": (
        openai({"type": "image_url", "image_url": {"url": data_url(mime_type="image/jpeg")}}),
        FilePart("image", "image/png"),
    ),
    "OpenAI input_audio": (
        openai({"type": "input_audio", "input_audio": {"data": encoded(WAV), "format": "wav"}}),
        FilePart("audio", "audio/wav"),
    ),
    "OpenAI file_data": (
        openai(
            {
                "type": "file",
                "file": {
                    "file_data": data_url(PDF, "application/pdf"),
                    "filename": "a.pdf",
                },
            }
        ),
        FilePart("document", "application/pdf", filename="a.pdf"),
    ),
    "OpenAI file_data without its type": (
        openai({"type": "file", "file": {"file_data": encoded(PNG), "filename": "a.png"}}),
        FilePart("image", "image/png", filename="a.png"),
    ),
    "Responses input_image": (
        responses({"type": "input_image", "image_url": data_url()}),
        FilePart("image", "image/png"),
    ),
    "Responses input_file": (
        responses(
            {
                "type": "input_file",
                "file_data": data_url(PDF, "application/pdf"),
                "filename": "a.pdf",
            }
        ),
        FilePart("document", "application/pdf", filename="a.pdf"),
    ),
    "AG-UI": (agui(image()), FilePart("image", "image/png")),
    "AG-UI of old": (
        agui(
            {
                "type": "binary",
                "mimeType": "image/png",
                "data": encoded(PNG),
                "filename": "a.png",
            }
        ),
        FilePart("image", "image/png", filename="a.png"),
    ),
    "AI SDK": (
        ai_sdk({"type": "file", "mediaType": "image/png", "url": data_url(), "filename": "a.png"}),
        FilePart("image", "image/png", filename="a.png"),
    ),
    "AI SDK 7": (
        ai_sdk({"type": "file", "mediaType": "image", "url": data_url()}),
        FilePart("image", "image/png"),
    ),
}


@pytest.mark.parametrize("client", INLINE)
async def test_a_file_of_any_client__is_kept_by_its_id_and_given_in_bytes(
    start: Start, client: str
) -> None:
    service = await start()
    (path, body), expected = INLINE[client]
    data = {"audio": WAV, "document": PDF}.get(expected.kind, PNG)

    await ask(service, path, body)

    file = given(service)
    assert base64.b64decode(file.data or "") == data
    told = (file.kind, file.mime_type, file.filename, file.url, file.file_id)
    assert told == (expected.kind, expected.mime_type, expected.filename, None, None)
    [file_id] = await kept(service)
    async with service.client.get(f"/v1/files/{file_id}/content") as reply:
        assert await reply.read() == data
    async with service.client.get("/v1/sessions") as reply:
        [session] = (await reply.json())["sessions"]
    said, _ = await history(service, session["session_id"])
    source = {"type": "file", "value": file_id, "mimeType": expected.mime_type}
    name = {"filename": expected.filename} if expected.filename else {}
    assert said["content"] == "Look"
    assert said["parts"] == [
        {"type": "text", "text": "Look"},
        {"type": expected.kind, "source": source, **name},
    ]


def by_id(client: str, file_id: str, url: str) -> tuple[str, JSON]:
    here, there = f"/v1/files/{file_id}/content", f"{url}/v1/files/{file_id}/content"
    match client:
        case "native":
            return native(stored(file_id))
        case "OpenAI file":
            return openai({"type": "file", "file": {"file_id": file_id}})
        case "OpenAI image at its address":
            return openai({"type": "image_url", "image_url": {"url": here}})
        case "Responses image":
            return responses({"type": "input_image", "file_id": file_id})
        case "Responses file":
            return responses({"type": "input_file", "file_id": file_id})
        case "AG-UI":
            return agui(stored(file_id))
        case "AG-UI, by address":
            source = {"type": "url", "value": here, "mimeType": "image/png"}
            return agui({"type": "image", "source": source})
        case "AG-UI of old":
            return agui({"type": "binary", "mimeType": "image/png", "id": file_id})
        case "AI SDK":
            return ai_sdk({"type": "file", "mediaType": "image/png", "url": here})
        case "AI SDK, absolute":
            return ai_sdk({"type": "file", "mediaType": "image/png", "url": there})
        case "AI SDK, absolute and secure":
            secure = there.replace("http:", "https:")
            return ai_sdk({"type": "file", "mediaType": "image/png", "url": secure})
    raise AssertionError(client)


BY_ID = [
    *("native", "OpenAI file", "OpenAI image at its address", "AI SDK"),
    *("AI SDK, absolute", "AI SDK, absolute and secure"),
    *("Responses image", "Responses file", "AG-UI", "AG-UI, by address", "AG-UI of old"),
]


@pytest.mark.parametrize("client", BY_ID)
async def test_a_stored_file__is_given_to_its_owners_agent_alone(start: Start, client: str) -> None:
    service = await start()
    file = await send(service, PNG)
    path, body = by_id(client, file["id"], service.url)

    await ask(service, path, body)

    assert given(service) == FilePart("image", "image/png", data=encoded(PNG), filename="a.png")
    assert await kept(service) == [file["id"]]
    calls = len(service.agent.calls)
    if (
        client == "AI SDK, absolute and secure"
    ):  # might be any service's address, so it is handed on as it is
        await ask(service, path, body, user="bob")
        assert given(service).data is None
    elif client == "AI SDK, absolute":  # is nobody's but the owner's, and no address for agents
        problem = await ask(service, path, body, 422, user="bob")
        assert len(service.agent.calls) == calls
    else:
        problem = await ask(service, path, body, 404, user="bob")
        assert problem["code"] == "not_found"
        [error] = problem["errors"]
        assert error["message"] == "there is no such file"
        places = {
            "native": "message.1",
            "Responses": "input.0.content.1",
            "AI": "messages.0.parts.1",
        }
        place = places.get(re.split("[ ,]", client)[0], "messages.0.content.1")
        assert error["field"] == problem["error"]["param"] == place
        assert len(service.agent.calls) == calls


async def test_a_file_of_the_second_new_message__is_named_by_its_place(start: Start) -> None:
    service = await start()
    path, body = openai({"type": "file", "file": {"file_id": "file-" + "0" * 32}})
    body["messages"] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": [{"type": "text", "text": "first"}]},
        *body["messages"],
    ]

    problem = await ask(service, path, body, 404)

    assert [error["field"] for error in problem["errors"]] == ["messages.3.content.1"]


async def test_an_https_address__is_handed_on_and_never_fetched(start: Start) -> None:
    service = await start()
    url = "https://127.0.0.1:1/never.png"
    part = {"type": "image", "source": {"type": "url", "value": url}}

    await chat(service, part)

    assert given(service) == FilePart("image", url=url)
    assert await kept(service) == []
    assert (await history(service))[0]["parts"] == [part]


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ({"type": "data", "value": "no base64!", "mimeType": "image/png"}, 422),
        ({"type": "data", "value": "====", "mimeType": "image/png"}, 422),
        ({"type": "data", "value": encoded(b"<svg><script/></svg>"), "mimeType": "image/png"}, 415),
        ({"type": "data", "value": encoded(bytes(1024**2 + 1)), "mimeType": "image/png"}, 413),
        ({"type": "file", "value": "file-" + "0" * 32}, 404),
        ({"type": "file", "value": "../../etc/passwd"}, 404),
    ],
)
async def test_a_bad_part__keeps_nothing_of_the_message_and_calls_nobody(
    start: Start, source: JSON, status: int
) -> None:
    service = await start(FILES_MAX_MB="1")

    problem = await chat(service, image(), {"type": "image", "source": source}, status=status)

    assert problem["errors"][0]["field"] == "message.1"
    assert await kept(service) == []
    assert service.agent.calls == []
    assert service.app[BODIES].open_bytes == 0


# What becomes of them


async def test_a_message_that_is_not_taken__leaves_no_file(start: Start) -> None:
    service = await start(ScriptedAgent([[Message("a")], asyncio.Event(), [Done()]]))
    first = {"message": "Hi", "session_id": "s-1"}
    async with service.client.post("/v1/chat/stream", json=first):
        problem = await chat(service, image(), status=409)

        assert problem["code"] == "session_busy"
        assert await kept(service) == []


async def test_one_message_sent_twice_at_once__is_one_run_and_one_file(start: Start) -> None:
    goes_on = asyncio.Event()
    service = await start(ScriptedAgent([[Message("a")], goes_on, [Done()]]))
    headers = {"Idempotency-Key": "once"}
    asking = [
        asyncio.create_task(chat(service, image(PNG * 20), headers=headers)) for _ in range(3)
    ]
    async with asyncio.timeout(30):
        while len(await kept(service)) != 1 or not service.agent.calls:
            pass
    goes_on.set()

    answers = await asyncio.gather(*asking)

    assert len({answer["run_id"] for answer in answers}) == len(service.agent.calls) == 1
    assert len(await kept(service)) == 1


async def test_a_repeated_message__is_one_run_and_one_file(start: Start) -> None:
    service = await start()
    headers = {"Idempotency-Key": "once"}

    first = await chat(service, image(), headers=headers)
    again = await chat(service, image(), headers=headers)

    assert first["run_id"] == again["run_id"]
    assert len(service.agent.calls) == len(await kept(service)) == 1


async def test_a_session_that_is_deleted__takes_the_files_that_only_it_used(start: Start) -> None:
    service = await start()
    shared = await send(service, PNG)
    await chat(service, image(), stored(shared["id"]))
    await chat(service, stored(shared["id"]), session_id="s-2")

    async with service.client.delete("/v1/sessions/s-1") as reply:
        assert reply.status == 204

    assert await kept(service) == [shared["id"]]


async def test_a_fork__keeps_the_files_it_shows(start: Start) -> None:
    service = await start()
    await chat(service, image())
    async with service.client.post("/v1/sessions/s-1/fork", json={"session_id": "s-2"}) as reply:
        assert reply.status == 201

    async with service.client.delete("/v1/sessions/s-1") as reply:
        assert reply.status == 204
    await chat(service, {"type": "text", "text": "And?"}, session_id="s-2")

    [file_id] = await kept(service)
    said = await history(service, "s-2")
    assert said[0]["parts"][0]["source"]["value"] == file_id
    [told, _] = service.agent.calls[-1].history
    [file] = told.files
    assert file.data == encoded(PNG)


async def test_an_earlier_file_that_is_gone__is_told_by_its_name(start: Start) -> None:
    service = await start(AGENT_HISTORY="always")
    await chat(service, image(filename="cat.png"))
    [file_id] = await kept(service)
    async with service.client.delete(f"/v1/files/{file_id}") as reply:
        assert reply.status == 200

    await chat(service, {"type": "text", "text": "What was it?"})

    assert service.agent.calls[-1].history[0].parts == (
        TextPart("[image]"),
        TextPart("[cat.png]"),
    )


async def test_where_no_files_are_kept__an_agent_is_given_them_all_the_same(start: Start) -> None:
    hashed = ",".join(
        f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in KEYS.items()
    )
    service = await start(
        ENVIRONMENT="test", AGENT_URL="embedded:", API_KEYS=hashed, JWT_SECRET="s" * 32, FILES=""
    )

    await chat(service, {"type": "text", "text": "Look"}, image(filename="a.png"))

    assert base64.b64decode(given(service).data or "") == PNG
    said = [part["text"] for part in (await history(service))[0]["parts"]]
    assert said == ["Look", "[a.png]"]
    assert (await history(service))[0]["content"] == "Look"


# The forms of AGENT_FILES


@pytest.fixture
async def bucket(aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws)
    name = f"files-{uuid.uuid4().hex}"
    async with aiohttp.request("PUT", f"{aws}/{name}") as reply:
        assert reply.status == 200
    return name


@pytest.mark.parametrize("form_of", ["inline", "url", "s3"])
async def test_an_agent__gets_files_as_it_takes_them(
    start: Start, bucket: str, form_of: str
) -> None:
    service = await start(FILES=f"s3://{bucket}/chat", AGENT_FILES=form_of)

    await chat(service, image())

    file = given(service)
    assert (file.kind, file.mime_type, file.file_id) == ("image", "image/png", None)
    match form_of:
        case "inline":
            assert base64.b64decode(file.data or "") == PNG
        case "url":
            async with aiohttp.request("GET", file.url or "") as reply:
                assert await reply.read() == PNG
        case "s3":
            assert (file.url or "").startswith(f"s3://{bucket}/chat/")


async def test_what_the_agent_does_not_take__is_said_by_the_files_name(start: Start) -> None:
    service = await start(AGENT_PAYLOAD="strands")
    large = PNG + bytes(3_932_160)
    sent = aiohttp.FormData()
    sent.add_field("file", io.BytesIO(large), filename="cat.png", content_type="image/png")
    async with service.client.post("/v1/files", data=sent) as reply:
        file = await reply.json()

    for part in (image(large, filename="cat.png"), stored(file["id"])):
        problem = await chat(service, part, status=413)
        assert "'cat.png' has 3,934,2" in problem["errors"][0]["message"]
        assert "the agent takes images of 3,932,160 bytes at most" in str(problem["errors"])
    assert service.agent.calls == []
    assert await kept(service) == [file["id"]]


async def test_a_sixth_document__is_refused_by_its_name_for_bedrock_would(start: Start) -> None:
    service = await start(AGENT_PAYLOAD="strands")
    pdf = [document(b"%PDF-1.7 " + bytes([n]), filename=f"{n}.pdf") for n in range(6)]
    archive = document(b"PK\x03\x04" + bytes(30), filename="a.zip")  # only its name is told

    await chat(service, *pdf[:5], archive, image())
    problem = await chat(service, *pdf, status=413)

    message = "'5.pdf' is one too many: the agent takes 5 documents at most"
    assert problem["errors"] == [{"field": "message.5", "message": message}]
    assert (problem["code"], len(service.agent.calls)) == ("too_large", 1)
    await chat(await start(), *pdf)  # what another agent takes is its own business


async def test_stored_files__count_as_memory_while_the_agent_has_them(start: Start) -> None:
    goes_on = asyncio.Event()
    service = await start(ScriptedAgent([goes_on, [Message("a")], [Done()]]))
    file = await send(service, PNG * 100)
    body = {"message": [stored(file["id"])], "session_id": "s-1"}
    async with service.client.post("/v1/chat/stream", json=body) as reply:
        assert service.app[BODIES].open_bytes > len(PNG) * 100
        goes_on.set()
        await reply.read()
    assert service.app[BODIES].open_bytes == 0


async def test_a_websocket__takes_files_and_gives_their_memory_back(start: Start) -> None:
    service = await start()
    mine = await send(service, PNG * 50)
    async with service.client.ws_connect("/v1/ws/chat") as socket:
        for part in (image(), stored(mine["id"])):
            await socket.send_json({"type": "message", "message": [part], "session_id": "s-1"})
            async with asyncio.timeout(30):
                while (await socket.receive_json())["event"] != "done":
                    pass

    assert [len(call.conversation.files[0].data or "") for call in service.agent.calls] == [
        len(encoded(PNG)),
        len(encoded(PNG * 50)),
    ]
    assert len(await history(service)) == 4
    assert service.app[BODIES].open_bytes == 0
