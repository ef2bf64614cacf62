"""What every shape of section 5 of the contract becomes: all of it, once."""

import json
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    MessagesSnapshotEvent,
    ReasoningMessageContentEvent,
    RunErrorEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StateSnapshotEvent,
    TextMessageChunkEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from ag_ui.core.types import AssistantMessage, UserMessage
from hypothesis import given
from hypothesis import strategies as st

from bff.agents.dialects import Decoder
from bff.events import Custom, Done, Event, Message, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import customs, text, thinking, tools
from tests.fakes.container import sse

START = ToolStart("t1", "calculator", {"expression": "15 * 23"})
ENDED = ToolEnd("t1", "calculator", "345")
ARGS = '{"expression": "15 * 23"}'


def decode(data: bytes, content_type: str = "text/event-stream") -> tuple[list[Event], str | None]:
    decoder = Decoder(content_type)
    events = decoder.feed(data) + decoder.end()
    return events, decoder.failure


def said(*values: object) -> list[Event]:
    """The events of an answer that must not fail, without the Done that must end it."""
    events, failure = decode(sse(*values))
    assert failure is None
    assert isinstance(events[-1], Done)
    return events[:-1]


def usage(*values: object) -> object:
    events, _ = decode(sse(*values))
    assert isinstance(events[-1], Done)
    return events[-1].usage


def failed(*values: object) -> str:
    events, failure = decode(sse(*values))
    assert failure is not None
    assert not any(isinstance(event, Done) for event in events)
    return failure


def chunk(content: object = "", id: str | None = "run-1", **fields: object) -> dict[str, Any]:
    """A LangChain AIMessageChunk as `model_dump()` gives it."""
    return {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": "AIMessageChunk",
        "name": None,
        "id": id,
        "tool_calls": [],
        "invalid_tool_calls": [],
        "usage_metadata": None,
        "tool_call_chunks": [],
        **fields,
    }


def ai(content: object = "", id: str | None = "run-1", **fields: object) -> dict[str, Any]:
    message = chunk(content, id, **{"type": "ai", **fields})
    del message["tool_call_chunks"]
    return message


def human(content: str) -> dict[str, Any]:
    return {"content": content, "type": "human", "id": f"human-{content}"}


def result(content: object = "345", **fields: object) -> dict[str, Any]:
    return {
        "content": content,
        "additional_kwargs": {},
        "type": "tool",
        "name": "calculator",
        "id": None,
        "tool_call_id": "t1",
        "artifact": None,
        "status": "success",
        **fields,
    }


CALL = {"name": "calculator", "args": {"expression": "15 * 23"}, "id": "t1", "type": "tool_call"}


def piece(
    args: str | None, id: str | None = None, name: str | None = None, index: object = 0
) -> Any:
    part = {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}
    return chunk(tool_call_chunks=[part])


