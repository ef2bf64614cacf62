"""`RunAgentInput`, the request of every AG-UI version, as what a client asks for.

https://docs.ag-ui.com/sdk/js/core/types#runagentinput. The messages are the client's memory: what
was said before is carried to agents of the protocol as it is, and judged by nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field as PydanticField
from pydantic import WithJsonSchema

from bff.api.agui.ids import is_ours
from bff.api.agui.messages import read_messages
from bff.api.agui.versions import ACTIVITIES, INTERRUPTS, REASONING, UNKNOWN, Version
from bff.api.foreign_messages import MAX_FOREIGN_ID_CHARACTERS, MAX_MESSAGES, Tolerant
from bff.api.start_run import LAST_WORD
from bff.conversations.questions import decided
from bff.errors import Invalid
from bff.events import JSON
from bff.messages import Answer, ClientTool, Conversation

MAX_TOOLS = 1000

Id = Annotated[str, PydanticField(min_length=1, max_length=MAX_FOREIGN_ID_CHARACTERS)]
Items = Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "object"}})]


class RunAgentInput(Tolerant):
    """What AG-UI clients send. Fields that are not named here go to agents of the protocol."""

    threadId: Annotated[Id, PydanticField(description="The session.")]
    runId: Annotated[Id, PydanticField(description="The client's own name for the run: echoed.")]
    protocolVersion: str | None = None
    parentRunId: str | None = None
    messages: Annotated[
        Items,
        PydanticField(max_length=MAX_MESSAGES, description="All that was said, or what is new."),
    ] = PydanticField(default_factory=list)
    tools: Items | None = None
    context: Items | None = None
    state: Any = None
    forwardedProps: Any = None
    resume: Annotated[
        list[Any] | dict[str, Any] | None, PydanticField(description="Answers to interrupts.")
    ] = None

    @property
    def unnamed(self) -> dict[str, JSON]:
        return self.model_extra or {}

    @property
    def shows(self) -> Version:
        """The version of the newest of what is sent."""
        if self.resume is not None:
            return INTERRUPTS
        roles = {
            item.get("role")
            for item in self.messages
            if isinstance(item, dict) and isinstance(item.get("role"), str)
        }
        if "reasoning" in roles:
            return REASONING
        return ACTIVITIES if "activity" in roles else UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client asks for. `calls` are the ids it knows the agent's open calls by.

    Its answers may name their questions or be results of tools; `results` are those of tools that
    stand beside answers of the first kind.
    """

    conversation: Conversation
    names_questions: bool
    results: Sequence[Answer] = ()
    calls: Mapping[str, str]
    rewrites: bool = False

    @property
    def given(self) -> frozenset[str]:
        """The calls that results came of, by the agent's own ids."""
        results = self.results if self.names_questions else self.conversation.answers
        return frozenset(result.input_id for result in results)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked: a page that has just opened shows its thread so."""
        conversation = self.conversation
        return not (conversation.new or conversation.before or conversation.answers)

    @property
    def gives_up(self) -> bool:
        """Whether the questions are abandoned, which is never too late."""
        answers = self.conversation.answers
        return bool(answers) and all(answer.status == "cancelled" for answer in answers)


def wanted(asked: RunAgentInput) -> Wanted:
    """The request in our own shapes. Raises `Invalid` for what is wrong with what is new in it."""
    said = read_messages(asked.messages)
    forwarded, legacy = _forwarded(asked.forwardedProps)
    answers = tuple(_resumed(asked.resume)) or legacy
    if asked.messages and not (said.new or said.results or answers):
        raise Invalid.of("messages", LAST_WORD)
    options, metadata = _options(forwarded)
    before, new = said.before, said.new
    if answers:  # what a snapshot ends with, where an agent asked without a word, is asked already
        shown = max((i for i, message in enumerate(new, start=1) if is_ours(message.id)), default=0)
        before, new = (*before, *new[:shown]), new[shown:]
    conversation = Conversation(
        new=new,
        before=before,
        answers=answers or said.results,
        tools=tuple(_tools(asked.tools)),
        context=tuple(asked.context or ()),
        state=asked.state,
        options=options,
        metadata=metadata,
        forwarded=forwarded,
        as_sent=_as_sent(asked),
    )
    return Wanted(
        conversation=conversation,
        names_questions=bool(answers),
        results=said.results if answers else (),
        calls=said.calls,
        rewrites=bool(new) and is_ours(new[-1].id),
    )


def _as_sent(asked: RunAgentInput) -> dict[str, JSON]:
    """What agents of the protocol get as it is, since ours has less of it or no place for it."""
    sent = dict(asked.unnamed)
    if asked.parentRunId is not None:
        sent["parentRunId"] = asked.parentRunId
    if asked.tools:
        sent["tools"] = asked.tools
    return sent


def _tools(items: Sequence[JSON] | None) -> Iterator[ClientTool]:
    if len(items or ()) > MAX_TOOLS:
        raise Invalid.of("tools", f"may hold at most {MAX_TOOLS:,}")
    for index, tool in enumerate(items or ()):
        match tool:
            case {"name": str(name), **rest} if name:
                description = rest.get("description")
                yield ClientTool(
                    name,
                    description if isinstance(description, str) else None,
                    rest.get("parameters"),
                )
            case _:
                raise Invalid.of(f"tools.{index}.name", "required")


def _resumed(entries: list[Any] | dict[str, Any] | None) -> Iterator[Answer]:
    """Answers to interrupts; a draft of the protocol had one of them, without a list."""
    for index, entry in enumerate([entries] if isinstance(entries, dict) else entries or ()):
        field = f"resume.{index}"
        match entry:
            case {"interruptId": str(id), **rest} if id:
                pass
            case _:
                raise Invalid.of(f"{field}.interruptId", "required")
        status = rest.get("status", "resolved")
        if status not in ("resolved", "cancelled"):
            raise Invalid.of(f"{field}.status", "must be resolved or cancelled")
        metadata = rest.get("metadata")
        yield decided(
            Answer(
                id,
                status,
                payload=rest.get("payload"),
                metadata=metadata if isinstance(metadata, dict) else None,
            )
        )


def _forwarded(props: JSON) -> tuple[JSON, tuple[Answer, ...]]:
    """`forwardedProps`, and the answer that clients from before 1.0 put there."""
    match props:
        case {"command": {"resume": told, **command}, **rest}:
            pass
        case _:
            return props, ()
    if command:
        rest["command"] = command
    if told is None:
        return rest, ()
    if isinstance(told, str):
        told = _read(told)
    return rest, (decided(Answer("", payload=told)),)


def _read(text: str) -> JSON:
    """What `ag_ui_langgraph` makes of such an answer, for which those clients are made."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _options(forwarded: JSON) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """What is forwarded, for agents of other protocols: options, and metadata where it says so."""
    if not isinstance(forwarded, dict):
        return {}, {}
    options = {name: value for name, value in forwarded.items() if name != "metadata"}
    if isinstance(command := options.get("command"), dict) and command.keys() <= _ECHOED:
        del options["command"]
    metadata = forwarded.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return {**options, "metadata": metadata}, {}
    return options, metadata or {}


_ECHOED = {"interruptEvent"}
"""What was asked, said back beside its answer."""
