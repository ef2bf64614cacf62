"""The value of every placeholder, and what else several payloads say of one call's prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bff.agents import Prompt
from bff.agents.answers import is_agui, payload_of
from bff.agents.message_shapes import openai_messages, said_as_text
from bff.events import JSON, Input, dumps
from bff.messages import Answer, ChatMessage, ClientTool, TextPart, ToolCall, part_fields

Names = frozenset[str]
"""The placeholders that stand in the same template: what one of them says, another need not."""


def as_text(value: JSON) -> str:
    """A value within a longer string."""
    return value if isinstance(value, str) else "" if value is None else dumps(value)


def with_earlier(text: str, earlier: Sequence[ChatMessage], system: str) -> str:
    """A message's text with instructions and transcript before it, marked as what they are."""
    if not earlier and not system:
        return text
    before = earlier_as_text(earlier, system)
    return f"{before}\n\n{text}" if before and text else text


def earlier_as_text(earlier: Sequence[ChatMessage], system: str) -> str:
    """Instructions and transcript as text; empty where there are none."""
    pieces = []
    if system:
        pieces.append(f"[Instructions]\n{system}\n[End of instructions]")
    if said := said_as_text(earlier):
        pieces.append(f"[Said before in this conversation]\n{said}\n[End of what was said before]")
    return "\n\n".join(pieces)


def instructions(prompt: Prompt) -> tuple[ChatMessage, ...]:
    """The client's system messages as one.

    It has the same id in every turn, so that a graph that merges messages by id keeps one.
    """
    system = prompt.conversation.system
    return (ChatMessage(role="system", id="system", parts=(TextPart(system),)),) if system else ()


def answered(prompt: Prompt) -> list[tuple[Input, Answer]]:
    """Each question with its answer."""
    questions = {question.id: question for question in prompt.questions}
    return [
        (questions[answer.input_id], answer)
        for answer in prompt.conversation.answers
        if answer.input_id in questions
    ]


def decisions(prompt: Prompt) -> list[tuple[Input, Answer]]:
    """The answers to approvals and inputs."""
    return [pair for pair in answered(prompt) if pair[0].kind != "tool"]


def called_tools(prompt: Prompt) -> tuple[ChatMessage, ...]:
    """The assistant's message that called the client's tools whose results come now."""
    calls = tuple(
        ToolCall(question.tool.id, question.tool.name, question.tool.args)
        for question, _ in answered(prompt)
        if question.kind == "tool" and question.tool
    )
    return (ChatMessage(role="assistant", tool_calls=calls),) if calls else ()


def tool_messages(prompt: Prompt) -> tuple[ChatMessage, ...]:
    """The results of the client's tools."""
    return tuple(
        ChatMessage(
            role="tool",
            tool_call_id=question.tool.id if question.tool else question.id,
            parts=(TextPart(as_text(payload_of(question, answer))),),
        )
        for question, answer in answered(prompt)
        if question.kind == "tool"
    )


def resume_list(told: Sequence[tuple[Input, Answer]]) -> list[JSON]:
    """Answers as AG-UI 1.0 has them."""
    return [_resume_entry(question, answer) for question, answer in told]


def _resume_entry(question: Input, answer: Answer) -> dict[str, JSON]:
    entry: dict[str, JSON] = {"interruptId": question.id, "status": answer.status}
    if answer.payload is not None or not is_agui(question):
        # who abandons a question of the protocol's own says nothing more
        entry["payload"] = payload_of(question, answer)
    return {**entry, "metadata": answer.metadata} if answer.metadata is not None else entry


def tool_fields(tool: ClientTool) -> dict[str, JSON]:
    """A client's tool as the contract has it."""
    fields = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {name: value for name, value in fields.items() if value is not None}


def _elsewhere(prompt: Prompt, names: Names) -> tuple[Sequence[ChatMessage], str]:
    """Transcript and instructions as far as the template has no other place for them."""
    earlier = () if names & {"$history", "$messages"} else prompt.history
    system = "" if names & {"$system", "$messages"} else prompt.conversation.system
    return earlier, system if prompt.first else ""


def _message(prompt: Prompt, names: Names) -> JSON:
    return with_earlier(prompt.conversation.text, *_elsewhere(prompt, names))


def _content(prompt: Prompt, names: Names) -> JSON:
    parts = prompt.conversation.parts
    if parts and (before := earlier_as_text(*_elsewhere(prompt, names))):
        parts = (TextPart(before), *parts)
    return [part_fields(part) for part in parts]


def _messages(prompt: Prompt, _: Names) -> JSON:
    new = (*tool_messages(prompt), *prompt.conversation.new)
    return openai_messages([*instructions(prompt), *prompt.history, *new])


VALUES: Mapping[str, Callable[[Prompt, Names], JSON]] = {
    "$message": _message,
    "$content": _content,
    "$messages": _messages,
    "$history": lambda prompt, _: openai_messages(prompt.history),
    "$system": lambda prompt, _: prompt.conversation.system,
    "$session_id": lambda prompt, _: prompt.session_id,
    "$actor_id": lambda prompt, _: prompt.actor_id,
    "$run_id": lambda prompt, _: prompt.run_id,
    "$metadata": lambda prompt, _: dict(prompt.conversation.metadata),
    "$tools": lambda prompt, _: [tool_fields(tool) for tool in prompt.conversation.tools],
    "$context": lambda prompt, _: list(prompt.conversation.context),
    "$state": lambda prompt, _: prompt.conversation.state,
    "$options": lambda prompt, _: dict(prompt.conversation.options),
    "$files": lambda prompt, _: [part_fields(part) for part in prompt.conversation.files],
    "$resume_list": lambda prompt, _: resume_list(answered(prompt)),
    "$resume": lambda prompt, _: {q.id: payload_of(q, a) for q, a in answered(prompt)},
    "$tool_results": lambda prompt, _: [
        {"tool_call_id": message.tool_call_id, "content": message.text}
        for message in tool_messages(prompt)
    ],
}
"""Each placeholder's value. A longer name stands before one that begins it."""
