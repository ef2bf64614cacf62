"""What AG-UI events become."""

from ag_ui.core import (
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

from bff.events import Custom, Message, Thinking, ToolStart
from tests.agents.conftest import tools
from tests.agents.decoding import ARGS, ENDED, START, agui, failed, said

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
            Custom({"n": 1}, "STATE_SNAPSHOT"),
            Custom(1, "progress"),
            Custom(
                [
                    {"id": "q", "role": "user", "content": "Hi"},
                    {"id": "m3", "role": "assistant", "content": "It is 345"},
                ],
                "MESSAGES_SNAPSHOT",
            ),
        ]

    def test_chunk_forms__are_read_as_the_long_ones(self) -> None:
        values = agui(
            ToolCallChunkEvent(tool_call_id="t1", tool_call_name="calculator", delta=""),
            ToolCallChunkEvent(delta=ARGS),
            TextMessageChunkEvent(message_id="m", role="assistant", delta="Hel"),
            TextMessageChunkEvent(delta="lo"),
            MessagesSnapshotEvent(messages=[AssistantMessage(id="m", content="Hello")]),
        )
        assert said(*values)[:3] == [START, Message("Hel"), Message("lo")]
        assert len(said(*values)) == 4

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

    def test_steps__are_kept_but_are_no_answer(self) -> None:
        step = {"type": "STEP_STARTED", "stepName": "plan"}
        started = Custom({"stepName": "plan"}, "STEP_STARTED")
        assert said(step, {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hi"}) == [
            started,
            Message("Hi"),
        ]

    def test_user_message__is_not_said(self) -> None:
        values = agui(
            TextMessageStartEvent(message_id="u", role="user"),
            TextMessageContentEvent(message_id="u", delta="Question"),
            TextMessageEndEvent(message_id="u"),
            TextMessageStartEvent(message_id="m", role="assistant"),
            TextMessageContentEvent(message_id="m", delta="Assembly"),
        )
        assert said(*values) == [Message("Assembly")]

    def test_message_only_in_the_snapshot__is_said(self) -> None:
        messages = [
            UserMessage(id="q", content="Before"),
            AssistantMessage(id="a", content="Old"),
            UserMessage(id="q2", content="Hi"),
            AssistantMessage(id="a2", content="Hello"),
        ]
        events = said(*agui(MessagesSnapshotEvent(messages=messages)))
        assert events[0] == Message("Hello")
        [kept] = events[1:]
        assert isinstance(kept, Custom)
        assert kept.name == "MESSAGES_SNAPSHOT"
        assert [message["id"] for message in kept.value] == ["q", "a", "q2", "a2"]

    def test_run_error__is_an_error(self) -> None:
        assert failed(*agui(STARTED, RunErrorEvent(message="x")))

    def test_run_that_never_finishes__is_an_error(self) -> None:
        values = agui(STARTED, TextMessageContentEvent(message_id="m", delta="Half"))
        assert "RUN_FINISHED" in failed(*values)

    def test_state_alone__is_no_answer(self) -> None:
        assert "no content" in failed(*agui(STARTED, StateSnapshotEvent(snapshot={}), FINISHED))

    def test_result_of_the_run__is_said_or_kept(self) -> None:
        assert said({"type": "RUN_FINISHED", "result": "Hi"}) == [Message("Hi")]
        kept = Custom({"result": {"n": 1}}, "result")
        assert said("Hi", {"type": "RUN_FINISHED", "result": {"n": 1}}) == [Message("Hi"), kept]
        assert said(
            *agui(TextMessageContentEvent(message_id="m", delta="Hello")),
            {"type": "RUN_FINISHED", "result": "Hello"},
        ) == [Message("Hello")]

    def test_raw_events__are_kept_unless_they_are_langgraphs_bookkeeping(self) -> None:
        raw = {"type": "RAW", "event": {"kind": "mine"}, "source": "x"}
        graph = {"type": "RAW", "event": {"event": "on_chain_start", "data": {"input": "secret"}}}
        custom = {"type": "CUSTOM", "name": "n", "value": 1, "rawEvent": {"secret": 1}}
        assert said(raw, graph, custom, "Hi") == [
            Custom({"event": {"kind": "mine"}, "source": "x"}, "RAW"),
            Custom(1, "n"),
            Message("Hi"),
        ]
