from __future__ import annotations

import asyncio
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import AgentFailed, Overloaded
from bff.log_context import RunAtHand, current_request, current_run
from bff.settings import Settings
from bff.telemetry.logs import (
    JsonFormatter,
    SettledRecord,
    TextFormatter,
    describe,
    lines_dropped,
    open_logs,
    redact,
)

logger = logging.getLogger("bff.tests")


@contextmanager
def written(tmp_path: Path, **settings: Any) -> Iterator[Callable[[], list[str]]]:
    """Logs go to a file; what is yielded reads its lines once the block has been left."""
    path = tmp_path / "stdout"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with open_logs(Settings(**settings), descriptor=descriptor):
            yield lambda: path.read_text().splitlines()
    finally:
        os.close(descriptor)


def record_of(message: str, *arguments: object, **extra: Any) -> logging.LogRecord:
    return logger.makeRecord(
        logger.name, logging.INFO, __file__, 1, message, arguments, None, extra=extra
    )


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_a_record__is_one_json_line_with_the_fields_that_are_documented(tmp_path: Path) -> None:
    with written(tmp_path, service_name="chat") as lines:
        request = current_request.set("req-1")
        run = current_run.set(RunAtHand("run_1", "support"))
        logger.warning("run %s is late", "r", extra={"fields": {"ms": 3}})
        current_run.reset(run)
        current_request.reset(request)

    [line] = map(json.loads, lines())
    stamp = line.pop("ts")
    assert line == {
        "level": "WARNING",
        "logger": "bff.tests",
        "message": "run r is late",
        "service": "chat",
        "request_id": "req-1",
        "run_id": "run_1",
        "agent": "support",
        "ms": 3,
    }
    assert stamp.endswith("Z")
    assert len(stamp) == len("2026-11-23T07:38:01.778Z")


@given(st.text())
def test_a_json_line__carries_any_text_without_breaking(text: str) -> None:
    line = JsonFormatter("x").format(record_of("%s", text))

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == redact(text)


@given(st.text())
def test_a_text_line__cannot_be_forged(text: str) -> None:
    assert TextFormatter().format(record_of("%s", text)).isprintable()


def test_a_text_record__shows_where_an_exception_happened_on_indented_lines() -> None:
    record = record_of("failed")
    record.exc_info = (ValueError, raised(ValueError("no\nERROR forged")), None)

    first, *others = TextFormatter().format(record).split("\n")

    assert first.endswith("INFO     bff.tests  failed")
    assert others
    assert all(line.startswith("    ") for line in others)
    assert not any("forged" in line for line in others)


def test_an_exception__is_told_by_type_and_place_but_not_in_its_own_words() -> None:
    text = describe(raised(RuntimeError("canary"), raised(ValueError("canary too"))))

    assert text.startswith("RuntimeError\n")
    assert "caused by ValueError\n" in text
    assert "test_logs.py" in text
    assert "canary" not in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (ConnectionError("canary"), "ConnectionError"),
        (TypeError("not callable"), "TypeError: not callable"),
        (AgentFailed(), "bff.errors.AgentFailed: agent_failed"),
        (KeyError("canary"), "KeyError"),
        (json.JSONDecodeError("x", "canary", 0), "json.decoder.JSONDecodeError"),
    ],
)
def test_an_exceptions_words__are_kept_where_they_are_the_systems_or_ours(
    error: Exception, text: str
) -> None:
    assert describe(error) == text


def test_an_aws_error__is_told_by_its_code() -> None:
    class ClientError(Exception):
        response = {"Error": {"Code": "ThrottlingException", "Message": "canary"}}  # noqa: RUF012

    assert describe(ClientError("canary")).endswith("ClientError: ThrottlingException")


def test_a_group_of_exceptions__is_described_by_its_first() -> None:
    assert "caused by bff.errors.Overloaded: overloaded" in describe(
        ExceptionGroup("canary", [Overloaded()])
    )


def test_exceptions_that_cause_each_other__are_described_once() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one

    assert describe(one) == "ValueError\ncaused by KeyError"


