"""What was said is what arrives, to the letter, in every shape that tokens come in."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.agents.dialects.decoder import Decoder
from bff.events import Done, Message
from tests.agents.decoding import ai, bedrock, chunk, human
from tests.fakes.container import sse

WORDS = [
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "    ", "\u2028", "\x85"),
    *(":", ":\n", ":\n\n", ": ", ": a\n\n", ": keep-alive\n\n", ":smile:\n", "::"),
    *("data: x\n\n", 'data: {"a": 1}\n\n', "event: x\ndata: y\n\n", "id: 1\n", "retry: 5\n\n"),
    *("{", "}", "[", "]", '{"a": 1}', '{"content": "x"}', '{"type": "text"}', "[1]", '"', '""'),
    *(
        "null",
        "true",
        "1",
        "3.14",
        "NaN",
        "-",
        "**",
        "`",
        "```",
        "```python\n",
        "# a\n",
        "|",
        "\\n",
    ),
    *("def f(x):\n", "    return x\n", "{'a': 1}", "b'x'", "x = {}", "<b>", "</b>", "&amp;", "$1"),
    *("😀", "👩\u200d👩\u200d👧", "é", "e\u0301", "中", "🇨🇭"),
    *("The", "the", " a", "a", "ab", "aba", "Hi", "Hi!", ".", "..", "...", ",", "?"),
]
TOKENS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12)

Shape = Callable[[Sequence[str]], list[Any]]


def each(frame: Callable[[str], Any]) -> Shape:
    return lambda tokens: [frame(token) for token in tokens]


def whole(frames: Shape, *last: Callable[[str], Any]) -> Shape:
    """Tokens, and then all of them once more in other words."""
    return lambda tokens: [*frames(tokens), *(make("".join(tokens)) for make in last)]


def converse(token: str) -> Any:
    return bedrock("contentBlockDelta", delta={"text": token}, contentBlockIndex=0)


def said_by_strands(token: str) -> Any:
    return {"data": token, "delta": {"text": token}}


def bedrock_message(text: str) -> Any:
    return {"role": "assistant", "content": [{"text": text}]}


def both(tokens: Sequence[str]) -> list[Any]:
    return [frame for token in tokens for frame in (converse(token), said_by_strands(token))]


def accumulated(tokens: Sequence[str]) -> list[Any]:
    return [
        {"delta": token, "response": "".join(tokens[: at + 1]), "current_agent_name": "a"}
        for at, token in enumerate(tokens)
    ]


def adk(text: str, *, partial: bool = True) -> Any:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"author": "a", "partial": partial, "content": content}


def autogen(kind: str) -> Callable[[str], Any]:
    return lambda text: {"type": kind, "source": "a", "content": text}


def response(kind: str, **fields: Any) -> Any:
    return {"type": f"response.{kind}", "item_id": "m", **fields}


def item(text: str) -> Any:
    return {"type": "message", "id": "m", "content": [{"type": "output_text", "text": text}]}


def claude(token: str) -> Any:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"text": token}}
    return {"uuid": "u", "session_id": "s", "event": delta, "parent_tool_use_id": None}


def thread(token: str) -> Any:
    return {"id": "m", "delta": {"content": [{"type": "text", "text": {"value": token}}]}}


def bytes_of(token: str) -> str:
    return base64.b64encode(token.encode()).decode()


SHAPES: dict[str, Shape] = {
    "strings": lambda tokens: ["Say", *tokens],
    "strings, then the result": whole(lambda t: ["Say", *t], lambda text: {"result": f"Say{text}"}),
    "content": each(lambda token: {"content": token}),
    "text": each(lambda token: {"text": token}),
    "data": each(lambda token: {"data": token}),
    "an own key": each(lambda token: {"custom_llm_chunk": token}),
    "typed": each(lambda token: {"type": "token", "content": token}),
    "with labels": each(lambda token: {"response": token, "session_id": "s", "done": False}),
    "delta beside all": lambda tokens: [
        {"token": token, "text": "".join(tokens[: at + 1])} for at, token in enumerate(tokens)
    ],
    "JSON in strings": each(lambda token: json.dumps({"type": "text", "content": token})),
    "SSE in strings": each(lambda token: f"data: {json.dumps({'content': token})}\n\n"),
    "chunks": each(chunk),
    "chunks and message": whole(each(chunk), ai),
    "pairs and states": whole(
        each(lambda token: ["messages", [chunk(token), {"langgraph_node": "a"}]]),
        lambda text: ["updates", {"a": {"messages": [ai(text)]}}],
        lambda text: ["values", {"messages": [{"type": "human", "content": "Q"}, ai(text)]}],
    ),
    "events": each(
        lambda token: {"event": "on_chat_model_stream", "data": {"chunk": chunk(token)}}
    ),
    "converse": each(converse),
    "strands": each(said_by_strands),
    "strands raw": whole(
        both,
        lambda text: {"message": bedrock_message(text)},
        lambda text: {"result": {"stop_reason": "end_turn", "message": bedrock_message(text)}},
    ),
    "graph": each(
        lambda token: {
            "type": "multiagent_node_stream",
            "node_id": "a",
            "event": said_by_strands(token),
        }
    ),
    "ag-ui": each(lambda token: {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": token}),
    "ai sdk": each(lambda token: {"type": "text-delta", "id": "t", "delta": token}),
    "mastra": each(lambda token: {"type": "text-delta", "payload": {"id": "t", "text": token}}),
    "openai chat": each(lambda token: {"choices": [{"delta": {"content": token}}]}),
    "openai responses": whole(
        each(lambda token: response("output_text.delta", delta=token)),
        lambda text: response("output_text.done", text=text),
        lambda text: response("output_item.done", item=item(text)),
        lambda text: response("completed", response={"output": [item(text)]}),
    ),
    "openai agents": whole(
        each(
            lambda token: {
                "type": "raw_response_event",
                "data": {"type": "response.output_text.delta", "delta": token},
            }
        ),
        lambda text: {
            "type": "run_item_stream_event",
            "item": {
                "type": "message_output_item",
                "raw_item": {**item(text), "id": "__fake_id__"},
            },
        },
    ),
    "adk": whole(each(adk), lambda text: adk(text, partial=False)),
    "autogen": whole(
        each(autogen("ModelClientStreamingChunkEvent")),
        autogen("TextMessage"),
        lambda text: {"messages": [autogen("TextMessage")(text)], "stop_reason": None},
    ),
    "crewai": whole(
        each(lambda token: {"content": token, "chunk_type": "text", "agent_role": "A"}),
        lambda text: {"raw": text, "tasks_output": [{"raw": text, "agent": "A"}]},
    ),
    "llamaindex": whole(
        accumulated,
        lambda text: {
            "response": {"role": "assistant", "blocks": [{"block_type": "text", "text": text}]},
            "current_agent_name": "a",
        },
    ),
    "agno": whole(
        each(lambda token: {"event": "RunContent", "run_id": "r", "content": token}),
        lambda text: {"event": "RunCompleted", "run_id": "r", "content": text},
    ),
    "pydantic-ai": each(
        lambda token: {
            "event_kind": "part_delta",
            "index": 0,
            "delta": {"part_delta_kind": "text", "content_delta": token},
        }
    ),
    "one level down": each(lambda token: {"type": "content", "data": {"text": token}}),
    "a speaker's": each(lambda token: {"agent": "a", "text": token}),
    "a speaker's, in metadata": each(
        lambda token: {"content": token, "metadata": {"langgraph_node": "a"}}
    ),
    "keys of .NET": each(lambda token: {"Type": "Token", "Content": token}),
    "typed, and at the end": whole(
        each(lambda token: {"type": "token", "token": token}),
        lambda text: {"type": "complete", "final_response": text},
    ),
    "a node's own state": whole(
        each(lambda token: ["messages", [chunk(token), {"langgraph_node": "a"}]]),
        lambda text: ["values", {"question": "Q", "messages": [human("Q"), ai(text)]}],
    ),
    "enveloped": each(lambda token: {"type": "chunk", "data": chunk(token), "session_id": "s"}),
    "pairs in envelopes": each(lambda token: {"data": [chunk(token), {"langgraph_node": "a"}]}),
    "JSON under a key": each(lambda token: {"data": json.dumps(chunk(token))}),
    "JSON under a key beside others": each(
        lambda token: {"type": "message", "seq": 1, "data": json.dumps(chunk(token))}
    ),
    "events in strings": each(lambda token: f"data: {json.dumps({'content': token})}\n\n"),
    "strings in events in strings": lambda tokens: [
        f"data: {json.dumps(token)}\n\n" for token in ("Say", *tokens)
    ],
    "final pieces": each(lambda token: {"type": "final_answer", "data": token}),
    "chunks and all of it": whole(
        each(lambda token: {"type": "chunk", "content": token}),
        lambda text: {"type": "final", "content": text},
    ),
    "strings as data of named events": lambda tokens: [
        *({"event": "token", "data": token} for token in ("Say", *tokens)),
        {"event": "done", "data": json.dumps({"content": "".join(["Say", *tokens]), "id": "m"})},
    ],
    "named by kind": each(lambda token: {"kind": "token", "text": token}),
    "a2a": each(
        lambda token: {
            "kind": "artifact-update",
            "append": True,
            "artifact": {"parts": [{"kind": "text", "text": token}]},
        }
    ),
    "agent framework": each(
        lambda token: {
            "type": "agent_run_response_update",
            "contents": [{"type": "text", "text": token}],
            "message_id": "m",
        }
    ),
    "gemini": each(
        lambda token: {"candidates": [{"content": {"parts": [{"text": token}], "role": "model"}}]}
    ),
    "anthropic": each(
        lambda token: {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": token},
        }
    ),
    "cohere": each(
        lambda token: {
            "type": "content-delta",
            "index": 0,
            "delta": {"message": {"content": {"text": token}}},
        }
    ),
    "ollama": each(
        lambda token: {"message": {"role": "assistant", "content": token}, "done": False}
    ),
    "hugging face": whole(
        each(lambda token: {"token": {"text": token, "special": False}, "generated_text": None}),
        lambda text: {"token": {"text": "</s>", "special": True}, "generated_text": text},
    ),
    "bedrock agents": each(lambda token: {"chunk": {"bytes": bytes_of(token)}}),
    "openai completions": each(lambda token: {"choices": [{"text": token, "index": 0}]}),
    "openai threads": whole(
        each(lambda token: {"event": "thread.message.delta", "data": thread(token)}),
        lambda text: {
            "event": "thread.message.completed",
            "data": {"id": "m", "content": thread(text)["delta"]["content"]},
        },
    ),
    "letta": each(lambda token: {"message_type": "assistant_message", "content": token}),
    "langflow": each(lambda token: {"event": "token", "data": {"chunk": token, "id": "2"}}),
    "claude": whole(
        each(claude),
        lambda text: {"content": [{"text": text}], "model": "m", "parent_tool_use_id": None},
        lambda text: {"subtype": "success", "duration_ms": 1, "is_error": False, "result": text},
    ),
}


@settings(max_examples=15, deadline=None)
@given(tokens=TOKENS)
@example(tokens=["{", '{"a": 1}'])  # the second begins with the first, as a text that grows would
@pytest.mark.parametrize("name", SHAPES)
def test_tokens__arrive_to_the_letter(name: str, tokens: list[str]) -> None:
    wanted = "".join(["Say", *tokens] if name.startswith("strings") else tokens)
    decoder = Decoder("text/event-stream")
    events = decoder.feed(sse(*SHAPES[name](tokens))) + decoder.end()

    said = "".join(event.content for event in events if isinstance(event, Message))
    if not wanted.strip():
        assert said in ("", wanted)
        return
    assert decoder.failure is None
    assert said == wanted
    assert isinstance(events[-1], Done)


def lines(frame: Callable[[str], Any]) -> Callable[[Sequence[str]], str]:
    return lambda tokens: "".join(f"{json.dumps(frame(token))}\n" for token in tokens)


BODIES: dict[str, tuple[str, Callable[[Sequence[str]], str]]] = {
    "text": ("text/plain", lambda tokens: "Say" + "".join(tokens)),
    "JSON lines": ("application/x-ndjson", lines(lambda token: {"content": token})),
    "JSON lines as text": ("text/plain", lines(lambda token: {"content": token})),
    "named events": (
        "text/event-stream",
        lambda tokens: "".join(
            f"event: token\ndata: {json.dumps({'content': token})}\n\n" for token in tokens
        ),
    ),
    "named strings": (
        "text/event-stream",
        lambda tokens: "".join(
            f"event: data\ndata: {json.dumps(token)}\n\n" for token in ("Say", *tokens)
        ),
    ),
    "data stream": (
        "text/plain",
        lambda tokens: "".join(f"0:{json.dumps(token)}\n" for token in tokens),
    ),
    "body": ("application/json", lambda tokens: json.dumps({"answer": "Say" + "".join(tokens)})),
    "body in an envelope": (
        "application/json",
        lambda tokens: json.dumps(
            {"data": {"chat": {"answer": "Say" + "".join(tokens)}}, "id": "x"}
        ),
    ),
    "body of a proxy": (
        "application/json",
        lambda tokens: json.dumps(
            {"statusCode": 200, "body": json.dumps({"answer": "Say" + "".join(tokens)})}
        ),
    ),
}


@settings(max_examples=15, deadline=None)
@given(tokens=TOKENS)
@pytest.mark.parametrize("name", BODIES)
def test_bodies__arrive_to_the_letter(name: str, tokens: list[str]) -> None:
    content_type, body = BODIES[name]
    decoder = Decoder(content_type)
    events = decoder.feed(body(tokens).encode()) + decoder.end()

    said = "".join(event.content for event in events if isinstance(event, Message))
    wanted = "".join(tokens)
    if wanted.strip():
        assert decoder.failure is None
        assert said.removeprefix("Say") == wanted


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TOKENS, min_size=2, max_size=4), order=st.randoms(use_true_random=False))
def test_speakers_that_interleave__are_each_heard_whole(texts: list[list[str]], order: Any) -> None:
    """Nodes side by side, each with a mark at both ends by which it is found in the answer."""
    texts = [[f"<{node}", *tokens, f"{node}>"] for node, tokens in enumerate(texts)]
    left = {node: list(tokens) for node, tokens in enumerate(texts)}
    frames: list[Any] = []
    while left:
        node = order.choice(sorted(left))
        event = converse(left[node].pop(0))
        frames.append({"type": "multiagent_node_stream", "node_id": str(node), "event": event})
        if not left[node]:
            del left[node]
            stop = bedrock("messageStop", stopReason="end_turn")
            frames.append({"type": "multiagent_node_stream", "node_id": str(node), "event": stop})
    decoder = Decoder("text/event-stream")
    events = decoder.feed(sse(*frames)) + decoder.end()

    said = "".join(event.content for event in events if isinstance(event, Message))
    for tokens in texts:
        assert said.count("".join(tokens)) == 1


@pytest.mark.parametrize("count", [2, 64, 65, 66, 130, 300])
def test_an_answer_of_many_tokens__is_said_once_though_it_comes_whole_behind_them(
    count: int,
) -> None:
    tokens = [f"{number} " for number in range(count)]
    whole = {"message": {"role": "assistant", "content": [{"text": "".join(tokens)}]}}
    decoder = Decoder("text/event-stream")
    events = [
        event
        for frame in [*({"data": token} for token in tokens), whole]
        for event in decoder.feed(sse(frame))
    ]
    events += decoder.end()

    said = [event.content for event in events if isinstance(event, Message)]
    assert "".join(said) == "".join(tokens)
    assert decoder.failure is None
