"""A2A's tasks, messages and updates (https://a2a-protocol.org), within JSON-RPC or without it.

An artifact comes in pieces that are appended; what a status says is the agent's word, too.
"""

from __future__ import annotations

from bff.agents.dialects import questions
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items, word
from bff.events import JSON

_KINDS = frozenset({"task", "message", "status-update", "artifact-update"})
_FAILED = frozenset({"failed", "rejected"})


def read(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One task, message or update, which says by `kind` which it is; since 1.0 its fields do."""
    kind = word(frame.get("kind"))
    if kind not in _KINDS:
        kind = _kind_of(frame)
    if kind is None:
        return False
    answer.dialects.add("a2a")
    match kind, frame:
        case "message", _:
            _read_parts(answer, frame, "message", whole=True)
        case "artifact-update", {"artifact": dict(artifact)}:
            _read_parts(answer, artifact, "artifact", whole=not frame.get("append", True))
        case "status-update", {"status": dict(status)}:
            _read_status(answer, status)
        case "task", _:
            for artifact in items(frame.get("artifacts")):
                if isinstance(artifact, dict):
                    _read_parts(answer, artifact, "task", whole=True)
            if isinstance(frame.get("status"), dict):
                _read_status(answer, frame["status"])
    return True


def read_wrapped(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """The one thing that a response of a stream holds since 1.0."""
    inner = next((frame[key] for key in _WRAPPERS if key in frame), None)
    return isinstance(inner, dict) and read(answer, inner)


def _kind_of(frame: dict[str, JSON]) -> str | None:
    match frame:
        case {"artifact": {"parts": list()}}:
            return "artifact-update"
        case {"status": {"state": str()}}:
            return "status-update" if "taskId" in frame or "task_id" in frame else "task"
        case {"parts": list(), "role": "ROLE_AGENT" | "agent"}:
            return "message"
    return None


def _read_status(answer: Assembly, status: dict[str, JSON]) -> None:
    state, message = word(status.get("state")) or "", status.get("message")
    state = state.lower().removeprefix("task_state_").replace("_", "-")
    said = _text_of(message) if isinstance(message, dict) else ""
    if state in _FAILED:
        raise InBandError(f"a task that is {state}")
    if state in ("input-required", "auth-required"):
        questions.ask(answer, None, status, kind="input", message=said or None)
    elif isinstance(message, dict) and message.get("role") not in ("user", "ROLE_USER"):
        _read_parts(answer, message, "status", whole=True)


def _read_parts(answer: Assembly, holder: dict[str, JSON], source: str, *, whole: bool) -> None:
    text = _text_of(holder)
    if text and whole and source != "artifact":
        answer.text.whole(text, source)
    elif text:
        answer.text.delta(text, source)
    for part in items(holder.get("parts")):
        match part:
            case {"kind": "file", "file": dict(file)}:
                data = {"data": file["bytes"]} if "bytes" in file else {}
                read_block(answer, {**file, **data, "url": file.get("uri"), "type": "file"})
            case {"raw": str()} | {"url": str()}:
                read_block(answer, {**part, "data": part.get("raw"), "type": "file"})
            case {"data": data}:
                answer.custom(data)


def _text_of(holder: dict[str, JSON]) -> str:
    return "".join(
        part["text"]
        for part in items(holder.get("parts"))
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


_WRAPPERS = ("statusUpdate", "artifactUpdate", "status_update", "artifact_update")
BY_KEY = {
    **dict.fromkeys(("kind", "contextId", "context_id"), read),
    **dict.fromkeys(_WRAPPERS, read_wrapped),
}
