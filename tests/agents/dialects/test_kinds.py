"""Kinds of answers that no framework has for itself: who speaks, what is asked, where text is."""

import base64
import json
from typing import Any, ClassVar

import pytest

from bff.agents.dialects.decoder import Decoder
from bff.events import Custom, Done, File, Input, Message, Source, ToolEnd, ToolStart, ToolUse
from tests.agents.conftest import customs, text, thinking, tools
from tests.agents.decoding import ai, bedrock, chunk, decode, failed, human, said
from tests.fakes.container import sse


def body(value: object) -> list[Any]:
    events, failure = decode(json.dumps(value).encode(), "application/json")
    assert failure is None
    return events


def asked(*values: object) -> list[Input]:
    return [event for event in said(*values) if isinstance(event, Input)]


class TestSpeakers:
    def test_messages_side_by_side__wait_for_one_another(self) -> None:
        last = {"chunk_position": "last"}
        values = [chunk("It ", "a"), chunk("AM", "b"), chunk("is.", "a"), chunk("ZN", "b")]
        events = said(*values, chunk("", "a", **last), chunk("", "b", **last))
        assert text(events) == "It is.AMZN"

    def test_a_speaker_whose_end_nobody_tells__has_ended_when_others_go_on(self) -> None:
        frames = [{"agent": "a", "text": "A"}, *({"agent": "b", "text": "b"} for _ in range(20))]
        decoder_events, _ = decode(b"".join(f"data: {json.dumps(f)}\n\n".encode() for f in frames))
        assert text(decoder_events) == "A\n\n" + "b" * 20

    @pytest.mark.parametrize("beside", [{}, {"agent": "a"}], ids=["alone", "named"])
    def test_ids_that_never_come_again__are_events_and_nobody_waits(self, beside: Any) -> None:
        key = "id" if beside else "message_id"
        decoder, told = Decoder("text/event-stream"), []
        for n in range(8):
            told.append(text(decoder.feed(sse({key: f"m{n}", "text": f"w{n} ", **beside}))))
        assert told[0] == "w0 "
        assert told[5:] == ["w1 w2 w3 w4 w5 ", "w6 ", "w7 "]

    def test_a_failure__comes_after_what_everybody_said(self) -> None:
        values = [chunk("It ", "a"), chunk("AM", "b"), chunk("is", "a"), {"error": "x"}]
        decoder = Decoder("text/event-stream")
        assert text(decoder.feed(sse(*values))) == "It isAM"
        assert decoder.failure

    def test_tools_of_two_speakers__are_two_even_under_one_id(self) -> None:
        def node(name: str, city: str) -> list[object]:
            use = {"toolUseId": "1", "name": "weather", "input": {"city": city}}
            done = {"toolUseId": "1", "content": [{"text": city}]}
            messages = [
                {"role": "assistant", "content": [{"toolUse": use}]},
                {"role": "user", "content": [{"toolResult": done}]},
            ]
            return [
                {"type": "multiagent_node_stream", "node_id": name, "event": {"message": m}}
                for m in messages
            ]

        (a, a_done), (b, b_done) = node("a", "Rome"), node("b", "Oslo")
        started = tools(said(a, b, a_done, b_done, "Done"))
        assert [(e.args["city"], e.id) for e in started[:2]] == [("Rome", "1"), ("Oslo", "1-2")]  # type: ignore[union-attr] # ToolStart
        assert [(e.result, e.id) for e in started[2:]] == [("Rome", "1"), ("Oslo", "1-2")]  # type: ignore[union-attr] # ToolEnd

    def test_an_agent_that_a_tool_calls__is_heard(self) -> None:
        use = {"toolUseId": "1", "name": "expert"}
        inner = {"data": "Sunny.", "delta": {"text": "Sunny."}}
        event = {"type": "tool_stream", "tool_stream_event": {"tool_use": use, "data": inner}}
        assert text(said(event, {"data": "Done.", "delta": {"text": "Done."}})) == "Sunny.Done."

    def test_a_crews_tasks__are_each_said_once(self) -> None:
        tasks = [{"raw": "Notes.", "agent": "A"}, {"raw": "End.", "agent": "B"}]
        assert text(body({"raw": "End.", "tasks_output": tasks})) == "Notes.\n\nEnd."

    def test_a_team_of_named_humans__speaks(self) -> None:
        state = {"messages": [human("Q"), {**human("Hi"), "name": "bob"}]}
        assert text(body(state)) == "Hi"


