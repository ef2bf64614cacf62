"""Where frames begin and end, whatever the bytes are called and wherever they are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.agents.frames import open_frames
from bff.agents.json_values import MAX_DEPTH, MAX_FRAME_BYTES, FrameError
from bff.agents.lines import TEXT, Frame

SSE = "text/event-stream; charset=utf-8"


def read(data: bytes, content_type: str = SSE, cuts: tuple[int, ...] = ()) -> list[Frame]:
    frames = open_frames(content_type)
    found: list[Frame] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        found += frames.feed(data[start:end])
    return found + frames.end()


def values(data: bytes, content_type: str = SSE) -> list[object]:
    return [frame.value for frame in read(data, content_type)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'data: "a"\n\ndata: "b"\n\n', ["a", "b"]),
        (b'data: "a"\r\n\r\ndata: "b"\r\n\r\n', ["a", "b"]),
        (b'data: "a"\r\rdata: "b"\r\r', ["a", "b"]),
        (b'data:"a"\n\n', ["a"]),
        (b"data:  two spaces\n\n", [" two spaces"]),
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b'data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        (b'data: {"a": 1}\ndata: {"b": 2}\n', [{"a": 1}, {"b": 2}]),
        (b'data: "a"\ndata: "b"\n\n', ["a", "b"]),
        (b'event: x\ndata: {"a": 1}\nevent: y\ndata: {"b": 2}\n', [{"a": 1}, {"b": 2}]),
        (b'data: Say\n\ndata: "a"\ndata: "b"\n\n', ["Say", '"a"\n"b"']),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b": comment\n\n", []),
        (b"id: 1\nretry: 5\nnonsense\n\n", []),
        (b'note: 1\n\ndata: {"a": 1}\n\n', [{"a": 1}]),
        (b'\xef\xbb\xbfdata: "bom"\n\n', ["bom"]),
        (b'data: "no blank line"', ["no blank line"]),
        (b'data: "no blank line"\n', ["no blank line"]),
        (b"data: raw without end", ["raw without end"]),
        ('data: "line\u2028separator\x85 🌍"\n\n'.encode(), ["line\u2028separator\x85 🌍"]),
        (b'data: "\\ud83d"\n\ndata: "\\ude00"\n\n', ["\ud83d", "\ude00"]),
        (b'data: "\xff"\n\n', ["\ufffd"]),
        (b"data: 42\n\ndata: -1.50\n\n", ["42", "-1.50"]),
        (b"data: null\n\ndata: true\n\n", [None, True]),
        (b"data: is it\n\ndata: null\n\ndata: true\n\n", ["is it", "null", "true"]),
        (b"data: {not json}\n\n", ["{not json}"]),
        (b'data: "say" he said\n\n', ['"say" he said']),
        (b"data: [DONE]\n\n", ["[DONE]"]),
        (b"", []),
        (b"\n\n\n\n", []),
    ],
)
def test_event_stream__is_read_as_the_standard_says(data: bytes, expected: list[object]) -> None:
    assert values(data) == expected


def test_event_stream__names_reach_only_their_own_event() -> None:
    assert read(b'event: TOOL\ndata: 1\n\ndata: 2\n\nevent: x\n\ndata: "y"\n\n') == [
        Frame("TOOL", "1"),
        Frame(None, "2"),
        Frame(None, "y"),
    ]


@pytest.mark.parametrize(
    "data", [b'data: {"content": "hal', b'data: "hal', b'data: "a"\n\ndata: ["']
)
def test_event_stream__cut_off_inside_json_is_no_end(data: bytes) -> None:
    with pytest.raises(FrameError):
        read(data)


@pytest.mark.parametrize(
    ("content_type", "data", "expected"),
    [
        ("application/json", b'{"result": 1}', [{"result": 1}]),
        ("application/json; charset=utf-8", b'"text"', ["text"]),
        ("application/problem+json", b"{}", [{}]),
        ("application/json", b"null", [None]),
        ("application/json", b"not json", ["not json"]),
        ("application/json", b"", []),
        ("application/json", b'{"a":1}\n{"b":2}\n', [{"a": 1}, {"b": 2}]),
        ("application/json", b'{\n "a": 1\n}\n', [{"a": 1}]),
        ("application/json", b'\xef\xbb\xbf{"a":1}', [{"a": 1}]),
        ("application/x-ndjson", b'{"a":1}\r\n\r\n"b"\n', [{"a": 1}, "b"]),
        ("application/jsonl", b'{"a":1}', [{"a": 1}]),
        ("text/plain", b'data: "a"\n\n', ["a"]),
        ("text/plain", b'  \n{"a":1}\n{"b":2}', [{"a": 1}, {"b": 2}]),
        ("text/plain", b'{\n "a": 1\n}\n', [{"a": 1}]),
        ("text/plain", b'{"a": 1}', [{"a": 1}]),
        ("", b": hi\n\ndata: 1\n\n", ["1"]),
    ],
)
def test_content_type__names_the_reader_and_first_bytes_decide_the_rest(
    content_type: str, data: bytes, expected: list[object]
) -> None:
    assert values(data, content_type) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Hello\n\nthere",
        "1. one\n2. two",
        "Yes",
        "Note: it is 345.\n\nTotal: 345",
        "🌍: data",
        "e: 2.718",
        "\ufeffHi",
    ],
)
def test_text_called_an_event_stream__is_text_wherever_it_is_cut(text: str) -> None:
    data = text.encode()
    for cuts in ((), tuple(range(len(data)))):
        told = [str(frame.value) for frame in read(data, "text/event-stream", cuts)]
        assert "".join(told) == text.removeprefix("\ufeff")


def test_text_called_an_event_stream__is_passed_on_as_it_comes() -> None:
    frames = open_frames("text/event-stream")
    assert [frame.value for frame in frames.feed(b"It is ") + frames.feed(b"345")] == [
        "It is ",
        "345",
    ]


def test_an_unknown_field_first__is_no_text() -> None:
    assert values(b"retry-after: 3\ndata: Hi\n\n", "text/event-stream") == ["Hi"]


def test_a_data_stream__is_one_wherever_its_first_line_is_cut() -> None:
    parts = [frame.value for frame in read(b'0:"Hi"\n', "text/plain", (1, 2, 3))]
    assert parts == [{"type": "text-delta", "delta": "Hi"}]


A, B = {"a": 1}, {"b": 2}
SSE_BODY = b'data: {"a": 1}\n\ndata: {"b": 2}\n\n'
ROW = b'{"a": 1}{"b": 2}'
LINED = b'{"a": 1}\n{"b": 2}\n'


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (SSE_BODY, "application/json"),
        (SSE_BODY.replace(b"\n\ndata", b"\ndata"), "application/json"),
        (SSE_BODY, "application/x-ndjson"),
        (SSE_BODY, "text/plain"),
        (SSE_BODY.decode().encode("utf-16"), "text/event-stream; charset=utf-16"),
        (LINED, "text/event-stream"),
        (LINED, "application/json"),
        (b"\xef\xbb\xbf" + LINED, "application/x-ndjson"),
        (b"\xef\xbb\xbf" + LINED, "application/json"),
        (LINED, "text/plain"),
        (ROW, "text/event-stream"),
        (ROW, "application/json"),
        (ROW, "application/x-ndjson"),
        (ROW, "text/plain"),
        (b"data: " + ROW + b"\n\n", "text/event-stream"),
        (b'{"a":\n 1}\n{"b":\n 2}', "application/json"),
    ],
)
def test_a_wrong_type__does_not_matter_where_the_bytes_are_plain(
    data: bytes, content_type: str
) -> None:
    assert values(data, content_type) == [A, B]
    assert [f.value for f in read(data, content_type, tuple(range(len(data))))] == [A, B]


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "'latin-1'", "cp1252", "nonsense; charset=x", "hex"]
)
def test_charset__is_heeded_where_there_is_such_a_one(charset: str) -> None:
    data = 'data: "Gr\u00fc\u00dfe"\n\n'.encode("latin-1" if "1" in charset else "utf-8")

    assert values(data, f"text/event-stream; charset={charset}") == ["Grüße"]


@pytest.mark.parametrize(
    "text", ["Hello", "data is nice", "{braces} and text\nmore", "[link](x)", " spaced ", "\n", "d"]
)
def test_text__is_text_whatever_it_begins_with(text: str) -> None:
    frames = read(text.encode(), "text/plain")

    assert {frame.name for frame in frames} == {TEXT}
    assert "".join(frame.value for frame in frames) == text


@pytest.mark.parametrize("data", [b'{"a": 1', b'{"a":1}\n{"b"', b'["x'])
def test_document__that_is_not_whole_is_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        read(data, "application/json")
    with pytest.raises(FrameError):
        read(data, "application/x-ndjson")


@pytest.mark.parametrize(
    "content_type", [SSE, "application/json", "text/plain", "application/jsonl"]
)
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
def test_depth__is_bounded(content_type: str, depth: int) -> None:
    prefix = b"data: " if content_type == SSE else b""
    with pytest.raises(FrameError):
        read(prefix + b"[" * depth + b"]" * depth + b"\n\n", content_type)


def test_depth__that_a_frame_may_have_passes() -> None:
    assert read(b"data: " + b"[" * 99 + b"]" * 99 + b"\n\n")


@pytest.mark.parametrize(
    ("content_type", "piece"),
    [
        (SSE, b"data: " + b"x" * 65536),
        (SSE, b"data: " + b"x" * 65536 + b"\n"),
        ("application/json", b'"' + b"x" * 65536),
        ("application/jsonl", b'"' + b"x" * 65536),
        ("text/plain", b"{" + b"x" * 65536),
        ("text/plain", b"{" + b"\n" * 65536),
        ("", b" " * 65536),
    ],
)
def test_size__of_a_frame_is_bounded(content_type: str, piece: bytes) -> None:
    frames = open_frames(content_type)

    with pytest.raises(FrameError):
        [frames.feed(piece) for _ in range(300)]


def test_long_frame__arrives_whole() -> None:
    text = "é" * 5_000_000
    data = b"data: " + json.dumps(text, ensure_ascii=False).encode() + b"\n\n"

    assert values(data) == [text]


ANY_LINES = st.text(st.sampled_from("ab:\r\n {}[]\"'é\u2028🌍"), max_size=30)


@given(
    st.lists(ANY_LINES, max_size=8),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.sampled_from([SSE, "application/json", "application/jsonl", "text/plain", ""]),
)
def test_cuts__change_nothing(texts: list[str], cuts: list[int], content_type: str) -> None:
    data = "".join(f"data: {json.dumps(text)}\r\n\r\n{text}" for text in texts).encode()

    def outcome(cuts: tuple[int, ...]) -> object:
        try:
            frames = read(data, content_type, cuts)
        except FrameError as error:
            return str(error)
        if any(frame.name is TEXT for frame in frames):  # text comes in the pieces it came in
            return "".join(frame.value for frame in frames)
        return frames

    assert outcome(tuple(cuts)) == outcome(())


@given(st.binary(max_size=300), st.sampled_from([SSE, "application/json", "text/plain", "x/y"]))
def test_garbage__gives_frames_or_a_frame_error(data: bytes, content_type: str) -> None:
    try:
        frames = read(data, content_type)
    except FrameError:
        return
    assert all(isinstance(frame, Frame) for frame in frames)


def test_empty_lines_of_an_event__count_towards_its_size() -> None:
    frames = open_frames(SSE)
    frames.feed(b"data: " + b"x" * (MAX_FRAME_BYTES - 100) + b"\n")
    with pytest.raises(FrameError):
        frames.feed(b"data:\n" * 100)
