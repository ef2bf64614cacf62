from __future__ import annotations

import pytest

from bff.messages import (
    ChatMessage,
    Conversation,
    FilePart,
    Part,
    TextPart,
    only_text,
    part_fields,
    part_of,
    user_message,
)

PARTS: list[Part] = [
    TextPart("Hi"),
    FilePart("image", "image/png", data="AA=="),
    FilePart("document", "application/pdf", url="https://x/y.pdf", filename="y.pdf"),
    FilePart("audio", file_id="file-1"),
]


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_a_part__is_the_same_after_one_round_trip(part: Part) -> None:
    assert part_of(part_fields(part)) == part


def test_a_conversation__is_one_text_whatever_its_messages() -> None:
    conversation = Conversation(
        before=(
            ChatMessage(role="system", parts=(TextPart("a"),)),
            user_message("b"),
            ChatMessage(role="system", parts=(TextPart("c"),)),
        ),
        new=(user_message(PARTS[1]), user_message("What", "is it?")),
    )

    assert conversation.text == "What\nis it?"
    assert conversation.system == "a\n\nc"
    assert [message.role for message in conversation.said] == ["user"]
    assert conversation.files == (PARTS[1],)
    assert not only_text(conversation.parts)