class TestAccumulations:
    @pytest.mark.parametrize("make", [lambda t: t, lambda t: {"text": t}], ids=["strings", "text"])
    def test_text_that_grows__is_said_once(self, make: Any) -> None:
        values = ["The", "The result", "The result is 345."]
        assert text(said(*map(make, values))) == values[-1]
        assert text(said(*map(make, values[1:]))) == values[-1]

    def test_a_token_that_begins_as_the_one_before__is_a_token(self) -> None:
        assert text(said("no", "nothing", "!")) == "nonothing!"
        assert text(said(":", ":\n", ":\n\n")) == "::\n:\n\n"

    def test_two_vocabularies_token_by_token__are_one_text(self) -> None:
        values = [f for t in ("a", "b", "c") for f in ({"content": t}, {"delta": t})]
        assert text(said(*values)) == "abc"

    def test_a_second_source_that_goes_its_own_way__is_heard_whole(self) -> None:
        values = [{"content": "I am"}, {"note_text": "I"}, {"note_text": " see"}, {"content": "!"}]
        assert sorted(text(said(*values))) == sorted("I amI see!")


class TestRedaction:
    def test_a_guardrails_replacement__is_announced_and_said_once(self) -> None:
        values = [
            bedrock("contentBlockDelta", delta={"text": "Secret"}),
            bedrock("redactContent", redactAssistantContentMessage="Blocked."),
            {"message": {"role": "assistant", "content": [{"text": "Blocked."}]}},
        ]
        assert said(*values) == [
            Message("Secret"),
            Custom({"content": "Blocked."}, "redact"),
            Message("Blocked."),
        ]

    def test_a_message_that_comes_otherwise_again__was_replaced(self) -> None:
        events = said(chunk("Card 1234"), ai("Card [REDACTED]"))
        assert events[1:] == [
            Custom({"content": "Card [REDACTED]"}, "redact"),
            Message("Card [REDACTED]"),
        ]


class TestQuestions:
    def test_langchains_middleware__asks_once_about_its_call(self) -> None:
        value = {
            "action_requests": [{"name": "pay", "args": {"eur": 10}, "description": "Pay?"}],
            "review_configs": [{"action_name": "pay", "allowed_decisions": ["approve"]}],
        }
        call = {"id": "c1", "name": "pay", "args": {"eur": 10}}
        interrupt = {"__interrupt__": [{"id": "i1", "value": value}]}
        assert asked(ai(tool_calls=[call]), ["updates", interrupt], ["values", interrupt]) == [
            Input("i1", "approval", "Pay?", ToolUse("c1", "pay", {"eur": 10}), value=value)
        ]

    def test_several_calls_in_one_interrupt__are_one_question_about_none(self) -> None:
        requests = [{"name": "pay", "args": {"n": n}} for n in (1, 2)]
        [question] = asked({"__interrupt__": [{"id": "i", "value": {"action_requests": requests}}]})
        assert (question.kind, question.tool) == ("approval", None)

    def test_an_interrupt_without_an_id__always_gets_the_same(self) -> None:
        old = {"value": "Sure?", "resumable": True, "ns": ["a:1"], "when": "during"}
        [first], [second] = asked({"__interrupt__": [old]}), asked({"__interrupt__": [old]})
        assert first.id == second.id
        assert first.id.startswith("input-")

    def test_strands__asks_once_in_whatever_words(self) -> None:
        interrupt = {"id": "v1:tool_call:t1:u", "name": "approval", "reason": "Sure?"}
        interrupt["response"] = None  # type: ignore[assignment] # as it comes
        use = {"toolUseId": "t1", "name": "pay", "input": {"eur": 1}}
        message = {"role": "assistant", "content": [{"toolUse": use}]}
        event = {"tool_interrupt_event": {"tool_use": use, "interrupts": [interrupt]}}
        expected = Input(
            "v1:tool_call:t1:u",
            "approval",
            "Sure?",
            ToolUse("t1", "pay", {"eur": 1}),
            value=interrupt,
        )
        result = {"stop_reason": "interrupt", "message": message, "interrupts": [interrupt]}
        assert asked({"message": message}, event, {"result": result}) == [expected]
        assert asked({"result": result}) == [expected]
        assert asked(str([interrupt]))[0].id == expected.id

    @pytest.mark.parametrize(
        "answer",
        [
            [
                bedrock(
                    "contentBlockStart", start={"toolUse": {"toolUseId": "t", "name": "pay"}}
                ),
                bedrock("contentBlockStop"),
                bedrock("messageStop", stopReason="tool_use"),
            ],
            [{"result": {"stop_reason": "interrupt", "message": {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "t", "name": "pay", "input": {}}}]}}}],
        ],
        ids=["converse", "returned"],
    )  # fmt: skip
    def test_a_call_at_the_end_of_strands__waits_for_a_word(self, answer: list[object]) -> None:
        assert [(q.id, q.kind, q.tool) for q in asked(*answer)] == [
            ("t", "approval", ToolUse("t", "pay", {}))
        ]

    def test_agui__tells_its_question_once_with_the_id(self) -> None:
        raw = {"question": "Which?"}
        item = {
            "id": "i1",
            "reason": "langgraph:interrupt",
            "metadata": {"langgraph": {"raw": raw}},
        }
        custom = {"type": "CUSTOM", "name": "on_interrupt", "value": json.dumps(raw)}
        outcome = {"type": "interrupt", "interrupts": [item]}
        end = {"type": "RUN_FINISHED", "outcome": outcome}
        assert [(q.id, q.message) for q in asked(custom, end)] == [("i1", "Which?")]
        [question] = asked(custom, {"type": "RUN_FINISHED"})
        assert (question.message, question.value) == ("Which?", raw)

    def test_a_run_that_asked__ends_so_and_is_no_empty_answer(self) -> None:
        events = body({"__interrupt__": [{"id": "i", "value": "Which?"}]})
        assert isinstance(events[-1], Done)
        assert (events[-1].status, len(events[-1].inputs)) == ("input_required", 1)


