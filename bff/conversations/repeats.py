"""Messages that a client sends again, told by the ids that it gives them.

A turn that was stopped, failed or ended in a question has no answer behind it: the client sends its
message again, before the next one or beside the answer to what was asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from bff.conversations.transcript import mark
from bff.messages import ChatMessage, Conversation

Find = Callable[[Sequence[str]], Awaitable[object | None]]
"""What a history has of the first of some points that it knows."""


async def without_repeats(
    find: Find, name: str, conversation: Conversation
) -> tuple[Conversation, bool]:
    """The conversation without what it says again, and whether it begins anew with such a message.

    The last message is asked again on purpose, unless answers come with it.
    """
    marks = [mark(name, message) for message in conversation.new]
    for count in range(len(marks) if conversation.answers else len(marks) - 1, 0, -1):
        if (known := marks[count - 1]) and await find([known]):
            before = (*conversation.before, *conversation.new[:count])
            conversation = replace(conversation, before=before, new=conversation.new[count:])
            break
    if not conversation.new or conversation.said or conversation.answers:
        return conversation, False
    last = marks[-1]
    return conversation, last is not None and await find([last]) is not None


def marks_of(name: str, messages: Sequence[ChatMessage]) -> tuple[str, ...]:
    """What a turn is found by whose messages have ids of their client's own."""
    found = [mark(name, message) for message in messages]
    return tuple(point for point in found if point is not None)
