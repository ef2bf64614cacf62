"""Answers as authors of public agents write them by hand: one line a way of theirs."""

import json
from typing import Any

import pytest

from bff.events import Custom, Event, Input, Message, Source, Thinking, ToolEnd, ToolStart
from tests.agents.conftest import tools
from tests.agents.decoding import decode, failed, said, usage
from tests.fakes.container import sse

HI = {"type": "token", "content": "Hi"}


def text(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Message))


def thought(events: list[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Thinking))


def told(*values: object) -> list[tuple[Any, ...]]:
    """What a reader sees of the tools, without their ids."""
    return [
        (event.tool, event.args) if isinstance(event, ToolStart) else (event.result, event.error)
        for event in tools(said(*values))
        if isinstance(event, ToolStart | ToolEnd)
    ]


@pytest.mark.parametrize(
    ("frames", "wanted"),
    [
        # the answer once more, in the last frame
        ([{"event": "token", "data": "What "}, {"event": "token", "data": "now?"},
          {"event": "done", "data": json.dumps({"content": "What now?", "length": 9})}],
         "What now?"),
        ([{"event": "token", "data": "Hi"}, {"event": "done", "data": '{"status": "completed"}'}],
         "Hi"),
        ([{"event": "end", "data": '{"city":"Rome","n":1}'}], '{"city":"Rome","n":1}'),
        ([{"type": "chunk", "content": "All of it."}, {"type": "final", "content": "All of it."}],
         "All of it."),
        ([{"type": "final_answer", "content": "It is so."},
          {"type": "token", "content": "It is so."}], "It is so."),
        ([{"kind": "text", "text": "I look."}, {"kind": "result", "text": "I look."}], "I look."),
        ([{"delta": "Hello all."}, {"agent_meta": {"steps": 0}, "reply": "Hello all."}],
         "Hello all."),
        ([{"type": "partial", "text": "Hello all"},
          {"type": "full_response", "text": "Hello all"}], "Hello all"),
        ([{"event": "token", "data": "Hi"}, "__DONE__"], "Hi"),
        # the last frame's name for every piece
        ([{"type": "content", "data": "Let me look. "}, {"type": "final_answer_start", "data": {}},
          *({"type": "final_answer", "data": part} for part in ("The", " ", "end", "\n\n", "."))],
         "Let me look. The end\n\n."),
        # news, under names and in shapes of their own
        ([{"event": "progress", "data": 50}, HI], "Hi"),
        ([{"event": "thinking", "data": None}, {"event": "thinking", "data": True}, HI], "Hi"),
        ([{"event": "sources", "data": ["a.pdf", "b.pdf"]}, HI], "Hi"),
        ([{"event": "tools_used", "data": ["search", "calc"]}, HI], "Hi"),
        ([{"type": "plan", "content": "1. look 2. tell", "tool_choice": {"type": "x"}}, HI], "Hi"),
        ([{"type": "plan", "content": "1. look 2. tell"}], "1. look 2. tell"),
        ([{"kind": "think", "text": "Hm"}, {"kind": "token", "text": "Hi"}], "Hi"),
        ([{"kind": "tool", "text": "Bash: ls -l"}, {"kind": "token", "text": "Hi"}], "Hi"),
        ([{"status": "Reading", "message": "Reading it ..."},
          {"status": "success", "content": "Hi"}], "Hi"),
        ([{"status": "streaming", "message": "H"}, {"status": "streaming", "message": "i"}], "Hi"),
        ([{"type": "stt", "text": "What did I say?"}, {"type": "reply", "text": "Hi"}], "Hi"),
        ([{"type": "agent_done", "agent": "Researcher", "summary": "The price is …"}, HI], "Hi"),
        # a graph's state that has no messages of the agent's
        ([{"messages": [], "market_report": ""}, {"messages": [], "verdict": "Buy it."}],
         "Buy it."),
        ([{"messages": [{"type": "human", "content": "Q"}], "question": "Q", "verdict": "Yes."}],
         "Yes."),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False)[:70],
)  # fmt: skip
def test_text__is_said_once_and_alone(frames: list[object], wanted: str) -> None:
    assert text(said(*frames)) == wanted


