"""What named events in an agent's own stream become."""

import json
from typing import Any

import pytest

from bff.events import Custom, Message, Source, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import tools
from tests.agents.decoding import (
    ARGS,
    CALL,
    ENDED,
    START,
    ai,
    decode,
    failed,
    inner,
    result,
    said,
    usage,
)


class TestNamedEvents:
    def test_langgraph_agentcore__is_read_inside_its_strings(self) -> None:
        values = [
            inner("AGENT_START", session_id="s"),
            inner("THINKING", status="reasoning", message="Analyzing your request..."),
            inner("TOOL_CALL", tool="calculator", args={"expression": "15 * 23"}),
            inner("TOOL_RESULT", tool="calculator", result="345"),
            inner("LLM_RESPONSE", content="It is 345"),
            inner("AGENT_END", output="It is 345"),
        ]
        expected = [
            Thinking("Analyzing your request..."),
            ToolStart("call-1", "calculator", {"expression": "15 * 23"}),
            ToolEnd("call-1", "calculator", "345"),
            Message("It is 345"),
        ]
        assert said(*values) == expected
        assert decode("".join(map(str, values)).encode())[0][:-1] == expected, "not wrapped"

    def test_answer_only_at_the_end__is_said(self) -> None:
        assert said(inner("AGENT_START"), inner("AGENT_END", output="Hi")) == [Message("Hi")]

    def test_calls_without_ids__find_their_results_by_name(self) -> None:
        values = [
            inner("TOOL_CALL", tool="a", args={"n": 1}),
            inner("TOOL_CALL", tool="b", args={"n": 2}),
            inner("TOOL_CALL", tool="a", args={"n": 3}),
            inner("TOOL_RESULT", tool="b", result="2"),
            inner("TOOL_RESULT", tool="a", result="1"),
            inner("TOOL_RESULT", tool="a", result="3"),
        ]
        assert tools(said(*values))[3:] == [
            ToolEnd("call-2", "b", "2"),
            ToolEnd("call-1", "a", "1"),
            ToolEnd("call-3", "a", "3"),
        ]

    @pytest.mark.parametrize(
        ("call", "done"),
        [
            (
                {"tool": "calculator", "input": {"expression": "15 * 23"}, "toolUseId": "t1"},
                {"toolResult": "345", "toolUseId": "t1"},
            ),
            (
                {"tool_use": {"name": "calculator", "input": json.loads(ARGS), "id": "t1"}},
                {
                    "tool_result": {
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "345"}],
                    }
                },
            ),
            (
                {
                    "type": "function_call",
                    "id": "f",
                    "call_id": "t1",
                    "name": "calculator",
                    "arguments": ARGS,
                },
                {"type": "function_call_output", "id": "g", "call_id": "t1", "output": "345"},
            ),
            (
                {"event": "tool_call", "data": {"id": "t1", "name": "calculator", "args": ARGS}},
                {"event": "tool_result", "data": {"id": "t1", "result": 345}},
            ),
        ],
    )
    def test_tools_told_by_hand__are_tools(self, call: object, done: object) -> None:
        assert said(call, done, "Hi") == [START, ENDED, Message("Hi")]

    @pytest.mark.parametrize(
        "frame",
        [
            {"type": "status", "message": "Working"},
            {"type": "progress", "data": 50},
            {"data": 50},
            {"data": [{"text": "A document", "url": "https://example.com"}]},
        ],
    )
    def test_news_about_the_run__are_kept_and_no_text(self, frame: Any) -> None:
        kept = Custom(frame, frame.get("type"))
        assert said("Hi", frame) == [Message("Hi"), kept]

    def test_a_list_of_sources__is_told_and_kept_where_it_says_more(self) -> None:
        frame = {"type": "sources", "data": [{"text": "A page", "url": "https://example.com"}]}
        told = [Message("Hi"), Source("https://example.com")]
        assert said("Hi", frame) == [*told, Custom(frame, "sources")]
        frame["data"] = [{"url": "https://example.com"}]
        assert said("Hi", frame) == told

    def test_news__are_kept_under_the_name_they_have(self) -> None:
        step = {"step": 1}
        data = b'event: progress\ndata: {"step": 1}\n\ndata: "Hi"\n\n'
        assert decode(data)[0][0] == Custom(step, "progress")
        named = {"event": "on_custom_event", "name": "progress", "data": step}
        assert said(named, "Hi")[0] == Custom(step, "progress")
        assert said({"type": "not a name!", "n": [1]}, "Hi")[0] == Custom(
            {"type": "not a name!", "n": [1]}
        )

    def test_conversation_once_more_at_the_end__adds_nothing(self) -> None:
        messages = [ai("Let me see. ", "1", tool_calls=[CALL]), result(), ai("It is 345", "2")]
        values = [
            {"data": "Let me see. "},
            {"tool": "calculator", "input": json.loads(ARGS), "toolUseId": "t1"},
            {"toolResult": "345", "toolUseId": "t1"},
            {"data": "It is 345"},
            {"result": {"messages": messages, "image_url": []}},
        ]
        assert said(*values) == [Message("Let me see. "), START, ENDED, Message("It is 345")]

    def test_own_events__are_read(self) -> None:
        values = [
            {"type": "thinking", "content": "Hm"},
            {
                "type": "tool_start",
                "id": "t1",
                "name": "calculator",
                "input": {"expression": "15 * 23"},
            },
            {"type": "tool_end", "id": "t1", "output": "345"},
            {"type": "message", "content": "Hi"},
            {"type": "done", "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        ]
        assert said(*values) == [Thinking("Hm"), START, ENDED, Message("Hi")]
        assert usage(*values) == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    @pytest.mark.parametrize(
        "string",
        [
            'data: {"text": "Hi"}\n\n',
            'data: {"text": "Hi"}',
            "data: Hi\n\n",
            'event: LLM_RESPONSE\ndata: {"content": "Hi"}\n',
            'event: LLM_RESPONSE\r\ndata: {"content": "Hi"}\r\n\r\n',
            ': ping\n\nid: 7\nevent: x\ndata: "Hi"\n\n',
        ],
    )
    def test_events_inside_a_string__are_read(self, string: str) -> None:
        assert said(string, ": keep-alive\n\n") == [Message("Hi")]

    def test_last_frame__may_have_the_answer_once_more_or_only(self) -> None:
        done = {"type": "done", "content": "Hello", "message": "Stream complete"}
        assert said("Hel", "lo", done) == [Message("Hel"), Message("lo")]
        assert said(done) == [Message("Hello")]
        assert said("Hi", {"type": "end", "message": "Stream complete"}) == [Message("Hi")]

    def test_reasoning_under_a_key_of_its_own__is_thinking(self) -> None:
        values = [{"reasoning": "Hm"}, {"thinking": "!", "content": "Hi"}]
        assert said(*values) == [Thinking("Hm"), Thinking("!"), Message("Hi")]

    def test_usage_alone__is_no_event(self) -> None:
        values = ["Hi", {"usage": {"input_tokens": 1, "output_tokens": 2}}]
        assert said(*values) == [Message("Hi")]
        assert usage(*values) == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    def test_flags_alone__are_kept_but_no_answer(self) -> None:
        assert said("Hi", {"done": True}) == [Message("Hi"), Custom({"done": True})]
        assert "no content" in failed({"done": True})
