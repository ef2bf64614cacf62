"""What LangChain and LangGraph dumps become."""

import json
from typing import Any

import pytest

from bff.events import Custom, Input, Message, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import text, thinking, tools
from tests.agents.decoding import (
    ARGS,
    CALL,
    ENDED,
    START,
    ai,
    chunk,
    decode,
    failed,
    human,
    piece,
    result,
    said,
    usage,
)


class TestLangChain:
    def test_blocks__are_text_and_reasoning(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "reasoning", "reasoning": "m"},
            {"type": "reasoning_content", "reasoning_content": {"text": "m", "type": "text"}},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "."}]},
            {"type": "text", "text": "Hel", "index": 0},
            {"type": "text", "text": "lo", "index": 0},
        ]
        events = said(*(chunk([block]) for block in blocks))
        assert (thinking(events), text(events)) == ("Hmmm.", "Hello")

    def test_reasoning_of_other_providers__is_thinking(self) -> None:
        events = said(chunk(additional_kwargs={"reasoning_content": "Hm"}), chunk("Hi"))
        assert events == [Thinking("Hm"), Message("Hi")]

    def test_unknown_block__is_kept(self) -> None:
        block = {"type": "chart", "points": [1, 2]}
        assert said(chunk([block]), chunk("Hi")) == [Custom(block, "chart"), Message("Hi")]

    @pytest.mark.parametrize("split", [[ARGS], [ARGS[:9], ARGS[9:]], ["", *ARGS, ""], [None, ARGS]])
    def test_call__is_told_once_when_its_arguments_are_complete(self, split: list[str]) -> None:
        values = [piece(split[0], "t1", "calculator"), *(piece(args) for args in split[1:])]
        assert said(*values, result(), chunk("!", "run-2")) == [START, ENDED, Message("!")]

    def test_call__from_partial_json_blocks(self) -> None:
        def block(**fields: object) -> Any:
            return chunk([{"index": 1, **fields}])

        values = [
            block(type="tool_use", id="t1", name="calculator", input={}),
            block(type="input_json_delta", partial_json=ARGS[:5]),
            block(type="tool_use", partial_json=ARGS[5:]),
        ]
        assert tools(said(*values, result())) == [START, ENDED]

    def test_call__told_in_chunks_and_blocks_is_one(self) -> None:
        part = {"name": "calculator", "args": ARGS, "id": "t1", "index": 1}
        block = {"type": "tool_use", "id": "t1", "name": "calculator", "input": {}, "index": 1}
        values = [chunk([block], tool_call_chunks=[part], tool_calls=[{**CALL, "args": {}}])]
        assert tools(said(*values, ai(tool_calls=[CALL]), result())) == [START, ENDED]

    def test_calls_in_parallel__are_kept_apart_by_index(self) -> None:
        values = [
            piece("", "a", "one", 0),
            piece("", "b", "two", 1),
            piece('{"n": 1', None, None, 0),
            piece('{"n": 2}', None, None, 1),
            piece("}", None, None, 0),
        ]
        assert tools(said(*values, "Hi")) == [
            ToolStart("b", "two", {"n": 2}),
            ToolStart("a", "one", {"n": 1}),
        ]

    def test_index_used_again_in_the_next_message__is_another_call(self) -> None:
        first = piece('{"n": 1}', "a", "one")
        second = {**piece("", "b", "two"), "id": "run-2"}
        third = {**piece('{"n": 2}'), "id": "run-2"}
        assert tools(said(first, second, third, "Hi")) == [
            ToolStart("a", "one", {"n": 1}),
            ToolStart("b", "two", {"n": 2}),
        ]

    def test_call_without_arguments__is_told_at_the_end_of_its_message(self) -> None:
        values = [piece("", "t1", "now"), chunk(chunk_position="last"), result("noon", name="now")]
        assert tools(said(*values)) == [ToolStart("t1", "now", {}), ToolEnd("t1", "now", "noon")]

    @pytest.mark.parametrize("mode", ["live", "values"])
    def test_id_used_again_for_another_call__is_another_call(self, mode: str) -> None:
        first, second = {**CALL, "args": {"n": 1}}, {**CALL, "args": {"n": 2}}
        messages = [
            ai(id="run-1", tool_calls=[first]),
            result("1", id="result-1"),
            ai(id="run-2", tool_calls=[second]),
            result("2", id="result-2"),
            ai("Done", "run-3"),
        ]
        states = [{"messages": [human("Hi"), *messages[:n]]} for n in range(6)]
        assert said(*(messages if mode == "live" else states)) == [
            ToolStart("t1", "calculator", {"n": 1}),
            ToolEnd("t1", "calculator", "1"),
            ToolStart("t1-2", "calculator", {"n": 2}),
            ToolEnd("t1-2", "calculator", "2"),
            Message("Done"),
        ]

    def test_call_told_again_under_another_message_id__is_one(self) -> None:
        values = [piece(ARGS, "t1", "calculator"), result(), ai("", "other", tool_calls=[CALL])]
        assert tools(said(*values)) == [START, ENDED]

    def test_call_cut_off_in_its_arguments__is_not_told(self) -> None:
        assert said(piece('{"n": ', "t1", "one"), "Hi") == [Message("Hi")]

    def test_arguments_that_are_no_json__are_told_as_they_are(self) -> None:
        assert tools(said(piece("15 *", "t1", "calculator"), result()))[0] == ToolStart(
            "t1", "calculator", "15 *"
        )

    def test_braces_inside_arguments__do_not_end_them(self) -> None:
        args = json.dumps({"code": "if (a) { b(); } else { c('}'); }"})
        assert tools(said(piece("", "t1", "run"), *map(piece, args), "Hi")) == [
            ToolStart("t1", "run", json.loads(args))
        ]

    def test_result_of_a_call_nobody_told__gets_its_start(self) -> None:
        assert said(result(), ai("Hi")) == [ToolStart("t1", "calculator", {}), ENDED, Message("Hi")]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ([{"type": "text", "text": "34"}, {"type": "text", "text": "5"}], "345"),
            (["34", "5"], "345"),
            ({"value": 345}, '{"value": 345}'),
            ([{"type": "image", "url": "x"}], '[{"type": "image", "url": "x"}]'),
            (345, "345"),
            (None, ""),
        ],
    )
    def test_result__is_text(self, content: object, expected: str) -> None:
        assert tools(said(result(content)))[1] == ToolEnd("t1", "calculator", expected)

    @pytest.mark.parametrize(
        "wrapped",
        [
            [ai("Hello")],
            [[ai("Hello"), {"langgraph_node": "agent"}]],
            [["messages", [ai("Hello"), {"langgraph_node": "agent"}]]],
            [["updates", {"agent": {"messages": [ai("Hello")]}}]],
            [["values", {"messages": [human("Hi"), ai("Hello")]}]],
            [{"agent": {"messages": [ai("Hello")]}}],
            [{"agent": {"messages": ai("Hello")}}],
            [{"model": {"messages": [ai("Hello")]}}],
            [{"agent": [ai("Hello")]}],
            [{"agent": ai("Hello")}],
            [{"agent": {"messages": [ai("Hello")]}, "reader": None}],
            [{"messages": [human("Hi"), ai("Hello")]}],
            [{"messages": [{"role": "user", "content": "Hi"}, {"role": "ai", "content": "Hello"}]}],
            [[["outer:1"], "messages", [ai("Hello"), {}]]],
            [[[], {"agent": {"messages": [ai("Hello")]}}]],
            [{"type": "messages", "ns": [], "data": [ai("Hello"), {}]}],
            [{"type": "updates", "ns": [], "data": {"agent": {"messages": [ai("Hello")]}}}],
            [{"type": "ai", "data": {"content": "Hello", "id": "x"}}],
            [
                {
                    "lc": 1,
                    "type": "constructor",
                    "id": ["langchain", "AIMessage"],
                    "kwargs": ai("Hello"),
                }
            ],
            [{"output": {"messages": [human("Hi"), ai("Hello")]}}],
            [{"result": ai("Hello")}],
            [{"response": [human("Hi"), ai("Hello")]}],
            [[human("Hi"), ai("Hello")]],
            [{"event": "on_chat_model_stream", "data": {"chunk": chunk("Hello")}, "name": "m"}],
            [{"event": "on_chat_model_end", "data": {"output": ai("Hello")}, "name": "m"}],
        ],
        ids=str,
    )
    def test_envelopes__are_opened(self, wrapped: list[object]) -> None:
        assert said(*wrapped) == [Message("Hello")]

    @pytest.mark.parametrize("id", ["run-1", None])
    def test_message_after_its_chunks__adds_nothing(self, id: str | None) -> None:
        values = [chunk("Hel", id), chunk("lo", id), {"agent": {"messages": [ai("Hello", id)]}}]
        assert text(said(*values)) == "Hello"

    def test_message_under_another_id__adds_nothing(self) -> None:
        assert text(said(chunk("Hel"), chunk("lo"), ai("Hello", "other"))) == "Hello"

    def test_message_that_goes_on__adds_the_rest(self) -> None:
        assert text(said(chunk("Hel"), ai("Hello"))) == "Hello"

    def test_same_words_in_two_messages__are_said_twice(self) -> None:
        values = [ai("Done.", "1"), ai("Done.", "2"), ai("Done.", None), ai("Done.", None)]
        assert text(said(*values)) == "Done." * 4

    @pytest.mark.parametrize("id", ["run-1", None])
    def test_values__never_repeat_and_leave_earlier_turns_out(self, id: str | None) -> None:
        old = [human("Before"), ai("Old", "old"), result("old", tool_call_id="t0"), human("Now")]
        second = None if id is None else "run-2"
        calling = ai("Let me see. ", id, tool_calls=[CALL])
        states = [old, [*old, calling], [*old, calling, result()]]
        states += [[*old, calling, result(), ai("345", second)]] * 2
        events = said(*({"messages": state} for state in states))

        assert events == [Message("Let me see. "), START, ENDED, Message("345")]

    def test_every_mode_at_once__says_all_of_it_once(self) -> None:
        call, done = ai("", "run-1", tool_calls=[CALL]), ai("It is 345", "run-2")
        state = [human("Hi"), call, result()]
        values = [
            ["values", {"messages": [human("Hi")]}],
            ["messages", [piece(ARGS[:4], "t1", "calculator"), {"langgraph_node": "agent"}]],
            ["messages", [piece(ARGS[4:]), {"langgraph_node": "agent"}]],
            ["updates", {"agent": {"messages": [call]}}],
            ["debug", {"type": "task", "payload": {"messages": state}}],
            ["messages", [result(), {"langgraph_node": "tools"}]],
            ["updates", {"tools": {"messages": [result()]}}],
            ["values", {"messages": state}],
            ["messages", [chunk("It is ", "run-2"), {"langgraph_node": "agent"}]],
            ["messages", [chunk("345", "run-2"), {"langgraph_node": "agent"}]],
            ["updates", {"agent": {"messages": [done]}, "other": None}],
            ["values", {"messages": [*state, done]}],
            ["custom", {"progress": 1}],
        ]
        assert said(*values) == [
            START,
            ENDED,
            Message("It is "),
            Message("345"),
            Custom({"progress": 1}),
        ]

    def test_state_without_messages__is_kept(self) -> None:
        assert said(["values", {"n": 1}], ["updates", {"count": {"n": 1}}], "Hi") == [
            Custom({"n": 1}),
            Custom({"count": {"n": 1}}),
            Message("Hi"),
        ]

    def test_what_a_node_changed_beside_messages__is_kept(self) -> None:
        docs = {"documents": ["a"]}
        values = {"agent": {"messages": [ai("Hi")], "n": 1}, "retriever": docs}
        assert said(values) == [
            Message("Hi"),
            Custom({"agent": {"n": 1}}),
            Custom({"retriever": docs}),
        ]

    def test_state_beside_messages__is_told_once_at_the_end(self) -> None:
        def state(*messages: object, documents: list[str]) -> object:
            return {"messages": [human("Hi"), *messages], "documents": documents, "steps": 3}

        values = [state(documents=[]), state(ai("Hello"), documents=["a"])]
        assert said(*values) == [Message("Hello"), Custom({"documents": ["a"]})]

    def test_message_of_a_node_without_a_model__is_in_the_last_event_of_the_graph(self) -> None:
        def end(parents: list[str]) -> object:
            output = {"messages": [human("Hi"), ai("Hel", "run-1"), ai("lo", "node-1")]}
            return {"event": "on_chain_end", "data": {"output": output}, "parent_ids": parents}

        stream = {"event": "on_chat_model_stream", "data": {"chunk": chunk("Hel", "run-1")}}
        assert said(stream, end(["a"]), end([])) == [Message("Hel"), Message("lo")]

    def test_interrupt__is_a_question(self) -> None:
        interrupt = [{"value": "Approve?", "id": "i1"}]
        question = Input("i1", "input", "Approve?", value="Approve?")
        second = {"type": "values", "ns": [], "data": {"messages": []}, "interrupts": interrupt}
        state = {"messages": [human("Hi")], "__interrupt__": interrupt}
        assert said({"__interrupt__": interrupt}, second, state) == [question]
        assert said(second) == [question]
        assert said(state) == [question]

    def test_usage_beyond_all_measure__is_no_usage(self) -> None:
        endless = {"input_tokens": int("9" * 4300), "output_tokens": int("9" * 4300)}
        assert usage(chunk("a", usage_metadata=endless)) is None

    def test_usage__is_added_up_over_messages_and_counted_once(self) -> None:
        first = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}
        second = {"input_tokens": 0, "output_tokens": 4, "total_tokens": 4}
        whole = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        values = [
            chunk("a", usage_metadata=first),
            chunk("b", usage_metadata=second),
            ai("ab", usage_metadata=whole),
            ai("c", "run-2", usage_metadata=whole),
            {"messages": [human("Hi"), ai("c", "run-2", usage_metadata=whole)]},
        ]
        assert usage(*values) == {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}

    def test_openai_calls__are_calls(self) -> None:
        def delta(**function: object) -> object:
            call = {
                "index": 0,
                "function": function,
                **({"id": "t1"} if "name" in function else {}),
            }
            return {"choices": [{"delta": {"tool_calls": [call]}}]}

        values = [
            delta(name="calculator", arguments=""),
            delta(arguments=ARGS[:3]),
            delta(arguments=ARGS[3:]),
        ]
        assert tools(said(*values, "Hi")) == [START]