@pytest.mark.parametrize(
    ("frames", "wanted"),
    [
        # Strands' current_tool_use, handed on whenever it grows
        ([{"type": "tool_use", "id": "t", "name": "calc", "input": so_far}
          for so_far in ("", '{"e"', '{"e": 1}', '{"e": 1}')], [("calc", {"e": 1})]),
        ([{"tool": "calc", "input": so_far} for so_far in ("", '{"e"', '{"e": 1}', '{"e": 1}')],
         [("calc", {"e": 1})]),
        ([{"type": "tool", "data": {"toolUseId": "t", "name": "calc", "input": so_far}}
          for so_far in ("", '{"e"', '{"e": 1}')], [("calc", {"e": 1})]),
        ([{"type": "tool_use", "tool_name": "calc", "status": "Using calc…"}] * 5,
         [("calc", {})]),
        ([{"type": "tool_use", "data": "web_search", "query": "x"}], [("web_search", {})]),
        ([{"type": "tool_call", "name": "calc", "args": {"e": 1}}, HI,
          {"type": "tool_call", "name": "calc", "args": {"e": 1}}],
         [("calc", {"e": 1}), ("calc", {"e": 1})]),
        # a call told in pieces, whose end is not its result
        ([{"type": "tool_call_start", "id": "t", "name": "calc"},
          {"type": "tool_call_delta", "id": "t", "delta": '{"e":'},
          {"type": "tool_call_delta", "id": "t", "delta": " 1}"},
          {"type": "tool_call_end", "id": "t"},
          {"type": "tool_result", "id": "t", "result": "2"}], [("calc", {"e": 1}), ("2", None)]),
        ([{"type": "tool_use_start", "id": "t", "name": "calc"},
          {"type": "tool_use_complete", "id": "t", "name": "calc", "input": {"e": 1},
           "result": "2"}], [("calc", {"e": 1}), ("2", None)]),
        # a result that tells its call once more
        ([{"type": "tool_call", "name": "sql", "input": {"q": 1}},
          {"type": "tool_result", "name": "sql", "input": {"q": 1}, "output": "2"}],
         [("sql", {"q": 1}), ("2", None)]),
        ([{"type": "tool_use", "tool": "edit", "input": {"n": 1}},
          {"type": "tool_result", "tool": "edit", "success": False, "summary": "No such page"}],
         [("edit", {"n": 1}), (None, "No such page")]),
        ([{"type": "tool_use", "id": "t", "name": "calc", "input": {}},
          {"type": "tool_result", "tool_use_id": "t", "content": "bad", "is_error": True}],
         [("calc", {}), (None, "bad")]),
        # other places for the same
        ([{"type": "tool_use", "tool_call": {"id": "t", "type": "function", "function":
           {"name": "calc", "arguments": '{"e": 1}'}}},
          {"type": "tool_result", "tool_call_id": "t", "content": "2"}],
         [("calc", {"e": 1}), ("2", None)]),
        ([{"event": "tool_calls", "data": [{"id": "t", "name": "calc", "args": {"e": 1}}]},
          {"event": "tool_results", "data": [{"id": "t", "name": "calc", "result": "2"}]}],
         [("calc", {"e": 1}), ("2", None)]),
        ([{"event": "tool_call", "data": '{"tool": "calc", "args": {"e": 1}}'},
          {"event": "tool_result", "data": '{"tool": "calc", "result": "2"}'}],
         [("calc", {"e": 1}), ("2", None)]),
        ([{"type": "action", "tool": "calc", "args": "1+1"},
          {"type": "observation", "content": "2"}], [("calc", "1+1"), ("2", None)]),
        ([{"toolStart": {"name": "calc", "toolUseId": "t"}},
          {"toolEnd": {"toolUseId": "t", "result": "2"}}], [("calc", {}), ("2", None)]),
        ([{"tool": {"id": "t", "name": "write", "path": "a.html", "status": "done"}}],
         [("write", {})]),
        ([{"event": "tool_start", "data": "calc"}, {"event": "tool_end", "data": "calc"}],
         [("calc", {}), ("", None)]),
    ],
    ids=lambda value: json.dumps(value, ensure_ascii=False)[:70],
)  # fmt: skip
def test_tools__are_told_once_with_what_they_got_and_found(
    frames: list[object], wanted: list[tuple[Any, ...]]
) -> None:
    assert told(*frames, {"data": "So."}) == wanted
    assert text(said(*frames, {"data": "So."})).replace("Hi", "") == "So."


