"""What is said without a framework: text, junk, errors, one body."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.agents.dialects.decoder import Decoder
from bff.events import Custom, Done, Event, Message, Source, ToolEnd, dumps
from tests.agents.conftest import customs, text, tools
from tests.agents.decoding import (
    CALL,
    ENDED,
    START,
    ai,
    chunk,
    decode,
    failed,
    human,
    result,
    said,
)
from tests.fakes.container import sse


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

    @pytest.mark.parametrize("token", [":", ":\n", ":\n\n", ": \n\n", ":smile:\n", ": a\n\n", "\n"])
    def test_colons_and_line_ends__are_text(self, token: str) -> None:
        assert text(said("1. open", token, "read", token)) == f"1. open{token}read{token}"

    def test_numbers__are_text(self) -> None:
        assert text(said(15, " * ", 23, " = ", 345)) == "15 * 23 = 345"
        assert text(said({"result": 345})) == "345"

    def test_what_stands_beside_a_text__is_kept(self) -> None:
        sources = [{"url": "https://example.com"}]
        values = {"result": "Hi", "sources": sources, "usage": {}, "n": 1}
        assert said(values) == [Message("Hi"), Source("https://example.com")]
        richer = [{"url": "https://example.com", "page_content": "Hi there"}]
        assert said({"result": "Hi", "sources": richer, "notes": ["a"]}) == [
            Message("Hi"),
            Source("https://example.com"),
            Custom({"sources": richer, "notes": ["a"]}),
        ]

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
        "printed",
        [
            "b'Hello'",
            'b"Hello"',
            "{'data': 'Hello', 'delta': {'text': 'Hello'}, 'agent': <x.Agent object at 0x7f>}",
            "{'message': {'role': 'assistant', 'content': [{'text': 'Hello'}]}}",
            "{'role': 'assistant', 'content': [{'text': 'Hello'}]}",
            "[{'type': 'text', 'text': 'Hello', 'index': 0}]",
            "{'agent': {'messages': [AIMessage(content='Hello', id='1')]}}",
            "(AIMessageChunk(content='Hello', id='run-1'), {'langgraph_step': 1})",
            "('messages', (AIMessageChunk(content='Hello', id='run-1'), {'langgraph_step': 1}))",
            "('messages-tuple', (AIMessageChunk(content='Hello', id='run-1'), {}))",
            "(('sub:1b2c',), 'messages', (AIMessageChunk(content='Hello', id='run-1'), {}))",
            "(('sub:1b2c', '1'), {'agent': {'messages': [AIMessage(content='Hello', id='1')]}})",
            "((), (AIMessageChunk(content='Hello', id='run-1'), {'langgraph_step': 1}))",
            "content='Hello' additional_kwargs={} response_metadata={} id='run-1'",
            "AIMessageChunk(content='Hello', additional_kwargs={})",
            "AgentRunResult(output='Hello')",
            "source='a' models_usage=None content='Hello' type='TextMessage'",
            "[TextMessage(source='user', content='Hi', type='TextMessage'), "
            "TextMessage(source='a', content='Hello', type='TextMessage')]",
            "raw='Hello' pydantic=None json_dict=None",
            "Person(name='Hello', age=3)",
        ],
    )
    def test_python_prints__are_read_and_never_shown(self, printed: str) -> None:
        assert text(said(printed)) == "Hello"
        if printed[0] != "b":  # a text that is bytes in Python may be just that
            assert text(said({"content": printed})) == "Hello"

    @pytest.mark.parametrize(
        "junk",
        [
            "{'init_event_loop': True}",
            "{'result': AgentResult(stop_reason='end_turn', message={'role': 'assistant'})}",
            "<strands.agent.agent.Agent object at 0x7fbefdce2e50>",
            "{'data': <object object at 0x7f>, 'delta': unknown()}",
            "('checkpoints', {'config': {}, 'values': {'messages': []}, 'next': ('agent',)})",
        ],
    )
    def test_prints_without_a_text__are_never_shown(self, junk: str) -> None:
        assert said("Hi", junk) == [Message("Hi")]
        assert said("Hi", {"content": junk}) == [Message("Hi")]
        assert "no content" in failed(junk)

    def test_prints_that_cannot_be_read__are_counted_for_the_log(self) -> None:
        assert "1 Python objects printed" in failed("<x.Agent object at 0x7fbefdce2e50>")

    @pytest.mark.parametrize(
        "words",
        [
            "{'a': 1} is a dict",
            "{'name': 'Bob'}",
            "b'",
            "content='x'",
            "(see above)",
            "(('a',), {'b': 1})",
            "((), {'b': 1})",
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

    def test_call_without_result_alone__is_told(self) -> None:
        assert said(ai(tool_calls=[CALL])) == [START]

    @pytest.mark.parametrize("value", [{"foo": 1}, [1, {"a": 2}], True, {"status": "pong"}])
    def test_unknown_frames__are_kept_and_are_the_text_where_there_is_no_other(
        self, value: object
    ) -> None:
        assert said(value) == [Custom(value), Message(dumps(value))]
        assert said(value, {"content": "Hi"}) == [Custom(value), Message("Hi")]


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

    @pytest.mark.parametrize(
        "step",
        [
            {"type": "tool_status", "tool": "search", "status": "failed", "attempt": 1},
            {"step": "search", "status": "error", "message": "once more"},
            {"node": "writer", "status": "failed"},
        ],
    )
    def test_failed_step__is_no_failed_answer(self, step: dict[str, object]) -> None:
        assert said(step, "Hi")[-1] == Message("Hi")

    def test_failed_tool__is_no_failed_answer(self) -> None:
        events = said(ai(tool_calls=[CALL]), result("no such file", status="error"), "Sorry")
        assert tools(events) == [START, ToolEnd("t1", "calculator", None, "no such file")]
        assert text(events) == "Sorry"


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
            ('{"n": 1}', [Custom({"n": 1}), Message('{"n":1}')]),
            ('[{"type": "text", "text": "Hi"}]', [Message("Hi")]),
            (
                '[["name","n"],["Jo","3"]]',
                [Custom([["name", "n"], ["Jo", "3"]]), Message('[["name","n"],["Jo","3"]]')],
            ),
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