class TestHiddenText:
    @pytest.mark.parametrize(
        "answer",
        [
            {"data": {"result": {"answer": "Hi"}}},
            {"statusCode": 200, "body": json.dumps({"message": "Hi", "sessionId": "s"})},
            {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"Hi").decode()},
            {"result": {"kind": "message", "parts": [{"kind": "text", "text": "Hi"}]}},
            {"result": json.dumps({"response": "Hi"})},
            json.dumps({"result": "Hi"}),
            {"predictions": [{"content": "Hi"}]},
            {"results": [{"outputText": "Hi", "completionReason": "FINISH"}]},
            {"input": "What?", "output": "Hi"},
            {"name": "Hi", "age": 3},
            {"messages": [], "structured_response": {"name": "Hi", "n": 1}},
            [{"generated_text": "Hi"}],
        ],
        ids=str,
    )  # fmt: skip
    def test_text__is_found_wherever_it_is(self, answer: object) -> None:
        assert text(body(answer)) == "Hi"

    def test_texts_beside_a_text__are_told_too(self) -> None:
        events = body({"answer": "Hi", "first_name": "Jo", "tip": "Ask me more.", "query": "a b"})
        assert events == [Message("Hi"), Custom({"tip": "Ask me more."}), Done()]

    def test_a_typed_answer__stays_the_json_it_is(self) -> None:
        typed = '{"city": "Rome", "celsius": 21}'
        assert text(body({"result": typed})) == typed
        assert text(said(typed)) == typed

    @pytest.mark.parametrize(
        "answer",
        [
            {"success": False, "message": "x"},
            {"errorMessage": "x", "errorType": "ValueError", "stackTrace": []},
            {"statusCode": 502, "body": "x"},
            {"errors": [{"message": "x"}], "data": None},
        ],
        ids=str,
    )
    def test_what_says_that_it_failed__has_failed(self, answer: object) -> None:
        assert decode(json.dumps(answer).encode(), "application/json")[1]

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "node_error", "node": "a", "error": "x"},
            {"type": "error", "recoverable": True, "message": "x"},
            {"event": "on_chain_error", "parent_ids": ["p"], "data": {}},
        ],
        ids=str,
    )
    def test_a_part_that_failed__fails_no_run(self, part: object) -> None:
        assert text(said(part, "Hi")) == "Hi"
        assert failed("Hi", {"event": "on_chain_error", "parent_ids": [], "data": {}})


PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{PNG}"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ],
    ids=str,
)
def test_a_picture__is_a_file_in_every_shape(block: object) -> None:
    events = said({"role": "assistant", "content": [block, {"type": "text", "text": "Here"}]})
    assert [event for event in events if isinstance(event, File)] == [File("image/png", data=PNG)]
    assert text(events) == "Here"


