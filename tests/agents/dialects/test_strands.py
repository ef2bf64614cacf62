"""What Strands and Bedrock Converse events become."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.events import Custom, Done, Message, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import customs, text, tools
from tests.agents.decoding import (
    ARGS,
    ENDED,
    START,
    TOOL_USE,
    bedrock,
    decode,
    said,
    token,
    usage,
)
from tests.fakes.container import sse


class TestStrands:
    @given(st.lists(st.sampled_from(["ha", " ", "ha ha", "no", "🌍"]), min_size=1, max_size=20))
    def test_tokens_said_twice__are_said_once_and_none_is_lost(self, words: list[str]) -> None:
        both = [frame for word in words for frame in token(word)]
        for values in (both, both[::2], both[1::2], [f for w in words for f in token(w)[::-1]]):
            events, _ = decode(sse(*values))
            assert text(events) == "".join(words)

    def test_whole_run__as_a_filtered_stream_has_it(self) -> None:
        thought = {"reasoningContent": {"text": "Hm"}}
        values = [
            {"init_event_loop": True},
            {"start": True},
            {"start_event_loop": True},
            bedrock("messageStart", role="assistant"),
            bedrock("contentBlockDelta", delta=thought),
            {"reasoningText": "Hm", "delta": thought, "reasoning": True},
            {"reasoning_signature": "x", "delta": {}, "reasoning": True},
            bedrock("contentBlockStop"),
            *token("Let me see. "),
            bedrock("contentBlockStart", start={"toolUse": TOOL_USE}),
            {"type": "tool_use_stream", "current_tool_use": {**TOOL_USE, "input": ""}, "delta": {}},
            bedrock("contentBlockDelta", delta={"toolUse": {"input": ARGS[:7]}}),
            {
                "current_tool_use": {**TOOL_USE, "input": ARGS[:7]},
                "delta": {"toolUse": {"input": ARGS[:7]}},
            },
            bedrock("contentBlockDelta", delta={"toolUse": {"input": ARGS[7:]}}),
            {
                "current_tool_use": {**TOOL_USE, "input": ARGS},
                "delta": {"toolUse": {"input": ARGS[7:]}},
            },
            bedrock("contentBlockStop"),
            bedrock("messageStop", stopReason="tool_use"),
            bedrock("metadata", usage={"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}),
            {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "x"}}},
                        {"text": "Let me see. "},
                        {"toolUse": {**TOOL_USE, "input": json.loads(ARGS)}},
                    ],
                }
            },
            {
                "message": {
                    "role": "user",
                    "content": [
                        {
                            "toolResult": {
                                "toolUseId": "t1",
                                "status": "success",
                                "content": [{"text": "345"}],
                            }
                        }
                    ],
                }
            },
            *token("It is "),
            *token("345"),
            bedrock("messageStop", stopReason="end_turn"),
            bedrock("metadata", usage={"inputTokens": 8, "outputTokens": 2}),
            {"message": {"role": "assistant", "content": [{"text": "It is 345"}]}},
            {
                "result": {
                    "stop_reason": "end_turn",
                    "message": {"role": "assistant", "content": [{"text": "It is 345"}]},
                }
            },
        ]
        assert said(*values) == [
            Thinking("Hm"),
            Message("Let me see. "),
            START,
            ENDED,
            Message("It is "),
            Message("345"),
        ]
        assert usage(*values) == {"input_tokens": 16, "output_tokens": 4, "total_tokens": 20}

    def test_inner_state_beside_a_token__is_not_told(self) -> None:
        inner = {
            "agent": "<strands.agent.agent.Agent object at 0x7f>",
            "request_state": {},
            "messages": [{"role": "assistant", "content": [{"text": "Old"}]}],
            "tool_config": {"tools": [{"toolSpec": {"name": "secret"}}]},
        }
        values: list[object] = [
            {"init_event_loop": True, **inner},
            {"data": "Hi", "delta": {"text": "Hi"}, **inner},
            {"reasoningText": "Hm", "delta": {}, **inner},
            {"citation": {"title": "x"}, "delta": {}, **inner},
            {"event_loop_throttled_delay": 4, **inner},
        ]
        assert said(*values) == [
            Message("Hi"),
            Thinking("Hm"),
            Custom({"citation": {"title": "x"}}),
        ]

    def test_claude_agent_sdk__in_the_words_of_strands(self) -> None:
        use = {"name": "calculator", "input": {"expression": "15 * 23"}, "toolUseId": "t1"}
        values = [{"current_tool_use": use}, {"data": "It is 345"}, {"claude_session_id": "c1"}]
        assert said(*values) == [START, Message("It is 345"), Custom({"claude_session_id": "c1"})]

    @pytest.mark.parametrize("so_far", [True, False])
    def test_call__in_its_own_words_alone(self, so_far: bool) -> None:
        values = []
        for end in (0, 5, len(ARGS)):
            begin = {0: 0, 5: 0, len(ARGS): 5}[end]
            use = {**TOOL_USE, **({"input": ARGS[:end]} if so_far else {})}
            values.append(
                {"current_tool_use": use, "delta": {"toolUse": {"input": ARGS[begin:end]}}}
            )
        assert tools(said(*values, "Hi")) == [START]

    def test_result__of_the_whole_run_counts_the_tokens(self) -> None:
        metrics = {"accumulated_usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6}}
        values = ["Hi", {"result": {"stop_reason": "end_turn", "metrics": metrics}}]
        assert usage(*values) == {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}

    def test_failed_tool__has_an_error(self) -> None:
        failed_result = {"toolUseId": "t1", "status": "error", "content": [{"text": "no"}]}
        message = {"role": "user", "content": [{"toolResult": failed_result}]}
        assert tools(said({"message": message}))[1] == ToolEnd("t1", "tool", None, "no")

    def test_json_result__is_text(self) -> None:
        done = {"toolUseId": "t1", "content": [{"json": {"value": 345}}]}
        message = {"role": "user", "content": [{"toolResult": done}]}
        assert tools(said({"message": message}))[1] == ToolEnd("t1", "tool", '{"value": 345}')

    def test_what_nobody_knows__is_kept(self) -> None:
        event = {"tool_stream_event": {"tool_use": TOOL_USE, "data": "half"}, "type": "tool_stream"}
        citation = bedrock("contentBlockDelta", delta={"citation": {"title": "x"}})
        assert customs(said(event, citation, "Hi")) == [event, {"citation": {"title": "x"}}]

    def test_node_of_a_graph_of_agents__is_opened(self) -> None:
        event = {"type": "multiagent_node_stream", "node_id": "a", "event": {"data": "Hi"}}
        assert said(event) == [Message("Hi")]

    def test_conversation_of_bedrock_messages__says_what_is_new(self) -> None:
        used = {
            "role": "assistant",
            "content": [{"toolUse": {**TOOL_USE, "input": json.loads(ARGS)}}],
        }
        done = {"toolResult": {"toolUseId": "t1", "content": [{"text": "345"}]}}
        messages = [
            {"role": "user", "content": [{"text": "Before"}]},
            {"role": "assistant", "content": [{"text": "Old"}]},
            {"role": "user", "content": [{"text": "What is 15 * 23?"}]},
            used,
            {"role": "user", "content": [done]},
            {"role": "assistant", "content": [{"text": "It is 345"}]},
        ]
        for value in (messages, {"messages": messages}, {"result": {"messages": messages}}):
            assert said(value) == [START, ENDED, Message("It is 345")]

    def test_converse_without_envelope__is_read_too(self) -> None:
        values = [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}},
            {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": TOOL_USE}}},
            {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ARGS}}}},
            {"contentBlockStop": {"contentBlockIndex": 1}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}}},
        ]
        assert said(*values) == [Message("Hi"), START]

    def test_converse_body__is_read_too(self) -> None:
        message = {
            "role": "assistant",
            "content": [{"text": "Hi"}, {"toolUse": {**TOOL_USE, "input": {}}}],
        }
        body = {
            "output": {"message": message},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 1, "outputTokens": 2},
        }
        events, _ = decode(json.dumps(body).encode(), "application/json")
        assert events == [
            Message("Hi"),
            ToolStart("t1", "calculator", {}),
            Done("complete", {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
        ]
