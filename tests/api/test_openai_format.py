"""A run as the chunks of a chat completion."""

from __future__ import annotations

from typing import Any

import pytest

from bff.api.openai.chunks import ChunkEncoder, tool_call
from bff.events import (
    Done,
    Event,
    File,
    Input,
    Message,
    Record,
    Source,
    Thinking,
    ToolUse,
)
from tests.api.example_run import (
    BODY,
    CANCELLED,
    COMPLETE,
    FAILED,
    PROBLEM,
    RUN,
    records,
    with_gap,
)
from tests.api.reading import chunk_text, frames


def encoded(items: list[Record], *, include_usage: bool = False) -> list[Any]:
    encoder = ChunkEncoder(RUN, model="agent", include_usage=include_usage, headers={})
    return frames(encoder(items))


def test_a_run__is_chunks_with_role_text_reasoning_and_one_finish_reason() -> None:
    *chunks, done = encoded(records(*BODY, COMPLETE))

    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunk_text(chunks) == "Let me see.It is \u201c345\u201d.\n"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "A sum: use the tool."
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 6
    assert chunks[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert {
        (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks
    } == {("chatcmpl-5f1c0de", "chat.completion.chunk", 1_800_000_000, "agent")}


def test_agent_side_tools__are_never_offered_to_be_run_again() -> None:
    assert "tool_calls" not in str(encoded(records(*BODY, COMPLETE)))


@pytest.mark.parametrize(
    ("done", "usage"),
    [
        (COMPLETE, {"prompt_tokens": 5, "completion_tokens": 8, "total_tokens": 13}),
        (
            Done(usage={"input_tokens": 1, "output_tokens": 2}),
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        ),
        (Done(), {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
    ],
)
def test_include_usage__always_yields_one_usage_chunk(done: Done, usage: dict[str, int]) -> None:
    *chunks, last, end = encoded(records(Message("a"), done), include_usage=True)

    assert end == "[DONE]"
    assert (last["choices"], last["usage"]) == ([], usage)
    assert [chunk["usage"] for chunk in chunks] == [None] * 3


@pytest.mark.parametrize(("end", "code"), [(FAILED, "agent_failed"), (CANCELLED, "run_cancelled")])
def test_a_run_that_does_not_complete__ends_in_an_error_and_no_finish_reason(
    end: Event, code: str
) -> None:
    *chunks, error, done = encoded(records(Message("Hel"), end), include_usage=True)

    assert done == "[DONE]"
    assert set(error) == {"error"}
    assert set(error["error"]) == {"message", "type", "code", "param"}
    assert error["error"]["code"] == code
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert chunk_text(chunks) == "Hel"


def test_what_the_agent_cites_and_makes__is_numbered_for_clients_that_add_it_up() -> None:
    cited, made = Source("https://example.com/a", "A"), File("image/png", data="aGk=")
    deltas = [
        chunk["choices"][0]["delta"]
        for chunk in encoded(records(cited, made, cited, made, Done()))
        if isinstance(chunk, dict)
    ]

    assert [each["index"] for delta in deltas for each in delta.get("annotations", ())] == [0, 1]
    assert [each["index"] for delta in deltas for each in delta.get("images", ())] == [0, 1]


CITED = Source("https://example.com/a", "A"), Message("Text."), Source("https://example.com/b")


def test_what_the_agent_cites__stands_in_the_chunk_with_the_finish_reason() -> None:
    """Where OpenAI's own stands: LobeChat looks in no other, and OpenAI's Agents SDK for JavaScript
    keeps none that comes before the text."""
    *_, last, _ = encoded(records(*CITED, Done()))
    [choice] = last["choices"]

    assert choice["finish_reason"] == "stop"
    urls = [cited["url_citation"]["url"] for cited in choice["delta"]["annotations"]]
    assert urls == ["https://example.com/a", "https://example.com/b"]


@pytest.mark.parametrize("end", [FAILED, CANCELLED])
def test_what_a_failing_agent_has_cited__is_told_before_the_error(end: Event) -> None:
    *_, cited, error, _ = encoded(records(*CITED, end))

    assert len(cited["choices"][0]["delta"]["annotations"]) == 2
    assert cited["choices"][0]["finish_reason"] is None
    assert set(error) == {"error"}


PICTURE = File("image/png", data="aGk=")


@pytest.mark.parametrize("told", [(), (Thinking("Hm"),), (PICTURE,), (Message(""),), CITED[:1]])
def test_an_answer_without_text__is_a_line_break(told: tuple[Event, ...]) -> None:
    """Pydantic AI and OpenAI's Agents SDK for JavaScript call the agent again for less."""
    chunks = encoded(records(*told, Done()))

    assert chunk_text([chunk for chunk in chunks if chunk != "[DONE]"]) == "\n"


def test_an_answer_that_is_a_call_of_the_clients__has_no_line_break() -> None:
    call = Input("1", "tool", tool=ToolUse("1", "now", {}))
    chunks = encoded(records(call, Done("input_required", inputs=(call,))))

    assert chunk_text([chunk for chunk in chunks if chunk != "[DONE]"]) == ""


@pytest.mark.parametrize("args", [None, "", {}])
def test_a_clients_tool_without_arguments__is_called_with_an_empty_object(args: Any) -> None:
    call = tool_call(Input("1", "tool", tool=ToolUse("1", "now", args)))

    assert call["function"]["arguments"] == "{}"


def test_an_error__is_named_as_such() -> None:
    """LangChain4j takes one that is not for a chunk, and a failed stream for a short answer."""
    encoder = ChunkEncoder(RUN, model="agent", include_usage=True, headers={})
    *_, error, done, _ = encoder(records(FAILED)).decode().split("\n\n")

    assert error.startswith('event: error\ndata: {"error":')
    assert done == "data: [DONE]"


def test_a_gap__is_an_error_and_the_end_of_what_is_told() -> None:
    [error, done] = encoded(with_gap(Message("rest"), COMPLETE))

    assert error["error"]["code"] == "gap"
    assert done == "[DONE]"


def test_batches__change_nothing_in_the_bytes() -> None:
    items = records(*BODY, COMPLETE)
    at_once = ChunkEncoder(RUN, model="agent", include_usage=True, headers={})
    one_by_one = ChunkEncoder(RUN, model="agent", include_usage=True, headers={})

    assert at_once(items) == b"".join(one_by_one([item]) for item in items)


def test_the_problem_of_a_stream__is_the_member_error_of_its_document() -> None:
    [*_, error, _] = encoded(records(FAILED))

    assert error["error"] == PROBLEM["error"]
