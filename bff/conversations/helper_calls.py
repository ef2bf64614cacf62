"""A client's calls for itself: titles, tags, follow-up questions.

They come to the address of the chat and quote it, but are no part of it: each is answered in a
session of its own that nobody lists. Open WebUI's begin with `### Task:`, LibreChat's consist of
instructions alone.
"""

from __future__ import annotations

from bff.messages import ChatMessage, Conversation

_TASK = "### Task:"


def is_helper_call(conversation: Conversation) -> bool:
    """Whether the request is the client's own and not a person's.

    Only of protocols whose clients do that: a person may well begin with the same words.
    """
    return conversation.text.lstrip().startswith(_TASK)


def only_instructions(conversation: Conversation) -> bool:
    """Whether there are system messages and nothing else."""
    return (
        bool(conversation.before)
        and not conversation.new
        and not conversation.answers
        and not conversation.said
    )


def as_message(conversation: Conversation) -> tuple[ChatMessage, ...]:
    """The instructions of such a call as the message that it is."""
    return (ChatMessage(role="user", parts=tuple(p for m in conversation.before for p in m.parts)),)
