"""The shapes that agents of known kinds read, as functions of one call's prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bff.agents import Prompt
from bff.agents.answers import is_made_up, payload_of
from bff.agents.converse_blocks import converse_blocks
from bff.agents.message_shapes import (
    agui_messages,
    langchain_messages,
    openai_messages,
)
from bff.agents.payload.values import (
    answered,
    as_text,
    called_tools,
    decisions,
    earlier_as_text,
    instructions,
    resume_list,
    tool_fields,
    tool_messages,
    with_earlier,
)
from bff.events import JSON, Input
from bff.messages import Answer, ClientTool, TextPart, only_text, user_message


def strands(prompt: Prompt) -> dict[str, JSON]:
    """`prompt` as Strands' `agent(prompt)` takes it: text, content blocks, or answers."""
    if prompt.questions:
        answers = [_strands_answer(question, answer) for question, answer in answered(prompt)]
        return {"prompt": answers}
    conversation = prompt.conversation
    system = conversation.system if prompt.first else ""
    if only_text(conversation.parts):
        return {"prompt": with_earlier(conversation.text, prompt.history, system)}
    before = earlier_as_text(prompt.history, system)
    parts = (TextPart(before), *conversation.parts) if before else conversation.parts
    later_in = None if prompt.first else prompt.run_id
    return {"prompt": converse_blocks(parts, later_in=later_in)}


def _strands_answer(question: Input, answer: Answer) -> JSON:
    told = payload_of(question, answer)
    if question.kind != "tool":
        return {"interruptResponse": {"interruptId": question.id, "response": told}}
    return {
        "toolResult": {
            "toolUseId": question.tool.id if question.tool else question.id,
            "status": "error" if answer.status == "cancelled" else "success",
            "content": [{"text": told} if isinstance(told, str) else {"json": told}],
        }
    }


def langgraph(prompt: Prompt) -> dict[str, JSON]:
    """A graph's input, or the command that resumes it."""
    config = {"configurable": {"thread_id": prompt.session_id, "actor_id": prompt.actor_id}}
    filled: dict[str, JSON]
    if told := {
        question.id: payload_of(question, answer) for question, answer in decisions(prompt)
    }:
        filled = {"command": {"resume": told}, "config": config}
    else:
        new = (*tool_messages(prompt), *prompt.conversation.new)
        messages = langchain_messages([*instructions(prompt), *prompt.history, *new])
        filled = {"input": {"messages": messages}, "config": config}
    if prompt.conversation.context:
        filled["context"] = list(prompt.conversation.context)
    return filled


def agui(prompt: Prompt) -> dict[str, JSON]:
    """RunAgentInput of AG-UI 1.0.

    A client that speaks AG-UI has given its messages ids, and agents merge by id: they get them
    all. Of other clients' messages they get what they have not been told yet.
    """
    conversation = prompt.conversation
    whole = (*conversation.before, *conversation.new)
    if any(message.as_sent is not None for message in whole):
        messages = whole
    else:
        new = (*tool_messages(prompt), *conversation.new)
        messages = (*instructions(prompt), *prompt.history, *new)
    forwarded: dict[str, JSON] = dict(conversation.options)
    if conversation.metadata:
        forwarded["metadata"] = dict(conversation.metadata)
    if isinstance(conversation.forwarded, dict):
        forwarded |= conversation.forwarded
    filled: dict[str, JSON] = {
        "protocolVersion": "1.0",
        "threadId": prompt.session_id,
        "runId": prompt.run_id,
        "state": {} if conversation.state is None else conversation.state,
        "messages": agui_messages(messages, run_id=prompt.run_id),
        "tools": [
            {"description": "", "parameters": {}, **tool_fields(tool)}
            for tool in conversation.tools
        ],
        "context": list(conversation.context),
        "forwardedProps": forwarded,
        **conversation.as_sent,
    }
    if told := decisions(prompt):
        _resume_agui(filled, told)
    elif conversation.forwarded is not None and not isinstance(conversation.forwarded, dict):
        filled["forwardedProps"] = conversation.forwarded
    return filled


def _resume_agui(filled: dict[str, JSON], told: list[tuple[Input, Answer]]) -> None:
    """Add the answers: as `resume`, and where adapters before 1.0 look for them.

    An id that is ours would mean nothing to the agent, so then it is told only the older way.
    """
    payloads = {question.id: payload_of(question, answer) for question, answer in told}
    older = next(iter(payloads.values())) if len(payloads) == 1 else payloads
    command = filled["forwardedProps"].get("command")
    known = command if isinstance(command, dict) else {}
    filled["forwardedProps"]["command"] = {**known, "resume": older}
    if not any(is_made_up(question) for question, _ in told):
        filled["resume"] = resume_list(told)


def openai(prompt: Prompt) -> dict[str, JSON]:
    """A chat completions request; an answer that is not a tool's result is the user's word."""
    conversation = prompt.conversation
    said = [user_message(as_text(payload_of(q, a))) for q, a in decisions(prompt)]
    messages = [
        *instructions(prompt),
        *prompt.history,
        *called_tools(prompt),
        *tool_messages(prompt),
        *said,
        *conversation.new,
    ]
    filled: dict[str, JSON] = {
        **conversation.options,
        "model": prompt.agent,
        "messages": openai_messages(messages),
        "stream": True,
        "user": prompt.actor_id,
    }
    if conversation.metadata:
        filled["metadata"] = dict(conversation.metadata)
    if conversation.tools:
        filled["tools"] = [
            {"type": "function", "function": _function(tool)} for tool in conversation.tools
        ]
    return filled


def _function(tool: ClientTool) -> dict[str, JSON]:
    return {**tool_fields(tool), **({"strict": True} if tool.strict else {})}


SHAPES: Mapping[str, Callable[[Prompt], dict[str, JSON]]] = {
    "strands": strands,
    "langgraph": langgraph,
    "agui": agui,
    "openai": openai,
}