def test_a_long_record__stays_shorter_than_container_runtimes_cut() -> None:
    def deep(levels: int) -> None:
        if levels == 0:
            raise ValueError
        deep(levels - 1)

    record = record_of("%s", "\U0001f600" * 100_000)
    try:
        deep(400)
    except ValueError as error:
        chain: BaseException = error
        for _ in range(50):
            chain = raised(ValueError(), chain)
        record.exc_info = (ValueError, chain, None)

    line = JsonFormatter("x").format(record)

    assert len(line) < 16 * 1024
    assert json.loads(line)["message"].endswith("more characters)")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary",
        "authorization=canary",
        '{"Authorization": "Basic canary"}',
        "X-API-Key: canary",
        "api_key='canary'",
        "sent Bearer canary to the agent",
        "password=canary&x=1",
        "redis://user:canary@cache:6379/0",
        "eyJcanary12345.eyJcanary.canary",
        "bff_canary0123456789abcdefgh",
    ],
)
def test_redact__strikes_out_what_looks_like_a_credential(text: str) -> None:
    assert "canary" not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    ["token expired", "max_tokens: 5", "GET /v1/runs/{run_id} 200", "http://127.0.0.1:8000/x@y"],
)
def test_redact__leaves_the_rest_alone(text: str) -> None:
    assert redact(text) == text


async def test_asyncios_own_report__does_not_quote_a_tasks_exception(tmp_path: Path) -> None:
    with written(tmp_path) as lines:
        asyncio.get_running_loop().call_exception_handler(
            {
                "message": "Task exception was never retrieved",
                "exception": raised(ValueError("canary")),
                "task": ValueError("canary"),
            }
        )

    [line] = map(json.loads, lines())
    assert line["message"] == "Task exception was never retrieved"
    assert "canary" not in str(line)


def test_libraries__say_nothing_below_info_whatever_the_level(tmp_path: Path) -> None:
    with written(tmp_path, log_level="DEBUG") as lines:
        logging.getLogger("botocore").debug("canary")
        logging.getLogger("botocore").info("kept")
        logger.debug("ours")

    assert [json.loads(line)["message"] for line in lines()] == ["kept", "ours"]


def test_a_level__holds_for_all(tmp_path: Path) -> None:
    with written(tmp_path, log_level="ERROR") as lines:
        logging.getLogger("botocore").warning("library")
        logger.warning("ours")
        logger.error("kept")

    assert [json.loads(line)["message"] for line in lines()] == ["kept"]


def test_debug__is_the_level_debug(tmp_path: Path) -> None:
    with written(tmp_path, debug=True) as lines:
        logger.debug("ours")

    assert len(lines()) == 1


def test_warnings__become_log_lines(tmp_path: Path) -> None:
    with (
        warnings.catch_warnings(),
        written(tmp_path) as lines,
    ):
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    [line] = map(json.loads, lines())
    assert line["logger"] == "py.warnings"


def test_leaving_the_logs__puts_back_what_was_there(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("bff").level

    with written(tmp_path, log_level="DEBUG"):
        assert len(root.handlers) == 1

    assert (list(root.handlers), root.level, logging.getLogger("bff").level) == before


def test_a_terminal__gets_text() -> None:
    ours, theirs = os.openpty()
    try:
        with open_logs(Settings(), descriptor=theirs):
            logger.info("hello")
        assert os.read(ours, 1000).decode().endswith("INFO     bff.tests  hello\r\n")
    finally:
        os.close(ours)
        os.close(theirs)


def test_text__can_be_asked_for(tmp_path: Path) -> None:
    with written(tmp_path, log_format="text") as lines:
        logger.info("hello")

    assert lines()[0].endswith("bff.tests  hello")


def test_a_settled_record__keeps_the_request_it_was_made_for(tmp_path: Path) -> None:
    with written(tmp_path, service_name="chat") as lines:
        logger.handle(SettledRecord("bff.access", "GET / 200", "req-1", {"status": 200}))
        token = current_request.set("req-2")
        logger.info("later")
        current_request.reset(token)

    first, second = map(json.loads, lines())
    assert first.pop("ts") <= second["ts"]
    assert first == {
        "level": "INFO",
        "logger": "bff.access",
        "message": "GET / 200",
        "service": "chat",
        "request_id": "req-1",
        "status": 200,
    }
    assert second["request_id"] == "req-2"


def test_a_settled_record__is_text_where_text_is_asked_for() -> None:
    record = SettledRecord("bff.access", "GET / 200", "req-1", {"status": 200})

    assert TextFormatter().format(record)[13:] == (
        "INFO     bff.access  GET / 200  request_id=req-1  status=200"
    )


def test_a_document__is_written_as_it_is_in_both_formats() -> None:
    record = record_of("metrics", document={"_aws": {}})

    assert JsonFormatter("x").format(record) == TextFormatter().format(record) == '{"_aws":{}}'


def test_a_reader_that_has_gone__costs_lines_only() -> None:
    before = lines_dropped()
    reading, writing = os.pipe()
    os.close(reading)

    with open_logs(Settings(), descriptor=writing):
        logger.info("nobody reads this")

    os.close(writing)
    assert lines_dropped() == before + 1
