"""What most blocking agents return is read at once, and as it would be piece by piece."""

import json
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from bff.agents.dialects import decoder
from bff.agents.dialects.returned import sole_text
from bff.agents.lines import Frame
from bff.events import Done, Message
from tests.agents.decoding import decode

texts = st.text(max_size=12) | st.sampled_from(
    [
        "The sum is 345.",
        " ",
        "\n",
        "a\n",
        "{}",
        '{"a": 1}',
        "data: x",
        "\ud83d",
        "\ud83d\ude00",
        "<",
    ]
)
blocks: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"text": texts}, optional={"cachePoint": st.just({})}
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["assistant", "user"]),
        "content": st.lists(blocks, min_size=1, max_size=2),
    },
    optional={"id": st.just("m1")},
)
answers = st.fixed_dictionaries({"result": messages}, optional={"session_id": st.just("s")})


@given(
    answer=answers,
    content_type=st.sampled_from(["application/json", "text/event-stream", "", "text/plain"]),
    framing=st.sampled_from(["{}", "data: {}", "data: {}\n\n", "event: note\ndata: {}", "{}\n"]),
)
def test_a_returned_message__is_told_as_it_would_be_piece_by_piece(
    answer: dict[str, Any], content_type: str, framing: str
) -> None:
    data = framing.replace("{}", json.dumps(answer)).encode()

    at_once = decode(data, content_type)

    with patch.object(decoder, "sole_text", lambda frame: None):
        assert decode(data, content_type) == at_once


def test_a_returned_message__is_its_text() -> None:
    answer = {"result": {"role": "assistant", "content": [{"text": "345"}]}}

    assert sole_text(Frame(None, answer)) == "345"
    assert decode(json.dumps(answer).encode(), "application/json") == (
        [Message("345"), Done("complete")],
        None,
    )