def test_citations__are_sources_in_every_shape() -> None:
    url = "https://example.com"
    place = {"web": {"url": url}}
    annotation = {"type": "url_citation", "url_citation": {"url": url}}
    values = [
        bedrock("contentBlockDelta", delta={"citation": {"title": "X", "location": place}}),
        {"choices": [{"delta": {"annotations": [annotation]}}]},
        "Hi",
    ]
    assert said(*values) == [Source(url, "X"), Message("Hi")]
    assert (customs(said(*values)), thinking(said(*values))) == ([], "")


CALL = {"id": "1", "name": "calc", "arguments": '{"e": "1+1"}'}


class TestClassesAsNames:
    """Agents put the class of what they dump where events have their names."""

    @pytest.mark.parametrize(
        "frame",
        [
            {"type": "ToolCallEvent", **CALL},
            {"event": "ToolCallEvent", "data": CALL},
            {"__event__": "ag2.events.tool_events.ToolCallEvent", **CALL},
            "ToolCallEvent(id=1, name='calc', arguments='{\"e\": \"1+1\"}')",
        ],
        ids=["type", "event", "dump", "print"],
    )
    def test_a_class_is_a_type__wherever_it_stands(self, frame: Any) -> None:
        assert tools(said(frame, {"type": "ModelMessage", "content": "Two."})) == [
            ToolStart("1", "calc", {"e": "1+1"})
        ]

    def test_it_is_one_as_the_name_of_a_server_sent_event__too(self) -> None:
        frame = f"event: ModelReasoning\ndata: {json.dumps({'content': 'Hm'})}\n\n".encode()
        events, _ = decode(frame + b'event: ModelMessage\ndata: {"content": "Hi"}\n\n')
        assert (thinking(events), text(events)) == ("Hm", "Hi")

    def test_a_print_in_prose__stays_prose(self) -> None:
        prose = ["Call ", "Point(x=a, y=b)", " and ModelResponse(content=x)."]
        assert text(said(*prose)) == "".join(prose)


class TestMessagesOfAChat:
    """What an agent with a loop of its own yields: the messages that it keeps."""

    CALL: ClassVar[dict[str, Any]] = {"function": {"name": "calc", "arguments": '{"e": 1}'}}

    def test_a_message_that_calls__is_its_calls_and_a_tools_is_their_result(self) -> None:
        call = {"id": "c1", "type": "function", **self.CALL}
        events = said(
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "2"},
            {"role": "assistant", "content": "It is 2."},
        )
        assert tools(events) == [ToolStart("c1", "calc", {"e": 1}), ToolEnd("c1", "calc", "2")]
        assert text(events) == "It is 2."

    def test_such_a_message_in_an_envelope__is_read_too(self) -> None:
        message = {"role": "assistant", "content": "", "thinking": "Hm", "tool_calls": [self.CALL]}
        events = said({"model": "m", "message": message, "done": False})
        assert (thinking(events), len(tools(events))) == ("Hm", 1)

    def test_pieces_of_calls__are_put_together(self) -> None:
        first = {"index": 0, "id": "c1", "function": {"name": "calc", "arguments": '{"e"'}}
        last = {"index": 0, "function": {"arguments": ": 1}"}}
        events = said(*({"role": None, "content": None, "tool_calls": [c]} for c in (first, last)))
        assert tools(events) == [ToolStart("c1", "calc", {"e": 1})]

    def test_a_typed_answer_with_tool_calls_of_its_own__is_no_message(self) -> None:
        events = body(json.dumps({"tool_calls": 3, "verdict": "fine work"}))
        assert text(events) == '{"tool_calls": 3, "verdict": "fine work"}'


def test_the_last_message_of_a_stream_without_marks__is_not_said_again() -> None:
    tokens = [{"message": word} for word in ("Let me see.", "It is", " the 345th", " of them.")]
    assert text(said(*tokens, {"result": "It is the 345th of them."})) == (
        "Let me see.It is the 345th of them."
    )
    assert text(said(*tokens, {"result": "of them."})) != text(said(*tokens))


@pytest.mark.parametrize(
    "typed",
    [
        {"message_type": "email", "subject": "Hi", "to": "Jo Doe"},
        {"messageType": "email", "subject": "Hi", "to": "Jo Doe"},
        {"type": "model", "name": "Model T", "maker": "Ford Motor"},
        {"msgs": ["a b", "c d"], "count": 2},
        {"toolCall": "none at all", "verdict": "fine work"},
    ],
)
def test_a_typed_answer__stays_the_json_it_is_under_keys_that_frameworks_use(typed: Any) -> None:
    text_of_it = json.dumps(typed)
    assert text(body(text_of_it)) == text_of_it
