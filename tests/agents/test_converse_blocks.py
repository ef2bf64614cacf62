"""What Bedrock Converse takes of files, told to Strands agents in their payload."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bff.messages import FilePart, user_message
from tests.agents.environments import ROOT
from tests.agents.test_payload import PAPER, PICTURE, payload, prompt


def file(kind: Any, mime_type: str, filename: str) -> FilePart:
    return FilePart(kind, mime_type=mime_type, filename=filename, data="aGk=")


def names(sent: Any) -> list[str]:
    return [block["document"]["name"] for block in sent["prompt"] if "document" in block]


def test_strands__gets_no_two_documents_of_one_name_in_a_conversation() -> None:
    papers = [file("document", f"text/{kind}", f"report.{kind}") for kind in ("csv", "html")]
    papers.append(file("document", "text/plain", "報告.txt"))
    papers.append(file("document", "text/plain", "計画.txt"))
    new = (user_message("Compare", *papers),)

    first = payload("strands", prompt(first=True, new=new))
    later = payload("strands", prompt(new=new))

    assert names(first) == ["report", "report 2", "document", "document 2"]
    assert len({*names(first), *names(later)}) == 8
    assert all(re.fullmatch(r"[\w()\[\]\- ]{1,200}", name) for name in names(later))


def test_strands__gets_a_document_with_a_text() -> None:
    sent = payload("strands", prompt(first=True, new=(user_message("", PAPER),)))
    assert [block["text"] for block in sent["prompt"] if "text" in block] == ["[Q3 (final) v2]"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (file("image", "image/svg+xml", "a.svg"), {"text": "[a.svg]"}),
        (file("image", "image/heic", "a.heic"), {"text": "[a.heic]"}),
        (file("image", "image/jpg", "a.jpg"), ("image", "jpeg")),
        (file("document", "application/zip", "a.zip"), {"text": "[a.zip]"}),
        (file("document", "application/json", "a.json"), ("document", "txt")),
        (file("document", "text/x-python; charset=utf-8", "a.py"), ("document", "txt")),
        (file("document", "application/pdf", "a.pdf"), ("document", "pdf")),
        (file("audio", "audio/x-wav", "a.wav"), ("audio", "wav")),
        (file("audio", "audio/midi", "a.mid"), {"text": "[a.mid]"}),
        (file("video", "video/3gpp", "a.3gp"), ("video", "three_gp")),
    ],
    ids=str,
)
def test_strands__gets_of_a_file_what_converse_takes(part: FilePart, block: Any) -> None:
    sent = payload("strands", prompt(first=True, new=(user_message("Look", part),)))["prompt"][1]
    if isinstance(block, tuple):
        kind, form = block
        block = {kind: {**sent[kind], "format": form, "source": {"bytes": "aGk="}}}
    assert sent == block


def test_strands__finds_its_bytes_as_the_documentation_shows() -> None:
    page = (ROOT / "docs" / "files.md").read_text("utf-8")
    [code] = [c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "with_bytes" in c]
    shown: dict[str, Any] = {}
    exec(code, shown)  # our own documentation
    sent = payload("strands", prompt(first=True, new=(user_message("Look", PICTURE),)))

    assert shown["with_bytes"](sent["prompt"])[1]["image"]["source"] == {"bytes": b"\x89PNG"}
    assert shown["with_bytes"]("Hi") == "Hi"


def test_strands__is_told_an_address_that_converse_cannot_take_as_text() -> None:
    link = FilePart("image", url="https://example.com/a.png", filename="a.png")

    sent = payload("strands", prompt(new=(user_message("Look", link),)))

    assert sent == {"prompt": [{"text": "Look"}, {"text": "[a.png: https://example.com/a.png]"}]}
