from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.agents.embedded import EmbeddedAgent
from bff.api import HISTORY, RUNS
from bff.api.openai.responses.events import ResponseEncoder
from bff.api.openai.responses.input import approval_id, read_input
from bff.api.openai.responses.response import MAX_ECHO_CHARACTERS, Response, echo_of
from bff.errors import Invalid, NotFound
from bff.events import Done, Event, File, Input, Message, Record, Source, Thinking, ToolUse
from bff.messages import Answer, ClientTool, FilePart, TextPart, ToolCall
from tests.api.conftest import KEYS, Service, Start, sse
from tests.api.example_run import BODY, CANCELLED, COMPLETE, FAILED, RUN, records, with_gap
from tests.api.reading import ended
from tests.fakes.scripted import ScriptedAgent

PAY = ToolUse("call-2", "pay", {"amount": 10})
QUESTIONS = (
    Input("ask-1", "approval", "May I pay?", tool=PAY),
    Input("call-3", "tool", tool=ToolUse("call-3", "locate", {"city": "Rome"})),
)
ASKING = Done("input_required", inputs=QUESTIONS)


def told(items: list[Record], *, after: int = -1) -> list[dict[str, Any]]:
    return parsed(ResponseEncoder(RUN, Response.of(RUN), headers={}, after=after)(items))


def parsed(stream: bytes | str) -> list[dict[str, Any]]:
    text = stream.decode() if isinstance(stream, bytes) else stream
    found = []
    for event in sse(text):
        data = json.loads(event["data"])
        assert data["type"] == event["event"]
        found.append(data)
    return found


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


# A run as events


def test_a_run__is_items_with_their_pieces_and_one_end() -> None:
    events = told(records(*BODY, COMPLETE))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert types(events) == [
        *("created", "in_progress", "output_item.added", "reasoning_summary_part.added"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta"),
        *("mcp_call_arguments.done", "mcp_call.completed", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    response = events[-1]["response"]
    reasoning, first, call, second = response["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "A sum: use the tool."}]
    assert first["content"][0]["text"] == "Let me see."
    assert (call["name"], json.loads(call["arguments"])) == (
        "calculator",
        {"expression": "15 * 23"},
    )
    assert (call["output"], call["status"], call["server_label"]) == ("345", "completed", "agent")
    assert second["content"][0]["text"] == "It is \u201c345\u201d.\n"
    assert response["usage"]["total_tokens"] == 13
    assert response["status"] == "completed"
    assert len({item["id"] for item in response["output"]}) == 4


def test_what_was_streamed__is_what_is_read_whole() -> None:
    items = records(
        *BODY,
        Source("https://example.com/a", "A"),
        File("image/png", None, "aGk=", "a.png"),
        File("text/csv", "https://example.com/b.csv", None, "b.csv"),
        *QUESTIONS,
        ASKING,
    )
    events = told(items)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    output = events[-1]["response"]["output"]

    assert sorted(done, key=lambda item: item["id"]) == sorted(output, key=lambda i: i["id"])
    assert Response.of(RUN).fold(RUN, items) == events[-1]["response"]
    for index, event in enumerate(events):
        if event["type"] == "response.output_item.added":
            assert output[event["output_index"]]["id"] == event["item"]["id"], index


def test_every_piece_of_text__adds_up_to_the_items() -> None:
    items = records(Message('a "'), Message("\ud83d"), Message("\u00e9\n"), Thinking("t"), COMPLETE)
    events = told(items)
    pieces = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]

    assert "".join(pieces) == events[-1]["response"]["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("end", [COMPLETE, CANCELLED, FAILED, ASKING])
def test_going_on_behind_any_event__is_the_rest_to_the_letter(end: Event) -> None:
    asked = QUESTIONS if end is ASKING else ()
    items = records(*BODY, *asked, end)
    whole = ResponseEncoder(RUN, Response.of(RUN), headers={})(items).decode().split("\n\n")

    for after in range(len(whole) - 1):
        encoder = ResponseEncoder(RUN, Response.of(RUN), headers={}, after=after)
        rest = b"".join(encoder([item]) for item in items).decode()
        assert rest.split("\n\n") == whole[after + 1 :]


def test_a_run_that_did_not_complete__says_so() -> None:
    failed, cancelled = (told(records(Message("Hel"), end))[-1] for end in (FAILED, CANCELLED))

    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "agent_failed"
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert cancelled["type"] == "response.incomplete"
    assert cancelled["response"]["status"] == "cancelled"
    assert cancelled["response"]["output"][0]["content"][0]["text"] == "Hel"


def test_a_gap__is_an_error_and_the_end_of_what_is_told() -> None:
    [error] = told(with_gap(Message("rest"), COMPLETE))

    assert (error["type"], error["code"]) == ("error", "gap")


def test_questions__are_items_and_approvals_are_said_in_words_too() -> None:
    [*_, end] = told(records(Message("Well. "), *QUESTIONS, ASKING))
    output = end["response"]["output"]

    assert end["response"]["status"] == "completed"
    assert [item["type"] for item in output] == [
        *("message", "function_call", "message", "mcp_approval_request")
    ]
    assert output[1]["call_id"] == "call-3"
    assert output[2]["content"][0]["text"] == 'May I pay?\npay({"amount":10})'
    assert (output[3]["name"], output[3]["arguments"]) == ("pay", '{"amount":10}')
    assert output[3]["id"] == approval_id(RUN.run_id, "ask-1")


# An input as a conversation


def test_an_input__is_read_item_by_item() -> None:
    read = read_input(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
            },
            {"type": "reasoning", "id": "rs_x", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "1"}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "https://example.com/a.png"},
                    {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
                ],
            },
        ],
        instructions="In English.",
    )  # fmt: skip

    assert [message.role for message in read.before] == [
        *("system", "system", "user", "assistant", "tool")
    ]
    assert read.before[3].tool_calls == (ToolCall("c", "f", {"a": 1}),)
    [new] = read.new
    assert new.parts == (
        TextPart("Look"),
        FilePart("image", url="https://example.com/a.png"),
        FilePart("document", file_id="file-1", filename="a.pdf"),
    )
    assert read.answers == (Answer("c", payload="1"),)
    assert (read.behind, list(read.ignored)) == (None, [])


