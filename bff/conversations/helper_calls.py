"""A client's calls for itself: titles, tags, follow-up questions, summaries.

They come to the address of the chat and quote it, or stand at its end, but are no part of it: each
is answered in a session of its own that nobody lists. They are known by the words that the clients
have for them, and by there being nothing but instructions.
"""

from __future__ import annotations

from dataclasses import replace

from bff.messages import TASK, ChatMessage, Conversation, question_in

_BEGINNINGS = (
    TASK,  # Open WebUI
    # LibreChat
    "Provide a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language of the conversation",
    "Hold on, before you continue I need you to write me a checkpoint of everything so far.",
    "Hold on again, update your checkpoint. Merge the new messages into your existing checkpoint",
    "Generate a concise 3-7 word title for this conversation, omitting punctuation.",  # Zed
    "Generate a title for this conversation:\n",  # opencode
    "Given the following... please reply with a title for the chat",  # Continue
    "Based on the chat history, give this conversation a name.",  # Chatbox
    "Summarize in a 10-word Title. Give the title only.",  # Jan
    "Please generate a four to five word title summarizing our conversation",  # NextChat
    # NextChat, aichat
    "Summarize the discussion briefly in 200 words or less to use as a prompt for future",
    "Summarize the conversation so far, as described in the prompt instructions.",  # Roo Code
    "Suggest what the user could say next. Provide clear, highly relevant",  # CopilotKit
)
_INSTRUCTIONS = (
    "You are a professional conversation summarizer. Generate a concise title",  # LobeChat
    # Cherry Studio
    "You are an assistant skilled in conversation. You need to summarize the user's conversation "
    "into a title",
)
"""Beginnings of system messages, with what is to be given a title as the message."""

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
    return system.startswith(_INSTRUCTIONS) or (system.startswith(begins) and holds in system)


def with_request(conversation: Conversation) -> Conversation:
    """The conversation with such a call that stands behind it as an instruction, as its message.

    NextChat asks so for its summary of a long chat, which would end in the assistant's word.
    """
    if conversation.new or conversation.answers or not conversation.said:
        return conversation
    *before, last = conversation.before
    if last.role != "system" or not last.text.lstrip().startswith(_BEGINNINGS):
        return conversation
    return replace(conversation, before=tuple(before), new=(replace(last, role="user"),))


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