class TestText:
    @pytest.mark.parametrize(
        "values",
        [
            ["Hel", "lo"],
            [{"content": "Hel"}, {"content": "lo"}],
            [{"text": "Hel"}, {"text": "lo"}],
            [{"data": "Hel"}, {"data": "lo"}],
            [{"output": "Hel"}, {"output": "lo"}],
            [{"result": "Hel"}, {"result": "lo"}],
            [{"response": "Hel"}, {"response": "lo"}],
            [{"message": "Hel"}, {"message": "lo"}],
            [{"type": "token", "content": "Hel"}, {"type": "token", "content": "lo"}],
            [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
            [{"content": [{"type": "text", "text": "Hel"}]}, {"content": ["lo"]}],
            [{"message": {"content": "Hel"}}, {"message": {"content": [{"text": "lo"}]}}],
            [{"data": {"text": "Hel"}}, {"data": {"text": "lo"}}],
            [{"result": {"output": {"text": "Hel"}}}, {"result": {"output": {"text": "lo"}}}],
            [{"event": "token", "data": "Hel"}, {"event": "token", "data": {"text": "lo"}}],
            ["Hel", None, "", {"content": ""}, {"content": None}, {"content": []}, "lo"],
            [{"role": "assistant", "content": "Hel"}, {"role": "assistant", "content": "lo"}],
            [["Hel"], ["lo"]],
            [[{"type": "text", "text": "Hel"}], [{"type": "text", "text": "lo"}]],
            [{"role": "user", "content": "Hi"}, "Hel", "lo"],
            ['event: message\ndata: "Hel"\n\n', 'data: {"content": "lo"}\n\n'],
            ['event: a\ndata: {"text": "Hel"}\n\nevent: a\ndata: {"text": "lo"}\n\n'],
            [
                {"choices": [{"delta": {"content": "Hel"}}]},
                {"choices": [{"delta": {"content": "lo"}}]},
            ],
        ],
        ids=str,
    )
    def test_plain_shapes__are_text(self, values: list[object]) -> None:
        assert said(*values) == [Message("Hel"), Message("lo")]

    @pytest.mark.parametrize("shape", [str, *("content", "text", "data", "result", "response")])
    @given(tokens=st.lists(st.text(st.sampled_from("ha \n🌍"), min_size=1, max_size=4), min_size=1))
    def test_tokens__are_never_lost(self, shape: Any, tokens: list[str]) -> None:
        values = tokens if shape is str else [{shape: token} for token in tokens]
        events, _ = decode(sse(*values))

        assert text(events) == "".join(tokens)

    @pytest.mark.parametrize("again", ["Hello world", " Hello world\n"])
    @pytest.mark.parametrize("key", ["", "result", "response", "output", "message", "content"])
    @pytest.mark.parametrize("tokens", [["Hel", "lo", " world"], ["Hello", " world"]])
    def test_final_frame__that_repeats_the_text_adds_nothing(
        self, tokens: list[str], key: str, again: str
    ) -> None:
        assert text(said(*tokens, {key: again} if key else again)) == "Hello world"

    @pytest.mark.parametrize("key", ["content", "text", "data", "response"])
    def test_final_frame__under_the_same_key_adds_nothing(self, key: str) -> None:
        values = [{key: token} for token in ("Hel", "lo", " world", "Hello world")]
        assert text(said(*values)) == "Hello world"

    def test_final_frame__of_another_key_may_differ_in_all_white_space(self) -> None:
        assert text(said("Hello world", {"result": " Hello  world\n"})) == "Hello world"

    def test_final_frame__with_more_adds_what_is_missing(self) -> None:
        assert text(said("Hello", {"result": "Hello world"})) == "Hello world"

    def test_final_frame__that_says_something_else_is_said(self) -> None:
        assert text(said("Thinking… ", {"result": "42"})) == "Thinking… 42"

    def test_final_frame__of_the_last_of_two_messages_adds_nothing(self) -> None:
        values = ["Let me see. ", {"type": "tool_call", "tool": "x", "args": {}}, "It ", "is 345"]
        assert text(said(*values, {"result": "It is 345"})) == "Let me see. It is 345"
        assert text(said(*values, {"result": "Let me see.\nIt is 345"})) == "Let me see. It is 345"

    def test_repeated_text_in_the_middle__was_a_token_after_all(self) -> None:
        assert (
            text(said("na na ", "hey ", "na na hey ", "goodbye")) == "na na hey na na hey goodbye"
        )

    def test_same_answer_twice_in_one_source__is_two_answers(self) -> None:
        frame = 'event: LLM_RESPONSE\ndata: {"content": "Done."}\n\n'
        assert text(said(frame, frame)) == "Done.Done."

    def test_split_character__is_joined(self) -> None:
        events, _ = decode(b'data: "a\\ud83d"\n\ndata: "\\ude00b"\n\n')
        assert events == [Message("a"), Message("\U0001f600b"), Done()]

    def test_split_character_whose_half_never_comes__is_kept(self) -> None:
        events, _ = decode(b'data: "a\\ud83d"\n\n')
        assert text(events) == "a\ud83d"

    def test_line_ends_and_separators__stay(self) -> None:
        assert text(said("a\r\n", "\u2028", "b\x85\x0b", "\r")) == "a\r\n\u2028b\x85\x0b\r"

    def test_numbers__are_text(self) -> None:
        assert text(said(15, " * ", 23, " = ", 345)) == "15 * 23 = 345"
        assert text(said({"result": 345})) == "345"

    def test_what_stands_beside_a_text__is_kept(self) -> None:
        sources = [{"url": "https://example.com"}]
        values = {"result": "Hi", "sources": sources, "usage": {}, "n": 1}
        assert said(values) == [Message("Hi"), Custom({"sources": sources})]

    def test_raw_text__is_said(self) -> None:
        events, _ = decode(b"data: The\n\ndata:  answer\n\ndata: : null\n\ndata: null\n\n")
        assert text(events) == "The answer: nullnull"

    def test_text_body__is_said(self) -> None:
        assert decode("Grüße\n".encode(), "text/plain")[0] == [Message("Grüße\n"), Done()]

    def test_five_thousand_chunks__are_five_thousand_events(self) -> None:
        events = said(*(chunk(f" {n}") for n in range(5000)))
        assert text(events) == "".join(f" {n}" for n in range(5000))
        assert len(events) == 5000


class TestJunk:
    @pytest.mark.parametrize(
        "junk",
        [
            "b'bytes'",
            'b"it\'s"',
            "{'data': 'Hello', 'delta': {'text': 'Hello'}, 'agent': <x.Agent object at 0x7f>}",
            "{'init_event_loop': True}",
            "{'message': {'role': 'assistant', 'content': [{'text': 'Hello'}]}}",
            "{'result': AgentResult(stop_reason='end_turn', message={'role': 'assistant'})}",
            "{'agent': {'messages': [AIMessage(content='Hello', id='1')]}}",
            "(AIMessageChunk(content='Hello', id='run-1'), {'langgraph_step': 1})",
            "content='Hello' additional_kwargs={} response_metadata={} id='run-1'",
            "AIMessageChunk(content='Hello', additional_kwargs={})",
            "<strands.agent.agent.Agent object at 0x7fbefdce2e50>",
        ],
    )
    def test_python_prints__are_never_text(self, junk: str) -> None:
        assert said("Hi", junk) == [Message("Hi")]
        assert said("Hi", {"content": junk}) == [Message("Hi")]
        assert "printed as strings" in failed(junk)

    @pytest.mark.parametrize(
        "words",
        [
            "{'a': 1} is a dict",
            "{'name': 'Bob'}",
            "b'",
            "content='x'",
            "(see above)",
            "[1]",
            "<b>bold</b>",
            "Point(x=1)",
            "data: value\n",
            "event: party\n\n",
            "data: a\nand more\n\n",
            "AIMessage is a class",
        ],
    )
    def test_text_that_looks_a_little_like_it__is_text(self, words: str) -> None:
        assert text(said(words)) == words

    @pytest.mark.parametrize("nothing", [None, "", {"content": ""}, "\n ", [], {}])
    def test_nothing__is_an_error_and_not_an_empty_answer(self, nothing: object) -> None:
        events, failure = decode(sse(nothing))
        assert failure is not None or customs(events) == [nothing]
        assert "no content" in failed(None)
        assert "no content" in failed()

    def test_reasoning_alone__is_no_answer(self) -> None:
        assert "no content" in failed({"reasoningText": "Hm"})

    def test_tool_result_alone__is_an_answer(self) -> None:
        assert tools(said(ai(tool_calls=[CALL]), result())) == [START, ENDED]

    def test_call_without_result_alone__is_no_answer(self) -> None:
        assert "no content" in failed(ai(tool_calls=[CALL]))

    @pytest.mark.parametrize("value", [{"foo": 1}, [1, {"a": 2}], True, {"status": "pong"}])
    def test_unknown_frames__are_kept(self, value: object) -> None:
        assert said(value) == [Custom(value)]


class TestErrors:
    @pytest.mark.parametrize(
        "error",
        [
            {"error": "x", "error_type": "RuntimeError", "message": "An error occurred"},
            {"error": "Serialization failed", "original_type": "X"},
            {"status": "error", "error": "x"},
            {"status": "error", "message": "x"},
            {"error": {"message": "x"}},
            {"error": True, "message": "x"},
            {"type": "error", "message": "x"},
            {"type": "RUN_ERROR", "message": "x"},
            {"force_stop": True, "force_stop_reason": "x"},
            {"event": {"internalServerException": {"message": "x"}}},
            {"throttlingException": {"message": "x"}},
            'event: ERROR\ndata: {"timestamp": "now", "error": "x"}\n\n',
            'event: error\ndata: "x"\n\n',
            {"event": "error", "data": {"message": "x"}},
        ],
        ids=str,
    )
    def test_in_band_errors__end_the_answer(self, error: object) -> None:
        decoder = Decoder("text/event-stream")
        events = decoder.feed(sse("Hi", error, "never said")) + decoder.end()

        assert events == [Message("Hi")]
        assert decoder.failure is not None

    def test_error_type__is_told_to_the_operator_and_the_text_is_not(self) -> None:
        assert (
            failed({"error": "secret", "error_type": "KeyError"}) == "an in-band error (KeyError)"
        )
        assert failed({"error": "secret", "error_type": "a secret"}) == "an in-band error"

    @pytest.mark.parametrize(
        "fine", [{"error": None}, {"error": ""}, {"error": False}, {"status": "ok"}]
    )
    def test_absent_errors__are_none(self, fine: dict[str, object]) -> None:
        assert text(said({"content": "Hi", **fine})) == "Hi"

    def test_failed_tool__is_no_failed_answer(self) -> None:
        events = said(ai(tool_calls=[CALL]), result("no such file", status="error"), "Sorry")
        assert tools(events) == [START, ToolEnd("t1", "calculator", None, "no such file")]
        assert text(events) == "Sorry"


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
        image = {"type": "image", "url": "https://example.com/a.png"}
        assert said(chunk([image])) == [Custom(image)]

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
        assert said(*values) == [ToolStart("t1", "now", {}), ToolEnd("t1", "now", "noon")]

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
        assert said(result()) == [ToolStart("t1", "calculator", {}), ENDED]

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
        assert said(["values", {"n": 1}], ["updates", {"count": {"n": 1}}]) == [
            Custom({"n": 1}),
            Custom({"count": {"n": 1}}),
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

    def test_interrupt__is_kept(self) -> None:
        interrupt = [{"value": "Approve?", "id": "i1"}]
        assert customs(said({"__interrupt__": interrupt})) == [{"__interrupt__": interrupt}]
        second = {"type": "values", "ns": [], "data": {"messages": []}, "interrupts": interrupt}
        assert customs(said(second)) == [{"__interrupt__": interrupt}]
        assert customs(said({"messages": [human("Hi")], "__interrupt__": interrupt})) == [
            {"__interrupt__": interrupt}
        ]

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


def token(words: str, *, index: int = 0) -> tuple[object, object]:
    """A token as Strands says it: in Bedrock's words, then in its own."""
    delta = {"delta": {"text": words}, "contentBlockIndex": index}
    return {"event": {"contentBlockDelta": delta}}, {"data": words, "delta": {"text": words}}


def bedrock(name: str, **fields: object) -> dict[str, object]:
    return {"event": {name: fields}}


TOOL_USE = {"toolUseId": "t1", "name": "calculator"}


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
        assert customs(said(event, citation)) == [event, {"citation": {"title": "x"}}]

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
            {"messageStop": {"stopReason": "tool_use"}},
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


def agui(*events: BaseEvent) -> list[object]:
    return [event.model_dump(mode="json", by_alias=True, exclude_none=True) for event in events]


STARTED = RunStartedEvent(thread_id="th", run_id="r")
FINISHED = RunFinishedEvent(thread_id="th", run_id="r")


class TestAgUi:
    def test_whole_run__of_the_real_classes(self) -> None:
        values = agui(
            STARTED,
            ReasoningMessageContentEvent(message_id="m0", delta="Hm"),
            ToolCallStartEvent(
                tool_call_id="t1", tool_call_name="calculator", parent_message_id="m1"
            ),
            ToolCallArgsEvent(tool_call_id="t1", delta=ARGS[:8]),
            ToolCallArgsEvent(tool_call_id="t1", delta=ARGS[8:]),
            ToolCallEndEvent(tool_call_id="t1"),
            ToolCallResultEvent(message_id="m2", tool_call_id="t1", content="345"),
            TextMessageStartEvent(message_id="m3", role="assistant"),
            TextMessageContentEvent(message_id="m3", delta="It is "),
            TextMessageContentEvent(message_id="m3", delta="345"),
            TextMessageEndEvent(message_id="m3"),
            StateSnapshotEvent(snapshot={"n": 1}),
            CustomEvent(name="progress", value=1),
            MessagesSnapshotEvent(
                messages=[
                    UserMessage(id="q", content="Hi"),
                    AssistantMessage(id="m3", content="It is 345"),
                ]
            ),
            FINISHED,
        )
        assert said(*values) == [
            Thinking("Hm"),
            START,
            ENDED,
            Message("It is "),
            Message("345"),
            Custom({"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}}),
            Custom({"type": "CUSTOM", "name": "progress", "value": 1}),
        ]

    def test_chunk_forms__are_read_as_the_long_ones(self) -> None:
        values = agui(
            ToolCallChunkEvent(tool_call_id="t1", tool_call_name="calculator", delta=""),
            ToolCallChunkEvent(delta=ARGS),
            TextMessageChunkEvent(message_id="m", role="assistant", delta="Hel"),
            TextMessageChunkEvent(delta="lo"),
            MessagesSnapshotEvent(messages=[AssistantMessage(id="m", content="Hello")]),
        )
        assert said(*values) == [START, Message("Hel"), Message("lo")]

    def test_calls_in_parallel__are_kept_apart(self) -> None:
        values = agui(
            ToolCallStartEvent(tool_call_id="a", tool_call_name="one"),
            ToolCallStartEvent(tool_call_id="b", tool_call_name="two"),
            ToolCallArgsEvent(tool_call_id="a", delta='{"n": 1}'),
            ToolCallEndEvent(tool_call_id="b"),
            ToolCallEndEvent(tool_call_id="a"),
        )
        assert tools(said(*values, "Hi")) == [
            ToolStart("a", "one", {"n": 1}),
            ToolStart("b", "two", {}),
        ]

    def test_snake_case_and_old_names__are_read_too(self) -> None:
        values = [
            {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Hm"},
            {"type": "TOOL_CALL_START", "tool_call_id": "t1", "tool_call_name": "calculator"},
            {"type": "TOOL_CALL_ARGS", "tool_call_id": "t1", "delta": ARGS},
            {"type": "TOOL_CALL_END", "tool_call_id": "t1"},
            {"type": "TEXT_MESSAGE_CONTENT", "message_id": "m", "delta": "Hi"},
        ]
        assert said(*values) == [Thinking("Hm"), START, Message("Hi")]

    def test_user_message__is_not_said(self) -> None:
        values = agui(
            TextMessageStartEvent(message_id="u", role="user"),
            TextMessageContentEvent(message_id="u", delta="Question"),
            TextMessageEndEvent(message_id="u"),
            TextMessageStartEvent(message_id="m", role="assistant"),
            TextMessageContentEvent(message_id="m", delta="Answer"),
        )
        assert said(*values) == [Message("Answer")]

    def test_message_only_in_the_snapshot__is_said(self) -> None:
        messages = [
            UserMessage(id="q", content="Before"),
            AssistantMessage(id="a", content="Old"),
            UserMessage(id="q2", content="Hi"),
            AssistantMessage(id="a2", content="Hello"),
        ]
        assert said(*agui(MessagesSnapshotEvent(messages=messages))) == [Message("Hello")]

    def test_run_error__is_an_error(self) -> None:
        assert failed(*agui(STARTED, RunErrorEvent(message="x")))

    def test_run_that_never_finishes__is_an_error(self) -> None:
        values = agui(STARTED, TextMessageContentEvent(message_id="m", delta="Half"))
        assert "RUN_FINISHED" in failed(*values)

    def test_state_alone__is_no_answer(self) -> None:
        assert "no content" in failed(*agui(STARTED, StateSnapshotEvent(snapshot={}), FINISHED))

    def test_result_of_the_run__is_said_or_kept(self) -> None:
        assert said({"type": "RUN_FINISHED", "result": "Hi"}) == [Message("Hi")]
        assert said({"type": "RUN_FINISHED", "result": {"n": 1}}) == [Custom({"result": {"n": 1}})]
        assert said(
            *agui(TextMessageContentEvent(message_id="m", delta="Hello")),
            {"type": "RUN_FINISHED", "result": "Hello"},
        ) == [Message("Hello")]

    def test_raw_events__are_kept_unless_they_are_langgraphs_bookkeeping(self) -> None:
        raw = {"type": "RAW", "event": {"kind": "mine"}, "source": "x"}
        graph = {"type": "RAW", "event": {"event": "on_chain_start", "data": {"input": "secret"}}}
        custom = {"type": "CUSTOM", "name": "n", "value": 1, "rawEvent": {"secret": 1}}
        assert customs(said(raw, graph, custom)) == [
            raw,
            {"type": "CUSTOM", "name": "n", "value": 1},
        ]


def inner(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'timestamp': 'now', **fields})}\n\n"


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
        assert said(call, done) == [START, ENDED]

    @pytest.mark.parametrize(
        "frame",
        [
            {"type": "status", "message": "Working"},
            {"type": "progress", "data": 50},
            {"data": 50},
            {"type": "sources", "data": [{"text": "A document", "url": "https://example.com"}]},
            {"data": [{"text": "A document", "url": "https://example.com"}]},
        ],
    )
    def test_news_about_the_run__are_kept_and_no_text(self, frame: object) -> None:
        assert said("Hi", frame) == [Message("Hi"), Custom(frame)]

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


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ('{"result": "Hi"}', [Message("Hi")]),
            ('{"result": {"content": [{"type": "text", "text": "Hi"}]}}', [Message("Hi")]),
            ('{"result": {"role": "assistant", "content": [{"text": "Hi"}]}}', [Message("Hi")]),
            ('"Hi"', [Message("Hi")]),
            ("Hi", [Message("Hi")]),
            ('{"answer": "Hi", "n": 1}', [Message("Hi")]),
            ('{"n": 1}', [Custom({"n": 1})]),
            ('[{"type": "text", "text": "Hi"}]', [Message("Hi")]),
        ],
    )
    def test_json__is_an_answer(self, body: str, expected: list[Event]) -> None:
        events, _ = decode(body.encode(), "application/json")
        assert events == [*expected, Done()]

    def test_state__of_a_graph_is_an_answer(self) -> None:
        state = {"messages": [human("Hi"), ai(tool_calls=[CALL]), result(), ai("345", "run-2")]}
        events, _ = decode(json.dumps(state).encode(), "application/json")
        assert events == [START, ENDED, Message("345"), Done()]

    @pytest.mark.parametrize("body", ["null", "", '""', '{"result": ""}', '{"messages": []}'])
    def test_empty_body__is_an_error(self, body: str) -> None:
        assert decode(body.encode(), "application/json")[1]

    def test_error_body__is_an_error(self) -> None:
        assert decode(b'{"error": "x"}', "application/json")[1]


KEYS = (
    "type content text data event delta id name args tool_calls tool_call_chunks messages role "
    "message result output input usage toolUse toolResult contentBlockDelta error index"
)
WORDS = (
    "ai tool AIMessageChunk human TOOL_CALL_ARGS TEXT_MESSAGE_CONTENT RUN_FINISHED "
    "MESSAGES_SNAPSHOT assistant user tool_use text constructor values on_tool_end"
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS.split()), inner | st.sampled_from(WORDS.split()), max_size=5
        )
    ),
    max_leaves=25,
)


