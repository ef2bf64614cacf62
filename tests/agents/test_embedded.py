"""The embedded agent: what `make run` talks to, and clients are tested against."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.agents.arithmetic import calculate, find_expression
from bff.agents.embedded import SLOW_SECONDS, EmbeddedAgent
from bff.errors import AgentFailed
from bff.events import Done, Message, ToolEnd, ToolStart
from tests.agents.conftest import collect, failure, text, tools


@pytest.mark.parametrize(
    ("question", "expression", "result"),
    [
        ("What is 15 * 23?", "15 * 23", "345"),
        ("what is 15*23", "15*23", "345"),
        ("15 * 23", "15 * 23", "345"),
        ("Can you calculate (2 + 3) * 4?", "(2 + 3) * 4", "20"),
        ("Calculate: 2 + 3 * 4 =", "2 + 3 * 4", "14"),
        ("What is 7 - 10?", "7 - 10", "-3"),
        ("What is -3 * -3?", "-3 * -3", "9"),
        ("What is 1 / 4?", "1 / 4", "0.25"),
        ("What is 6 x 7?", "6 x 7", "42"),
        ("What is 6 \u00d7 7 \u00f7 2?", "6 \u00d7 7 \u00f7 2", "21"),
        ("What is 0.1 + 0.2?", "0.1 + 0.2", "0.3"),
        ("What is 999999999999999 * 999999999999999?", None, "999999999999998000000000000001"),
    ],
)
async def test_arithmetic__is_calculated_with_the_tool(
    question: str, expression: str | None, result: str
) -> None:
    events = await collect(EmbeddedAgent(), question)

    start, end = tools(events)
    assert isinstance(start, ToolStart)
    assert start.args == {"expression": expression or start.args["expression"]}
    assert end == ToolEnd(start.id, "calculator", result)
    assert text(events) == f"The result of {start.args['expression']} = {result}."


async def test_what_has_no_value__is_the_tools_error() -> None:
    events = await collect(EmbeddedAgent(), "What is 1 / 0?")

    assert tools(events)[1] == ToolEnd("call-1", "calculator", None, "cannot calculate that")
    assert text(events) == "I could not calculate 1 / 0."


@pytest.mark.parametrize(
    "question",
    [
        "Hello",
        "What is love?",
        "My number is 555",
        "Call 555-1234 tomorrow",
        "What is __import__('os').system('x') + 1?",
        "What is 9 ** 9 ** 9?",
        "/unknown",
        "/slow",
        "/slow many",
        "Grüße\n\n🌍  two  spaces",
    ],
)
async def test_anything_else__is_repeated(question: str) -> None:
    events = await collect(EmbeddedAgent(), question)

    assert text(events) == f"You said: {question}"
    assert tools(events) == []


async def test_long_message__is_repeated_in_part() -> None:
    assert len(text(await collect(EmbeddedAgent(), "x" * 32_000))) < 2100


async def test_answer__comes_word_by_word_and_is_always_the_same() -> None:
    first = await collect(EmbeddedAgent(), "What is 15 * 23?")

    assert [event.content for event in first if isinstance(event, Message)] == [
        *("The", " result", " of", " 15", " *", " 23", " =", " 345.")
    ]
    assert first == await collect(EmbeddedAgent(), "What is 15 * 23?")


async def test_slow__says_one_word_each_tenth_of_a_second() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    events = await collect(EmbeddedAgent(sleep), "/slow 5")

    assert text(events) == "word1 word2 word3 word4 word5"
    assert slept == [SLOW_SECONDS] * 5


async def test_slow__can_be_cancelled() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(collect(EmbeddedAgent(sleep), "/slow 5"))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_fail__fails_after_three_words() -> None:
    problem, events = await failure(EmbeddedAgent(), "/fail")

    assert isinstance(problem, AgentFailed)
    assert problem.agent_called
    assert [event.content for event in events if isinstance(event, Message)] == [
        "This",
        " will",
        " fail",
    ]


async def test_end__counts_words_as_tokens() -> None:
    events = await collect(EmbeddedAgent(), "Hello there")

    assert events[-1] == Done(
        "complete", {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}
    )


@given(st.text(st.sampled_from("0123456789.+-*/() x"), max_size=60))
def test_any_arithmetic__has_a_value_or_none(expression: str) -> None:
    found = find_expression(expression)
    if found is not None:
        value = calculate(found)
        assert value is None or float(value) == float(value)


@pytest.mark.parametrize("piece", ["(", " ", "1 + ", "-", "1", "1+1 ", ") "])
def test_long_questions__are_told_apart_at_once(piece: str) -> None:
    assert find_expression(piece * 100 + "?") is None or piece == "1 + "
    assert find_expression(piece * 20_000) is None
