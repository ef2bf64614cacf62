"""A client's calls for itself: titles, tags, follow-up questions, summaries.

They come to the address of the chat and quote it, or stand at its end, but are no part of it: each
is answered in a session of its own that nobody lists. They are known by the words that the clients
have for them, and by there being nothing but instructions.
"""

from __future__ import annotations

from bff.messages import TASK, ChatMessage, Conversation, question_in

_BEGINNINGS = (
    TASK,  # Open WebUI
    # LibreChat
    "Provide a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language of the conversation",
    "Generate a concise 3-7 word title for this conversation, omitting punctuation.",  # Zed
    "Generate a title for this conversation:\n",  # opencode
    "Given the following... please reply with a title for the chat",  # Continue
    "Based on the chat history, give this conversation a name.",  # Chatbox
    "Summarize in a 10-word Title. Give the title only.",  # Jan
    "Summarize the conversation so far, as described in the prompt instructions.",  # Roo Code
    "Suggest what the user could say next. Provide clear, highly relevant",  # CopilotKit
)
_CHOOSES_TOOLS = ("Available Tools:", "choose and return the correct tool(s)")
"""What Open WebUI's system message has where it picks tools, with the question as the message."""


def is_helper_call(conversation: Conversation) -> bool:
    """Whether the request is the client's own and not a person's.

    Only of protocols whose clients do that: a person may well begin with the same words. A question
    about documents begins as Open WebUI's own do.
    """
    for message in conversation.new:
        text = message.text.lstrip()
        if text.startswith(_BEGINNINGS):
            return question_in(text) == text
    if conversation.said or not conversation.new:
        return False
    begins, holds = _CHOOSES_TOOLS
    system = conversation.system
    return system.startswith(begins) and holds in system


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