class TestProtocol:
    """LangChain's streaming protocol, as `astream_events(version="v3")` tells it."""

    @staticmethod
    def event(method: str, data: object, *namespace: str, **params: object) -> dict[str, Any]:
        fields = {"namespace": list(namespace), "timestamp": 1, "data": data, **params}
        return {"type": "event", "method": method, "params": fields}

    def message(self, **event: object) -> dict[str, Any]:
        return self.event("messages", [event, {"run_id": "r1", "langgraph_node": "model"}])

    def test_blocks_of_every_kind__are_said_once_and_counted(self) -> None:
        call = {"type": "tool_call_chunk", "id": "t1", "name": "calculator", "args": ""}
        events = said(
            self.message(event="message-start", role="ai", id="m1"),
            self.message(event="content-block-start", index=0, content=call),
            self.message(
                event="content-block-delta",
                index=0,
                delta={"type": "tool-call-delta", "args": ARGS},
            ),
            self.message(
                event="content-block-finish",
                index=1,
                content={"type": "image", "base64": "aGk=", "mime_type": "image/png"},
            ),
            self.message(event="message-finish", usage={"input_tokens": 1, "output_tokens": 2}),
            self.event("tools", {"event": "tool-error", "tool_call_id": "t1", "message": "no"}),
            self.event("values", {"messages": [human("Q"), ai("Hi", "m2")]}),
            self.event("messages", {"event": "message-start", "role": "human", "id": "h"}),
            self.event(
                "messages",
                {"event": "content-block-delta", "delta": {"type": "text-delta", "text": "Q"}},
            ),
        )
        assert tools(events) == [START, ToolEnd("t1", "calculator", None, "no")]
        assert text(events) == "Hi"

    def test_what_else_happens__is_kept_asked_or_fails(self) -> None:
        assert said(self.event("progress", {"n": 1}), "Hi")[0] == Custom({"n": 1}, "progress")
        asked = self.event("input.requested", {"interrupt_id": "i", "payload": "City?"})
        assert [event.id for event in said(asked) if isinstance(event, Input)] == ["i"]
        assert failed(self.event("lifecycle", {"event": "failed", "error": "x"}))
        part = self.event("lifecycle", {"event": "failed", "error": "x"}, "sub:1")
        assert text(said(part, "Hi")) == "Hi"

    def test_partial_messages_of_the_server__grow_with_their_calls(self) -> None:
        frames = [
            [chunk("It", tool_calls=[{"id": "t1", "name": "calculator", "args": {}}])],
            [chunk("It is", tool_calls=[CALL])],
        ]
        data = "".join(f"event: messages/partial\ndata: {json.dumps(f)}\n\n" for f in frames)
        events, _ = decode(data.encode())
        assert (text(events), tools(events)) == ("It is", [START])
