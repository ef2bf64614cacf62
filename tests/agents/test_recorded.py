"""`python -m bff decode`: what becomes of a recorded answer."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bff.__main__ import main
from bff.agents.recorded import content_type_of


def test_a_file__is_printed_event_by_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer.sse"
    file.write_bytes(b'data: {"data": "Hi", "delta": {"text": "Hi"}}\n\n')

    assert main(["decode", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        '2 message {"content":"Hi"}',
        '3 done {"status":"complete"}',
        "recognised: strands",
    ]


def test_a_failure__is_said_in_the_operators_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer"
    file.write_bytes(b'{"error": "secret", "error_type": "KeyError"}')

    assert main(["decode", str(file), "--content-type", "application/json"]) == 0
    assert capsys.readouterr().out == ("recognised: nothing\nfailed: an in-band error (KeyError)\n")


def test_stdin__is_read_and_judged_by_its_first_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"raw": "Hi", "tasks_output": []}).encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(body)))

    assert main(["decode", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "recognised: crewai"


def test_an_answer_of_no_framework__is_untyped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"answer": "Hi"}')

    assert main(["decode", str(tmp_path / "a.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "recognised: untyped"


def test_a_file_that_is_not_there__is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "/nowhere/answer.sse"]) == 1
    assert "/nowhere/answer.sse cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("a.sse", "text/event-stream"),
        ("a.JSON", "application/json"),
        ("a.jsonl", "application/x-ndjson"),
        ("-", "application/octet-stream"),
    ],
)
def test_a_files_name__suggests_its_type(file: str, kind: str) -> None:
    assert content_type_of(file) == kind
