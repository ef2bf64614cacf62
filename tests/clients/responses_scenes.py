"""What OpenAI's Responses can do, through openai's own client; prints what it showed, as JSON.

Run by tests/clients/test_responses.py, with the embedded agent behind the service.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

openai: Any = importlib.import_module("openai")  # it is not in the environment that mypy reads

TOOLS = [{"type": "function", "name": "locate", "parameters": {"type": "object"}}]


def streamed(client: Any) -> dict[str, Any]:
    with client.responses.stream(model="agent", input="/think What is 15 * 23?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    return {
        "numbers": [event.sequence_number for event in events] == list(range(len(events))),
        "first": events[0].type,
        "last": events[-1].type,
        "text": final.output_text,
        "deltas": "".join(
            event.delta for event in events if event.type == "response.output_text.delta"
        ),
        "items": [item.type for item in final.output],
    }


def forked(client: Any) -> list[str]:
    first = client.responses.create(model="agent", input="I am Jo")
    said = []
    for _ in range(2):
        answer = client.responses.create(
            model="agent", input="/turns", previous_response_id=first.id
        )
        said.append(answer.output_text)
    return said


def resumed(client: Any) -> dict[str, Any]:
    numbers: list[int] = []
    id = ""
    events = client.responses.create(model="agent", input="/slow 8", background=True, stream=True)
    for event in events:
        numbers.append(event.sequence_number)
        if event.type == "response.created":
            id = event.response.id
        if len(numbers) == 6:
            break
    events.close()
    rest = list(client.responses.retrieve(id, stream=True, starting_after=numbers[-1]))
    numbers += [event.sequence_number for event in rest]
    return {
        "numbers": numbers == list(range(len(numbers))),
        "text": rest[-1].response.output_text,
    }


def cancelled(client: Any) -> list[str]:
    begun = client.responses.create(model="agent", input="/slow 500", background=True)
    ended = client.responses.cancel(begun.id)
    return [begun.status, ended.status, client.responses.retrieve(begun.id).status]


def deleted(client: Any) -> list[str]:
    kept = client.responses.create(model="agent", input="Hi")
    loose = client.responses.create(model="agent", input="Hi", store=False)
    client.responses.delete(kept.id)
    codes = []
    for id in (kept.id, loose.id):
        try:
            client.responses.retrieve(id)
        except openai.NotFoundError as error:
            codes.append(error.body["code"])
    return codes


def approved(client: Any) -> dict[str, Any]:
    asked = client.responses.create(model="agent", input="/approve 7", conversation="conv_7")
    [request] = [item for item in asked.output if item.type == "mcp_approval_request"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    answers = [
        client.responses.create(model="agent", previous_response_id=asked.id, input=[answer])
        for _ in range(2)
    ]
    return {
        "arguments": json.loads(request.arguments),
        "text": answers[0].output_text,
        "once": answers[0].id == answers[1].id,
    }


def called(client: Any) -> dict[str, Any]:
    said: list[Any] = [{"role": "user", "content": '/tool locate {"exact":true}'}]
    asked = client.responses.create(model="agent", input=said, tools=TOOLS)
    [call] = [item for item in asked.output if item.type == "function_call"]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Rome"}
    said += [call.model_dump(exclude_none=True), output]
    answer = client.responses.create(model="agent", input=said, tools=TOOLS)
    return {"name": call.name, "arguments": json.loads(call.arguments), "text": answer.output_text}


def refused(client: Any) -> list[Any]:
    shown = []
    for asked in (
        {"input": [{"role": "assistant", "content": "Hello"}]},
        {"input": "Hi", "previous_response_id": "resp_00"},
        {"input": "/fail"},
    ):
        try:
            client.responses.create(model="agent", **asked)
        except openai.APIStatusError as error:
            shown.append([error.status_code, error.body["code"], error.body["param"]])
    return shown


def failed(client: Any) -> list[str]:
    events = list(client.responses.create(model="agent", input="/fail", stream=True))
    return [events[-1].type, events[-1].response.status, events[-1].response.error.code]


def scenes() -> dict[str, Any]:
    with openai.OpenAI(
        base_url=os.environ["BASE_URL"] + "/v1", api_key=os.environ["API_KEY"]
    ) as client:
        acts = (
            streamed,
            forked,
            resumed,
            cancelled,
            deleted,
            approved,
            called,
            refused,
            failed,
        )
        return {act.__name__: act(client) for act in acts}


if __name__ == "__main__":
    print(json.dumps({"version": openai.__version__, **scenes()}))
