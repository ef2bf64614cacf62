"""What a client asks for, as every protocol says it, and what of it is kept with the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol, Self

from bff.conversations.beginning import Beginning
from bff.conversations.transcript import Spoken
from bff.events import JSON, Input, dumps, input_fields, input_of
from bff.frozen import dataclass, replace
from bff.messages import ChatMessage, Conversation
from bff.settings import DEFAULT_AGENT

OnDisconnect = Literal["continue", "cancel"]


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key and the fingerprint of the body it came with."""

    key: str
    fingerprint: str


class Memory(Protocol):
    """What a request takes of the memory for requests, while somebody has it."""

    def hold(self) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Call:
    """What only the one call of the agent needs; nothing of it outlives the call.

    `history` is what of the earlier messages the agent is given now, `first` says that the agent's
    session begins. `continued` is what was said already in the turn that answers go on with, as
    far as the client's transcript tells.
    """

    conversation: Conversation = field(repr=False)
    deadline_seconds: float
    history: tuple[ChatMessage, ...] = field(default=(), repr=False)
    first: bool = False
    trace: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_id: str | None = None
    bearer: str | None = field(default=None, repr=False)
    memory: Memory | None = field(default=None, repr=False, compare=False)
    continued: Spoken | None = field(default=None, repr=False)
    beginning: Beginning | None = field(default=None, repr=False, compare=False)

    def let_go(self) -> None:
        """The agent has been told, or never will be: drop what it was to be told. That may be
        megabytes, and the agent may answer for an hour."""
        self.conversation, self.history, self.beginning = _NOTHING, (), None
        self.trace = self.headers = _NOTHING.options
        if self.memory:
            self.memory.close()
            self.memory = None


_NOTHING = Conversation()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a client asks for: a message, or answers to the agent's questions, into one session.

    `owner` is the principal's digest and what the agent knows the caller by; `agent_session_id` is
    what it knows the session by. `message` is what was said as text, `parts` all of it where there
    is more than text. `point` is where the transcript stands before it
    (`bff/conversations/transcript.py`), `marks` find the turn by its client's own ids. `questions`
    are those that are answered and `declined` the ids of those that are refused; `continues` is the
    run that asked, where the answer was no message of its own; `told` is the digest of the answers.
    A session that is not `listed` is in no history. `echo` is what a protocol says back of its
    request; a run that is `referable` is found by its id for as long as the history has it. `call`
    is there until the run has ended, and only on the instance that makes it.
    """

    owner: str
    session_id: str
    agent_session_id: str
    agent: str = DEFAULT_AGENT
    message: str = field(repr=False)
    parts: Sequence[JSON] = field(default=(), repr=False)
    point: str | None = None
    marks: tuple[str, ...] = ()
    request_id: str
    on_disconnect: OnDisconnect = "continue"
    questions: tuple[Input, ...] = field(default=(), repr=False)
    declined: tuple[str, ...] = ()
    continues: str | None = None
    listed: bool = True
    told: str | None = None
    echo: Mapping[str, JSON] | None = field(default=None, repr=False)
    referable: bool = False
    idempotency: Idempotency | None = None
    call: Call | None = None

    def ended(self) -> Self:
        """The request without what is of no more use once its run has ended."""
        return replace(self, message="", parts=(), call=None)


def kept_fields(request: RunRequest) -> dict[str, JSON]:
    """What is kept of a run's request as long as the run."""
    return {
        "owner": request.owner,
        "session_id": request.session_id,
        "agent_session_id": request.agent_session_id,
        "agent": request.agent,
        "point": request.point,
        "marks": list(request.marks),
        "request_id": request.request_id,
        "on_disconnect": request.on_disconnect,
        "questions": [input_fields(question) for question in request.questions],
        "declined": list(request.declined),
        "continues": request.continues,
        "listed": request.listed,
        "told": request.told,
        "idempotency": _key_fields(request.idempotency),
        "echo": request.echo,
        "referable": request.referable,
    }


def said_fields(request: RunRequest) -> str:
    """As JSON, what is kept of a request until its run has ended."""
    return dumps({"message": request.message, "parts": list(request.parts)})


def request_of(fields: Mapping[str, JSON], said: str) -> RunRequest:
    """The request of which `kept_fields` and `said_fields` (or "" since) were kept.

    Fields of a later version are passed over, and those that an earlier one lacks have defaults.
    """
    words: dict[str, Any] = json.loads(said) if said else {"message": ""}
    return RunRequest(
        owner=fields["owner"],
        session_id=fields["session_id"],
        agent_session_id=fields["agent_session_id"],
        agent=fields.get("agent", DEFAULT_AGENT),
        message=words["message"],
        parts=words.get("parts", ()),
        point=fields.get("point"),
        marks=tuple(fields.get("marks", ())),
        request_id=fields["request_id"],
        on_disconnect=fields["on_disconnect"],
        questions=tuple(input_of(question) for question in fields.get("questions", ())),
        declined=tuple(fields.get("declined", ())),
        continues=fields.get("continues"),
        listed=fields.get("listed", True),
        told=fields.get("told"),
        idempotency=Idempotency(*key) if (key := fields.get("idempotency")) else None,
        echo=fields.get("echo"),
        referable=fields.get("referable", False),
    )


def _key_fields(idempotency: Idempotency | None) -> JSON:
    return [idempotency.key, idempotency.fingerprint] if idempotency else None