def test_text__is_a_users_message() -> None:
    read = read_input("Hi")

    assert [message.text for message in read.new] == ["Hi"]
    assert read.before == ()


def test_a_reference__names_the_run_that_what_is_new_goes_on_from() -> None:
    read = read_input(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"type": "item_reference", "id": "msg_0a1b_1"},
            {"role": "user", "content": "And now?"},
        ]
    )

    assert read.behind == "run_0a1b"
    assert [message.role for message in read.before] == ["system"]
    assert [message.text for message in read.new] == ["And now?"]


def test_an_approval__is_answered_under_the_questions_own_id() -> None:
    id = approval_id("run_0a1b", "v1:ask \u00e9/1")
    items = [
        {
            "type": "mcp_approval_response",
            "approval_request_id": id,
            "approve": False,
            "reason": "no",
        },
        {"type": "mcp_approval_response", "approval_request_id": "plain", "approve": True},
    ]
    read = read_input([{"type": "item_reference", "id": id}, *items])

    assert read.answers == (
        Answer("v1:ask \u00e9/1", approved=False, reason="no"),
        Answer("plain", approved=True),
    )
    assert read.behind == "run_0a1b"
    assert read.answered == items


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "input"),
        ({"role": "user"}, "input"),
        (["Hi"], "input.0"),
        ([{"content": "Hi"}], "input.0.role"),
        ([{"role": "wizard", "content": "Hi"}], "input.0.role"),
        ([{"type": 1}], "input.0.type"),
        ([{"role": "user", "content": ""}], "input.0.content"),
        ([{"role": "user", "content": 1}], "input.0.content"),
        ([{"role": "user", "content": [{"type": "input_video"}]}], "input.0.content.0"),
        ([{"type": "function_call_output", "output": "1"}], "input.0.call_id"),
        ([{"type": "mcp_approval_response", "approve": True}], "input.0.approval_request_id"),
        (
            [{"type": "mcp_approval_response", "approval_request_id": "a", "approve": "yes"}],
            "input.0.approve",
        ),
        ([{"type": "item_reference", "id": "msg_other"}], "input.0.id"),
    ],
)
def test_a_wrong_input__is_refused_where_it_is_wrong(value: Any, field: str) -> None:
    with pytest.raises((Invalid, NotFound)) as refused:
        _ = read_input(value)

    assert refused.value.errors[0]["field"] == field


words = st.sampled_from(["", "a", "two words", "\ud800", None, 1, [], [{"type": "input_text"}]])
items = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]), "content": words}
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                [
                    *("function_call", "function_call_output", "custom_tool_call", "reasoning"),
                    *("mcp_call", "item_reference", "web_search_call", "new_thing"),
                ]
            ),
            "call_id": st.just("c"),
            "id": st.just("msg_0a_0"),
            "name": st.just("f"),
        },
        optional={"arguments": words, "output": words, "content": words},
    ),
)


@given(st.lists(items, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_whatever_was_said__only_the_users_last_word_is_a_message(value: list[Any]) -> None:
    try:
        read = read_input(value)
    except Invalid as refused:
        # only what is new is judged: what no assistant's word follows
        index = int(refused.errors[0]["field"].split(".")[1])
        assert all(item.get("role") in ("user", "system") for item in value[index + 1 :])
        return
    last: dict[str, Any] = next(
        (item for item in reversed(value) if item.get("role") != "system"), {}
    )
    assert bool(read.new) == (last.get("role") == "user")


def test_an_echo__is_no_larger_than_what_a_run_may_keep() -> None:
    tools = [{"type": "function", "name": "f", "description": "x" * MAX_ECHO_CHARACTERS}]

    assert echo_of({"tools": tools, "model": "a", "user": None}) == {"model": "a"}
    assert echo_of({"tools": tools[:0], "store": False}) == {"tools": [], "store": False}


# Over HTTP


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
