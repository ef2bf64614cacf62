"""One answer in every framing that agents send, under every type they give it: it is read the same.

What is sent and what it is called are two things: SSE without blank lines, JSON lines called an
event stream, lists over many lines, `data: ` before what a server prefixes itself.
"""

import codecs
import itertools
import json
from collections.abc import Callable

import pytest

from bff.events import Message
from tests.agents.recordings import decoded

TOKENS = ["The **answer**", " is", ":\n\n", "- 345", " ✅", '{"a": 1}', "data: x"]
ANSWER = "".join(TOKENS)
FRAMES = [{"content": token} for token in TOKENS]


def j(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def each(frame: Callable[[str], str], between: str = "") -> str:
    return between.join(frame(j(value)) for value in FRAMES)


def indented(value: object) -> str:
    return "".join(f"data: {line}\n" for line in j(value, 2).split("\n")) + "\n"


EVENTS = {
    "events": each(lambda v: f"data: {v}\n\n"),
    "no space": each(lambda v: f"data:{v}\n\n"),
    "no blank lines": each(lambda v: f"data: {v}\n"),
    "no last blank line": each(lambda v: f"data: {v}", "\n\n"),
    "no line ends": each(lambda v: f"data: {v}"),
    "named": each(lambda v: f"event: token\ndata: {v}\n\n"),
    "named, no blank lines": each(lambda v: f"event: token\ndata: {v}\n"),
    "named after the data": each(lambda v: f"data: {v}\nevent: token\n\n"),
    "with ids": each(lambda v: f"id: 1\nretry: 5\ndata: {v}\n\n"),
    "comment first": ": ok\n\n" + each(lambda v: f"data: {v}\n\n"),
    "blank lines first": "\n\n" + each(lambda v: f"data: {v}\n\n"),
    "done at the end": each(lambda v: f"data: {v}\n\n") + "data: [DONE]",
    "over several fields": "".join(map(indented, FRAMES)),
    "over several lines": "".join(f"data: {j(frame, 2)}\n\n" for frame in FRAMES),
    "prefixed twice": each(lambda v: f"data: data: {v}\n\n"),
    "in strings": "".join(f"data: {j(f'data: {j(frame)}{chr(10) * 2}')}\n\n" for frame in FRAMES),
    "fields indented": each(lambda v: f"  data: {v}\n\n"),
    "one list": f"data: {j(FRAMES)}\n\n",
    "strings": "".join(f"data: {j(token)}\n\n" for token in TOKENS),
    "JSON lines, then events": f"{j(FRAMES[0])}\n"
    + "".join(f"data: {j(frame)}\n\n" for frame in FRAMES[1:]),
    "events, then JSON lines": f"data: {j(FRAMES[0])}\n\n"
    + "".join(f"{j(frame)}\n" for frame in FRAMES[1:]),
}
VALUES = {
    "lines": each(lambda v: f"{v}\n"),
    "lines and blank lines": each(lambda v: f"{v}\n\n"),
    "lines with commas": each(lambda v: f"{v},\n"),
    "no last line end": each(lambda v: v, "\n"),
    "in a row": each(lambda v: v),
    "in a row, spaces between": each(lambda v: v, " "),
    "in a row, commas between": each(lambda v: v, ","),
    "over several lines each": "".join(f"{j(frame, 2)}\n" for frame in FRAMES),
    "over several lines, in a row": "".join(j(frame, 2) for frame in FRAMES),
    "list": j(FRAMES),
    "list over several lines": j(FRAMES, 2),
    "list, a line each": "[" + each(lambda v: v, ",\n") + "]",
    "records": each(lambda v: f"\x1e{v}\n"),
    "one object": j({"content": ANSWER}),
    "one object over several lines": j({"content": ANSWER}, 2),
}
STRINGS = {
    "one string": j(ANSWER),
    "lines of strings": "".join(f"{j(token)}\n" for token in TOKENS),
}
JSON_TYPES = [
    "text/event-stream",
    "text/event-stream; charset=utf-8",
    "application/json",
    "application/x-ndjson",
    "application/json-seq",
    "application/octet-stream",
    "",
]
TYPES = [*JSON_TYPES, "text/plain", "text/json"]


def read_the_same(body: str, types: list[str]) -> list[str]:
    """How it was sent where the answer comes out otherwise."""
    wrong = []
    for kind, end, mark in itertools.product(types, ("\n", "\r\n", "\r"), (b"", codecs.BOM_UTF8)):
        data = mark + body.replace("\n", end).encode()
        for cuts in ((), range(0, len(data), 7)):
            events, failure = decoded(data, kind, {}, cuts)
            said = "".join(event.content for event in events if isinstance(event, Message))
            if failure or said != ANSWER:
                wrong.append(f"{kind} {end!r} {mark!r}: {failure or said!r}")
    return wrong


@pytest.mark.parametrize("name", [*EVENTS, *VALUES])
def test_an_answer__is_read_however_it_is_framed_and_called(name: str) -> None:
    assert read_the_same({**EVENTS, **VALUES}[name], TYPES) == []


@pytest.mark.parametrize("name", STRINGS)
def test_a_string__is_json_but_in_plain_text_where_it_is_a_quotation(name: str) -> None:
    assert read_the_same(STRINGS[name], JSON_TYPES) == []
    events, _ = decoded(b'"To be", he said.', "text/plain", {})
    assert events[0] == Message('"To be", he said.')


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "iso-8859-15"])
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
def test_a_charset__is_heeded_under_every_type(charset: str, kind: str) -> None:
    text = "Die Lösung: 345 €"
    body = {"application/json": j({"answer": text}), "text/plain": text}.get(
        kind, f"data: {j(text)}\n\n"
    )
    for cuts in ((), (1, 2, 3, 5, 8, 13)):
        events, failure = decoded(body.encode(charset), f"{kind}; charset={charset}", {}, cuts)
        said = "".join(event.content for event in events if isinstance(event, Message))
        assert (said, failure) == (text, None)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("data: Hello\nworld\n\ndata: !\n\n", "Hello\nworld!"),
        ("data: One\n\nTwo\n\ndata: .\n\n", "One\n\nTwo."),
        ("data: Hello\nfoo: bar\n\n", "Hello"),
        ("Data: Hello\n\nDATA: !\n\n", "Hello!"),
        ("message:\ndata: Hello\n\n", "Hello"),
    ],
)
def test_line_ends_of_a_text__that_a_server_wrote_as_they_are_are_its_own(
    sent: str, read: str
) -> None:
    events, _ = decoded(sent.encode(), "text/event-stream", {})
    assert "".join(event.content for event in events if isinstance(event, Message)) == read


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ('data: {"content": "Hel', "text/event-stream"),
        ('{"content": "Hel', "application/json"),
        ('{"content": "Hi"}\n{"content": "Hel', "application/x-ndjson"),
        ('[{"content": "Hi"},\n{"content": "Hel', "application/x-ndjson"),
        ('"Hel', "application/x-ndjson"),
    ],
)
def test_an_answer_that_is_cut_off__has_failed(sent: str, kind: str) -> None:
    assert decoded(sent.encode(), kind, {})[1]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("data:Hello\n\ndata: world\n\ndata: \n\ndata:!\n\n", "Hello world !"),
        ("data:```\ndata:if x:\ndata:    return\n\ndata:\ndata:\n\ndata: [DONE]\n\n",
         "```\nif x:\n    return\n"),
        ('data:{"content": "Hi"}\n\ndata: {"content": "!"}\n\n', "Hi!"),
        ("data: Hello\n\ndata:  world\n\n", "Hello world"),
    ],
)  # fmt: skip
def test_a_space_behind_the_colon__is_the_texts_where_the_server_writes_none(
    sent: str, read: str
) -> None:
    for cuts in ((), range(len(sent))):
        events, _ = decoded(sent.encode(), "text/event-stream", {}, list(cuts))
        assert "".join(event.content for event in events if isinstance(event, Message)) == read


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("Hello **you**,\n\n- one", "Hello **you**,\n\n- one"),
        ("<b>345</b>", "<b>345</b>"),
        ("<", "<"),
        ('{"response": "Hi"}', "Hi"),
        ('data: {"response": "Hi"}\n\n', "Hi"),
        ("<!DOCTYPE html><html>hunter2", None),
        (" \n<HTML lang=en><body>hunter2", None),
    ],
)
def test_what_is_called_html__is_an_answer_unless_it_is_a_page(sent: str, read: str | None) -> None:
    for cuts in ((), range(len(sent))):
        events, failure = decoded(sent.encode(), "text/html; charset=utf-8", {}, list(cuts))
        said = "".join(event.content for event in events if isinstance(event, Message))
        assert (said, failure is None) == (read or "", read is not None)
