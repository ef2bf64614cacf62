"""`/v1/responses`, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bff.agents.embedded import EmbeddedAgent
from bff.api import HISTORY, RUNS
from bff.events import Done, Message, ToolEnd, ToolStart
from bff.messages import ClientTool
from tests.api.conftest import KEYS, Service, Start
from tests.api.reading import ended, parsed
from tests.fakes.scripted import ScriptedAgent


async def post(service: Service, status: int = 200, **body: Any) -> dict[str, Any]:
    async with service.client.post("/v1/responses", json={"model": "agent", **body}) as reply:
        answer: dict[str, Any] = await reply.json()
        assert reply.status == status, answer
        return answer


async def get(service: Service, path: str, status: int = 200, **headers: str) -> dict[str, Any]:
    async with service.client.get(path, headers=headers) as reply:
        answer: dict[str, Any] = await reply.json()
        assert reply.status == status, answer
        return answer


def text(response: dict[str, Any]) -> str:
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


async def test_a_response__says_back_what_was_asked_and_is_read_again(start: Start) -> None:
    service = await start()
    response = await post(
        service,
        input="Hi",
        instructions="Be brief.",
        metadata={"a": "b"},
        temperature=0.5,
        tools=[{"type": "function", "name": "f", "parameters": {}}],
        user="ann",
    )
    [prompt] = service.agent.calls
    shown = await get(service, f"/v1/responses/{response['id']}")

    assert response["status"] == "completed"
    assert (response["instructions"], response["metadata"]) == ("Be brief.", {"a": "b"})
    assert (response["temperature"], response["user"]) == (0.5, "ann")
    assert response["completed_at"] >= response["created_at"]
    assert {**shown, "completed_at": response["completed_at"]} == response
    said = prompt.conversation
    assert (said.system, said.text) == ("Be brief.", "Hi")
    assert said.tools == (ClientTool("f", None, {}),)
    assert said.options == {"temperature": 0.5}
    assert said.metadata == {"a": "b", "user": "ann"}


async def test_a_previous_response__is_gone_on_from_or_branched_off(start: Start) -> None:
    service = await start()
    first = await post(service, input="one")
    second = await post(service, input="two", previous_response_id=first["id"])
    branch = await post(service, input="other", previous_response_id=first["id"])
    third = await post(service, input="three", previous_response_id=second["id"])

    one, two, other, three = service.agent.calls
    assert one.session_id == two.session_id == three.session_id != other.session_id
    assert [message.text for message in other.history] == ["one", text(first)]
    assert (two.history, three.history) == ((), ())
    assert third["previous_response_id"] == second["id"]
    assert branch["previous_response_id"] == first["id"]


async def test_what_a_client_adds_to_a_previous_response__is_told_to_the_agent(
    start: Start,
) -> None:
    service = await start()
    first = await post(service, input="one")
    said = [
        {"role": "assistant", "content": "I looked it up."},
        {"role": "user", "content": "two"},
    ]
    _ = await post(service, input=said, previous_response_id=first["id"])

    _, two = service.agent.calls
    assert [message.text for message in two.history] == ["I looked it up."]


async def test_references__go_on_as_a_previous_response_does(start: Start) -> None:
    service = await start()
    first = await post(service, input="one")
    [item] = first["output"]
    reference = {"type": "item_reference", "id": item["id"]}
    said = [{"role": "user", "content": "one"}, reference, {"role": "user", "content": "two"}]
    _ = await post(service, input=said)

    one, two = service.agent.calls
    assert one.session_id == two.session_id
    assert two.conversation.text == "two"


async def test_a_conversation__is_a_session_by_that_name(start: Start) -> None:
    service = await start()
    first = await post(service, input="one", conversation="conv_1")
    _ = await post(service, input="two", conversation={"id": "conv_1"})
    other = await post(service, input="two", conversation="ann@example.com")

    one, two, three = service.agent.calls
    assert one.session_id == two.session_id != three.session_id
    assert first["conversation"] == {"id": "conv_1"}
    assert other["conversation"] == {"id": "ann@example.com"}
    assert len((await get(service, "/v1/sessions/conv_1"))["messages"]) == 4


async def test_a_transcript__goes_on_in_its_session(start: Start) -> None:
    service = await start()
    said: list[dict[str, Any]] = []
    for word in ("one", "two", "three"):
        said.append({"role": "user", "content": word})
        said += (await post(service, input=said, store=False))["output"]

    assert len({call.session_id for call in service.agent.calls}) == 1
    assert [call.conversation.text for call in service.agent.calls] == ["one", "two", "three"]
    assert len((await get(service, "/v1/sessions"))["sessions"]) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_" + "0" * 32},
        {"previous_response_id": "someone"},
        {"input": [{"type": "item_reference", "id": "msg_00_0"}, {"role": "user", "content": "a"}]},
    ],
)
async def test_what_is_not_there__is_not_gone_on_from(start: Start, fields: dict[str, Any]) -> None:
    service = await start()

    problem = await post(service, 404, **{"input": "Hi", **fields})

    assert problem["errors"][0]["field"] in ("previous_response_id", "input")
    assert service.agent.calls == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"previous_response_id": "resp_0", "conversation": "c"}, "previous_response_id"),
        ({"conversation": {}}, "conversation"),
        ({"conversation": ""}, "conversation"),
        ({"background": True, "store": False}, "background"),
        ({"metadata": {"session_id": 1}}, "metadata.session_id"),
        ({"instructions": [1], "input": "", "stream": "yes"}, "stream"),
        ({"input": [{"role": "user", "content": "a"}, {"role": "assistant"}]}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "input"),
    ],
)
async def test_a_wrong_field__is_named_and_nobody_is_called(
    start: Start, fields: dict[str, Any], field: str
) -> None:
    service = await start()

    problem = await post(service, 422, **{"input": "Hi", **fields})

    assert problem["errors"][0]["field"] == field
    assert service.agent.calls == []


async def test_a_response_that_is_not_stored__is_not_found(start: Start) -> None:
    service = await start()
    response = await post(service, input="Hi", store=False)

    _ = await get(service, f"/v1/responses/{response['id']}", 404)
    _ = await post(service, 404, input="Hi", previous_response_id=response["id"])


async def test_a_stream__goes_on_where_its_reader_left_it(start: Start) -> None:
    gate = asyncio.Event()
    steps = ([Message("one ")], gate, [Message("two")], [Done()])
    service = await start(ScriptedAgent(steps))
    body = {"model": "agent", "input": "Hi", "stream": True, "background": True}
    reply = await service.client.post("/v1/responses", json=body)
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    seen = b""
    while b"output_text.delta" not in seen:
        seen += await reply.content.readany()
    reply.close()
    before = parsed(seen[: seen.rindex(b"\n\n") + 2])
    id, after = before[0]["response"]["id"], before[-1]["sequence_number"]

    running = await get(service, f"/v1/responses/{id}")
    gate.set()
    path = f"/v1/responses/{id}?stream=true&starting_after={after}"
    rest = parsed(await (await service.client.get(path)).text())
    whole = parsed(await (await service.client.get(f"/v1/responses/{id}?stream=true")).text())

    assert (running["status"], text(running)) == ("in_progress", "one ")
    assert running["completed_at"] is running["usage"] is None
    assert rest[-1]["response"]["status"] == "completed"
    strip = [{**event, "response": None} for event in whole]
    assert [{**event, "response": None} for event in [*before, *rest]] == strip
    assert len(service.agent.calls) == 1


async def test_a_background_response__is_answered_at_once_and_goes_on(start: Start) -> None:
    gate = asyncio.Event()
    service = await start(ScriptedAgent(([Message("Hel")], gate, [Message("lo")], [Done()])))
    response = await post(service, input="Hi", background=True)
    busy = await post(service, 409, input="More", previous_response_id=response["id"])
    gate.set()
    _ = await ended(service, response["id"].replace("resp_", "run_"))
    after = await get(service, f"/v1/responses/{response['id']}")

    assert (response["status"], response["background"]) == ("in_progress", True)
    assert busy["code"] == "session_busy"
    assert (after["status"], text(after)) == ("completed", "Hello")


async def test_closing_the_connection__cancels_a_response_that_is_not_in_the_background(
    start: Start,
) -> None:
    service = await start(ScriptedAgent(([Message("Hel")], asyncio.Event(), [Done()])))
    body = {"model": "agent", "input": "Hi", "stream": True}
    reply = await service.client.post("/v1/responses", json=body)
    _ = await reply.content.readuntil(b"delta")
    reply.close()

    run_id = reply.headers["X-Run-Id"]
    assert await ended(service, run_id) == "cancelled"
    shown = await get(service, f"/v1/responses/{run_id.replace('run_', 'resp_')}")
    assert (shown["status"], text(shown)) == ("cancelled", "Hel")


async def test_cancelling__is_done_once_and_told_each_time(start: Start) -> None:
    service = await start(ScriptedAgent(([Message("Hel")], asyncio.Event(), [Done()])))
    response = await post(service, input="Hi", background=True)
    path = f"/v1/responses/{response['id']}/cancel"

    states = [await (await service.client.post(path)).json() for _ in range(2)]

    assert [state["status"] for state in states] == ["cancelled"] * 2


async def test_a_response__outlives_its_run_and_a_restart(start: Start) -> None:
    agent: Any = EmbeddedAgent()
    service = await start(agent)
    first = await post(service, input="What is 15 * 23?")
    asking = await post(service, input="/approve")
    again = await start(agent, history=service.app[HISTORY])
    shown = await get(again, f"/v1/responses/{first['id']}")
    asked = await get(again, f"/v1/responses/{asking['id']}/input_items")
    later = await post(again, input="/turns", previous_response_id=first["id"])
    _ = await get(again, f"/v1/responses/{first['id']}?stream=true", 404)
    cancelled = await again.client.post(f"/v1/responses/{first['id']}/cancel")

    assert (shown["status"], text(shown)) == ("completed", text(first))
    assert [item["type"] for item in shown["output"]] == ["mcp_call", "message"]
    assert shown["created_at"] == first["created_at"]
    assert asked["data"][0]["content"] == [{"type": "input_text", "text": "/approve"}]
    assert "2 turns" in text(later)
    assert (await cancelled.json())["status"] == "completed"


async def test_an_approval__is_answered_by_its_item_once(start: Start) -> None:
    service = await start(EmbeddedAgent())
    asked = await post(service, input="/approve")
    [request] = [item for item in asked["output"] if item["type"] == "mcp_approval_request"]
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": True,
    }
    said = {"input": [answer], "previous_response_id": asked["id"]}
    first, second = await asyncio.gather(post(service, **said), post(service, **said))
    late = await post(service, **said)
    items = await get(service, f"/v1/responses/{first['id']}/input_items")

    assert len({response["id"] for response in (first, second, late)}) == 1
    assert "Paid" in text(first)
    [call] = [item for item in first["output"] if item["type"] == "mcp_call"]
    assert call["approval_request_id"] == request["id"]
    assert items["data"][0]["approval_request_id"] == request["id"]


async def test_a_clients_function__is_called_and_its_output_goes_on(start: Start) -> None:
    service = await start(EmbeddedAgent())
    tools = [{"type": "function", "name": "locate", "parameters": {"type": "object"}}]
    said: list[dict[str, Any]] = [{"role": "user", "content": "/tool locate"}]
    asked = await post(service, input=said, tools=tools)
    [call] = [item for item in asked["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Rome"}
    said += [*asked["output"], output]
    answered = await post(service, input=said, tools=tools)
    said += [*answered["output"], {"role": "user", "content": "/turns"}]
    after = await post(service, input=said, tools=tools)

    assert "Rome" in text(answered)
    assert "2 turns" in text(after)
    assert len((await get(service, "/v1/sessions"))["sessions"]) == 1


async def test_input_items__are_paged(start: Start) -> None:
    service = await start()
    content = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf", "filename": "a.pdf"},
    ]
    response = await post(service, input=[{"role": "user", "content": content}])
    path = f"/v1/responses/{response['id']}/input_items"
    page = await get(service, path)
    [item] = page["data"]

    assert item["content"] == [content[0], {**content[1], "detail": "auto"}, content[2]]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (item["id"], item["id"], False)
    assert (await get(service, f"{path}?after={item['id']}"))["data"] == []
    for query in ("limit=0", "limit=101", "order=up", "after=other"):
        problem = await get(service, f"{path}?{query}", 422)
        assert problem["errors"][0]["field"] == query.partition("=")[0]


async def test_a_deleted_response__is_gone_and_what_came_after_stays(start: Start) -> None:
    service = await start()
    first = await post(service, input="one")
    second = await post(service, input="two", previous_response_id=first["id"])
    reply = await service.client.delete(f"/v1/responses/{second['id']}")
    gone = await reply.json()
    _ = await get(service, f"/v1/responses/{second['id']}", 404)
    _ = await post(service, 404, input="three", previous_response_id=second["id"])
    branch = await post(service, input="other", previous_response_id=first["id"])

    assert gone == {"id": second["id"], "object": "response", "deleted": True}
    assert (await service.client.delete(f"/v1/responses/{second['id']}")).status == 404
    assert text(await get(service, f"/v1/responses/{first['id']}"))
    assert branch["status"] == "completed"
    assert service.agent.calls[0].session_id != service.agent.calls[-1].session_id
    [messages] = [
        (await get(service, f"/v1/sessions/{session['session_id']}"))["messages"]
        for session in (await get(service, "/v1/sessions"))["sessions"]
        if "forked_from" not in session
    ]
    assert "two" not in [message["content"] for message in messages]


async def test_an_open_response_that_is_deleted__is_stopped(start: Start) -> None:
    service = await start(ScriptedAgent(([Message("Hel")], asyncio.Event(), [Done()])))
    response = await post(service, input="Hi", background=True)

    reply = await service.client.delete(f"/v1/responses/{response['id']}")

    assert reply.status == 200
    assert service.app[RUNS].open_count == 0
    _ = await get(service, f"/v1/responses/{response['id']}", 404)


async def test_another_callers_response__is_none(start: Start) -> None:
    service = await start()
    response = await post(service, input="Hi", conversation="c")
    bob = {"X-API-Key": KEYS["bob"]}
    async with service.client.post(
        "/v1/responses",
        json={"model": "agent", "input": "Hi", "previous_response_id": response["id"]},
        headers=bob,
    ) as reply:
        assert reply.status == 404
    path = f"/v1/responses/{response['id']}"
    for method, address in (
        ("GET", path),
        ("GET", f"{path}?stream=true"),
        ("GET", f"{path}/input_items"),
        ("POST", f"{path}/cancel"),
        ("DELETE", path),
    ):
        async with service.client.request(method, address, headers=bob) as reply:
            assert reply.status == 404, (method, address)
    assert (await get(service, path))["status"] == "completed"


async def test_what_only_openai_runs__is_named_as_ignored(start: Start) -> None:
    service = await start()
    body = {
        "input": [{"type": "shell_call"}, {"role": "user", "content": "Hi"}],
        "tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "shop"}],
    }
    async with service.client.post("/v1/responses", json=body) as reply:
        response = await reply.json()

    assert reply.headers["X-Ignored"] == "input.shell_call, tools.web_search, tools.mcp"
    assert response["tools"] == body["tools"]


@pytest.mark.parametrize(
    ("client", "types"),
    [
        ("ai/5.0.120 ai-sdk/provider-utils/3.0.40 runtime/node.js/v20.20.2", ["message"]),
        ("ai/6.0.324 ai-sdk/provider-utils/4.0.9 runtime/node.js/v22", ["mcp_call", "message"]),
        ("other-ai/5.0.1", ["mcp_call", "message"]),
        ("OpenAI/Python 3.57.0", ["mcp_call", "message"]),
    ],
)
async def test_a_client_that_refuses_an_answer_for_its_tools__is_not_told_of_them(
    start: Start, client: str, types: list[str]
) -> None:
    agent = ScriptedAgent(
        ([ToolStart("1", "t", {}), ToolEnd("1", "t", "r"), Message("Hi"), Done()],)
    )
    service = await start(agent)
    async with service.client.post(
        "/v1/responses", json={"input": "Hi"}, headers={"User-Agent": client}
    ) as reply:
        output = (await reply.json())["output"]

    assert [item["type"] for item in output] == types
