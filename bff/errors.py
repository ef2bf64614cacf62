"""The error tree, and the problem document every error becomes.

A class is a code of the contract with its status and its words; the words are fixed here and never
taken from an exception, so nothing private can reach a client. The document is RFC 9457
(https://www.rfc-editor.org/rfc/rfc9457) with the member `error` that OpenAI's clients read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypedDict

PROBLEM_JSON = "application/problem+json"


class FieldError(TypedDict):
    """One thing wrong with a request: where it stands and what would be right."""

    field: str
    message: str


class Problem(Exception):
    """An error that is reported to the client.

    `retry_after_seconds` becomes `Retry-After` and the member `retry_after`; `agent_called` becomes
    `X-Should-Retry: false` and `should_retry`, since who repeats the request pays the agent twice;
    `unheard` says that the call was refused before the agent could hear it; `inputs` are the open
    questions that keep a request from being taken.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    detail: ClassVar[str] = "Something went wrong on our side; the request id finds it in the logs."

    def __init__(
        self,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: float | None = None,
        agent_called: bool = False,
        unheard: bool = False,
        headers: Mapping[str, str] | None = None,
        inputs: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(self.code)
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds
        self.agent_called = agent_called
        self.unheard = unheard
        self.headers = dict(headers or {})
        self.inputs = inputs

    @classmethod
    def of(cls, field: str, message: str) -> Self:
        """The error of one field."""
        return cls(errors=[{"field": field, "message": message}])

    def document(self, *, request_id: str, instance: str) -> dict[str, Any]:
        """The problem document, ready for JSON."""
        document: dict[str, Any] = {
            "type": f"urn:agentcore-bff:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "request_id": request_id,
            "error": {
                "message": self.detail,
                "type": _openai_type(self.status),
                "code": self.code,
                "param": self.errors[0]["field"] if self.errors else None,
            },
        }
        if self.retry_after_seconds is not None:
            document["retry_after"] = math.ceil(self.retry_after_seconds)
        if self.agent_called:
            document["should_retry"] = False
        if self.inputs:
            document["inputs"] = list(self.inputs)
        if self.errors:
            document["errors"] = list(self.errors)
            wrong = "; ".join(f"{error['field']}: {error['message']}" for error in self.errors)
            document["error"]["message"] = f"{self.detail} {wrong}"
        return document


def _openai_type(status: int) -> str:
    match status:
        case 401:
            return "authentication_error"
        case 403:
            return "permission_error"
        case 429:
            return "rate_limit_error"
        case _ if status >= 500:
            return "server_error"
        case _:
            return "invalid_request_error"


class Internal(Problem):
    """Ours."""


class BadRequest(Problem):
    status, code, title = 400, "bad_request", "Bad request"
    detail = "The request could not be read."


class Unauthenticated(Problem):
    status, code, title = 401, "unauthenticated", "Not authenticated"
    detail = "Send one valid credential: Authorization: Bearer <token or key>, or X-API-Key: <key>."


class Unsigned(Unauthenticated):
    detail = "Send the form as it was given out: its signature is the credential."


class Forbidden(Problem):
    status, code, title = 403, "forbidden", "Forbidden"
    detail = "This credential may not do that."


class NotFound(Problem):
    status, code, title = 404, "not_found", "Not found"
    detail = "There is nothing here."


class NoFilesKept(NotFound):
    title = "No files here"
    detail = "This service keeps no files: FILES is not set."


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"
    detail = "This address does not take that method; the Allow header names those it takes."


class RequestTimeout(Problem):
    status, code, title = 408, "request_timeout", "Request timed out"
    detail = "The request did not arrive in time."


class SessionBusy(Problem):
    status, code, title = 409, "session_busy", "Session busy"
    detail = "A run is still open in this session; wait for its end or cancel it."

    run_id: str | None = None
    """That run's, where it is known."""
    answers_questions = True
    """Whether that run answers an agent's questions; true where it is not known."""


class RunCancelled(Problem):
    status, code, title = 409, "run_cancelled", "Run cancelled"
    detail = "The run was cancelled before it was complete."


class InputRequired(Problem):
    status, code, title = 409, "input_required", "Input required"
    detail = "The agent waits for answers; send resume with one for each of the open inputs."


class NotWaiting(Problem):
    status, code, title = 409, "not_waiting", "Not waiting"
    detail = "This session does not wait for that input, or no longer."


class TooLarge(Problem):
    status, code, title = 413, "too_large", "Body too large"
    detail = "The body is larger than this address takes."


class FileTooLarge(TooLarge):
    title = "File too large"
    detail = "A file is larger than it may be."


class TooManyFiles(TooLarge):
    title = "Too many files"
    detail = "A message has more files than the agent takes."


class NoRoomForFiles(TooLarge):
    title = "No room for files"
    detail = "The files of one caller may take only so much room; delete some first."


class UnsupportedMediaType(Problem):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"
    detail = "Send application/json in UTF-8 without Content-Encoding."


class NotAForm(UnsupportedMediaType):
    detail = "Send multipart/form-data with the file in a part named file, without any encoding."


class FileRefused(UnsupportedMediaType):
    title = "File refused"
    detail = "A file of this kind is not taken."


class RangeNotSatisfiable(Problem):
    status, code, title = 416, "bad_request", "Range not satisfiable"
    detail = "The file has no such bytes; Content-Range says how many it has."


class MisdirectedRequest(Problem):
    status, code, title = 421, "bad_request", "Misdirected request"
    detail = "This service does not answer for that host."


class Invalid(Problem):
    status, code, title = 422, "invalid", "Invalid request"
    detail = "Some fields are not as they should be."


class RateLimited(Problem):
    status, code, title = 429, "rate_limited", "Too many requests"
    detail = "The rate limit is used up; Retry-After says when to come back."


class TooManyStreams(Problem):
    status, code, title = 429, "too_many_streams", "Too many open runs"
    detail = "Too many runs are open; wait for one to end or cancel it."


class AgentThrottled(Problem):
    status, code, title = 429, "agent_throttled", "Agent throttled"
    detail = "The agent has more to do than it may; try again later."


class AgentFailed(Problem):
    status, code, title = 502, "agent_failed", "Agent failed"
    detail = "The agent failed before its answer was complete."

    def __init__(self, *, answered: bool = False, **fields: Any) -> None:
        """`answered` says that its answer was an error, and not that the connection broke."""
        super().__init__(**fields)
        self.answered = answered


class AgentSessionIdle(Problem):
    status, code, title = 502, "agent_session_idle", "Agent session over"
    detail = (
        "The agent no longer knows what it asked, most likely since its session ended meanwhile;"
        " send a new message."
    )


class AgentUnavailable(Problem):
    status, code, title = 503, "agent_unavailable", "Agent unavailable"
    detail = "The agent cannot be reached at the moment."


class Draining(Problem):
    status, code, title = 503, "draining", "Draining"
    detail = "This task is about to stop: it takes no new run, and ends those still open."


class Overloaded(Problem):
    status, code, title = 503, "overloaded", "Overloaded"
    detail = "The service has more to do than it can; try again shortly."


class Interrupted(Problem):
    status, code, title = 503, "interrupted", "Run interrupted"
    detail = "The task that ran this stopped without warning; what it had delivered is kept."


class AgentTimeout(Problem):
    status, code, title = 504, "agent_timeout", "Agent timed out"
    detail = "The agent took longer than it may."


def every_problem() -> list[type[Problem]]:
    """All of the tree, for the docs and OpenAPI."""
    return [Internal, *(cls for cls in Problem.__subclasses__() if cls is not Internal)]


def problem_of(code: str) -> type[Problem] | None:
    """The error of that code; of several with one code the first, which is the general one."""
    return next((problem for problem in every_problem() if problem.code == code), None)