@given(st.lists(JSON_VALUES, max_size=6))
def test_any_json__gives_events_or_a_failure_and_never_an_exception(values: list[object]) -> None:
    check_order(*decode(sse(*values)))


def check_order(events: list[Event], failure: str | None) -> None:
    assert failure is not None or isinstance(events[-1], Done)
    started: set[str] = set()
    for event in events:
        match event:
            case ToolStart(id):
                assert id not in started
                started.add(id)
            case ToolEnd(id):
                assert id in started
            case Message(content) | Thinking(content):
                assert content


WHOLE_FRAMES: list[Any] = [
    chunk([{"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}, "index": 0}]),
    chunk([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]),
    [piece(ARGS, "t1", "calculator"), {"langgraph_node": "agent"}],
    ai([{"type": "text", "text": "Hi"}], tool_calls=[CALL], usage_metadata={"input_tokens": 1}),
    result([{"type": "text", "text": "345"}]),
    {"messages": [human("Hi"), ai("Hello"), {"role": "tool", "toolCallId": "t", "content": "x"}]},
    {"agent": {"messages": [ai("Hello")]}, "other": None},
    [["ns"], "messages", [ai("Hello"), {}]],
    {"lc": 1, "type": "constructor", "id": ["langchain", "AIMessage"], "kwargs": ai("Hello")},
    {"event": "on_tool_start", "name": "n", "run_id": "r", "data": {"input": {"a": 1}}},
    {"event": "on_tool_end", "name": "n", "run_id": "r", "data": {"output": result()}},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "n"}}]}}]},
    {"choices": [{"message": {"content": "Hi", "tool_calls": [{"function": {"name": "n"}}]}}]},
    bedrock("contentBlockStart", start={"toolUse": TOOL_USE}, contentBlockIndex=0),
    bedrock("contentBlockDelta", delta={"toolUse": {"input": "{}"}}, contentBlockIndex=0),
    bedrock("contentBlockStop", contentBlockIndex=0),
    bedrock("metadata", usage={"inputTokens": 8, "outputTokens": 2, "totalTokens": 10}),
    {"current_tool_use": {**TOOL_USE, "input": "{}"}, "delta": {"toolUse": {"input": "{}"}}},
    {"message": {"role": "assistant", "content": [{"toolUse": {**TOOL_USE, "input": {}}}]}},
    {
        "message": {
            "role": "user",
            "content": [{"toolResult": {**TOOL_USE, "content": [{"text": "x"}]}}],
        }
    },
    {"result": {"stop_reason": "x", "message": {"role": "assistant", "content": [{"text": "Hi"}]}}},
    {"type": "TOOL_CALL_START", "toolCallId": "t1", "toolCallName": "n"},
    {"type": "TOOL_CALL_CHUNK", "toolCallId": "t1", "toolCallName": "n", "delta": "{}"},
    {"type": "TOOL_CALL_END", "toolCallId": "t1"},
    {"type": "TOOL_CALL_RESULT", "toolCallId": "t1", "content": "x", "messageId": "m"},
    {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"},
    {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m", "role": "assistant", "content": "x"}]},
    {"type": "RUN_FINISHED", "result": "x", "outcome": {"type": "interrupt"}, "usage": {}},
    {"type": "RAW", "event": {"event": "on_x"}},
    {"type": "tool_call", "id": "t", "name": "n", "args": {"a": 1}},
    {"type": "tool_result", "id": "t", "name": "n", "result": {"a": 1}, "error": None},
    {"status": "error", "error": {"message": "x"}, "error_type": "x"},
]


def broken(value: Any) -> list[Any]:
    """The value with each of its parts, one at a time, replaced or taken away."""
    found: list[Any] = [
        None,
        True,
        7,
        -1.5,
        "",
        "x",
        [],
        {},
        [None],
        [[]],
        {"a": None},
        {"text": []},
    ]
    if isinstance(value, dict):
        for key, item in value.items():
            found += [{**value, key: part} for part in broken(item)]
            found.append({name: part for name, part in value.items() if name != key})
    if isinstance(value, list):
        for at, item in enumerate(value):
            found += [[*value[:at], part, *value[at + 1 :]] for part in broken(item)]
            found.append(value[:at] + value[at + 1 :])
    return found


@pytest.mark.parametrize("frame", WHOLE_FRAMES, ids=lambda frame: json.dumps(frame)[:60])
def test_broken_shapes__give_events_or_a_failure_and_never_an_exception(frame: Any) -> None:
    for wrong in broken(frame):
        check_order(*decode(sse(wrong)))
        check_order(*decode(sse(frame, wrong, frame)))