@pytest.mark.parametrize(
    "last",
    [
        {"type": "stream_end", "status": "error", "error": "boom"},
        {"type": "done", "status": "failed", "error": "parse_error"},
        {"event": "done", "data": '{"status": "error", "message": "boom"}'},
        {"type": "final", "output": "half of it", "error": "boom"},
    ],
    ids=json.dumps,
)
def test_a_last_frame_that_says_so__fails_the_run(last: object) -> None:
    assert "in-band error" in failed(HI, last)


@pytest.mark.parametrize(
    "last",
    [
        {"type": "done", "error": None, "success": True},
        {"type": "agent_done", "agent": "Researcher", "status": "failed", "error": "boom"},
        {"type": "step_complete", "status": "error"},
    ],
    ids=json.dumps,
)
def test_a_last_frame_about_a_part__fails_none(last: object) -> None:
    assert text(said(HI, last)) == "Hi"


def test_named_data_of_every_kind__keeps_its_name() -> None:
    values: list[object] = [True, 3, "two", ["x"], {"n": 1}]
    events = said(*({"event": "progress", "data": value} for value in values), HI)
    assert [event.name for event in events if isinstance(event, Custom)] == ["progress"] * 5


def test_what_stands_beside__comes_out_as_itself() -> None:
    sources = {"event": "source", "data": [{"title": "X", "url": "https://example.com"}]}
    asks = {"type": "interrupt", "payload": {"question": "Sure?"}}
    events, failure = decode(sse({"kind": "think", "text": "Hm"}, HI, sources, asks))
    assert failure is None
    assert (thought(events), text(events)) == ("Hm", "Hi")
    assert Source("https://example.com", "X") in events
    assert [event.message for event in events if isinstance(event, Input)] == ["Sure?"]


COUNTS = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
BEDROCKS = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}


@pytest.mark.parametrize(
    "last",
    [
        {"type": "usage", "usage": COUNTS},
        {"type": "usage", **COUNTS},
        {"type": "usage", "data": BEDROCKS},
        {"event": "usage", "data": {"prompt_tokens": 1, "completion_tokens": 2}},
        {"event": "message_end", "metadata": {"usage": BEDROCKS, "resources": []}},
        {"type": "done", "token_usage": COUNTS},
        {"type": "complete", "response": "Hi", "metadata": {"usage": COUNTS}},
        {"response": "Hi", "token_usage": COUNTS},
        {"response": "Hi", "metrics": {"accumulated_usage": BEDROCKS}},
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 1, "output_tokens": 2}},
    ],
    ids=json.dumps,
)
def test_usage__is_told_from_wherever_it_stands(last: object) -> None:
    assert usage(HI, last) == COUNTS
    assert text(said(HI, last)) == "Hi"


def test_anthropics_output__is_what_its_last_word_counts() -> None:
    start = {"id": "m", "role": "assistant", "content": []}
    counts = [{"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 22}]
    assert usage(
        {"type": "message_start", "message": {**start, "usage": counts[0]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": counts[1]},
    ) == {"input_tokens": 3, "output_tokens": 22, "total_tokens": 25}


def test_a_step_told_anew_as_it_goes_on__is_one_thought_and_one_call() -> None:
    step = {"event": "agent_thought", "id": "x", "thought": "", "tool": "", "tool_input": ""}
    calling = {**step, "thought": "I look.", "tool": "search", "tool_input": '{"q": 1}'}
    frames = [step, {**calling, "observation": ""}, {**calling, "observation": "found"}]
    assert told(*frames, HI) == [("search", {"q": 1}), ("found", None)]
    assert (thought(said(*frames, HI)), text(said(*frames, HI))) == ("I look.", "Hi")
