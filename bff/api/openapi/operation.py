"""How one operation is described, and the problems that many of them have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from bff import errors

Problems = tuple[type[errors.Problem], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer: JSON of a shape, a stream of one, text, or nothing."""

    description: str
    json: type[BaseModel] | None = None
    stream: tuple[str, ...] = ()
    """The components that its events hold, and `[DONE]` where a stream ends in that."""
    text: str | None = None
    binary: bool = False
    """Whether it is a file, of any type."""
    run: bool = False
    """Whether it carries `X-Run-Id` and `X-Session-Id`."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    tag: str
    replies: Mapping[int, Reply]
    body: type[BaseModel] | None = None
    may_be_empty: bool = False
    """Whether it does without a body, too."""
    form: bool = False
    """Whether the body is a form with a file, and no JSON."""
    examples: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    parameters: Sequence[str] = ()
    problems: Problems = ()
    open: bool = False
    """Whether it takes no credentials."""


ALWAYS: Problems = (
    errors.BadRequest,
    errors.RequestTimeout,
    errors.UnsupportedMediaType,
    errors.MisdirectedRequest,
    errors.Internal,
)
AUTHENTICATED: Problems = (
    errors.Unauthenticated,
    errors.Forbidden,
    errors.Invalid,
    errors.RateLimited,
)
WITH_BODY: Problems = (errors.TooLarge, errors.Invalid)
STARTS_RUN: Problems = (
    errors.NotFound,  # of a file or a response by its id, or of a run that its key began
    errors.SessionBusy,
    errors.InputRequired,
    errors.NotWaiting,
    errors.TooManyStreams,
    errors.Draining,
    errors.Overloaded,
)
ENDS_RUN: Problems = (
    errors.RunCancelled,
    errors.AgentThrottled,
    errors.AgentFailed,
    errors.AgentSessionIdle,
    errors.AgentUnavailable,
    errors.Interrupted,
    errors.AgentTimeout,
)
HISTORY: Problems = (errors.Overloaded,)
FILES: Problems = (errors.NoFilesKept, errors.Overloaded)
SENDS_FILE: Problems = (
    errors.NotAForm,
    errors.FileRefused,
    errors.FileTooLarge,
    errors.NoRoomForFiles,
    errors.Overloaded,
)
