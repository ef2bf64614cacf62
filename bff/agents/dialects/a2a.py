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
    """One task, message or update."""
    if word(frame.get("kind")) not in _KINDS:
        return False
    answer.dialects.add("a2a")
    match frame:
        case {"kind": "message"}:
            _read_parts(answer, frame, "message", whole=True)
        case {"kind": "artifact-update", "artifact": dict(artifact)}:
            _read_parts(answer, artifact, "artifact", whole=not frame.get("append", True))
        case {"kind": "status-update", "status": dict(status)}:
            _read_status(answer, status)
        case {"kind": "task"}:
            for artifact in items(frame.get("artifacts")):
                if isinstance(artifact, dict):
                    _read_parts(answer, artifact, "task", whole=True)
            if isinstance(frame.get("status"), dict):
                _read_status(answer, frame["status"])
    return True


def _read_status(answer: Assembly, status: dict[str, JSON]) -> None:
    state, message = word(status.get("state")), status.get("message")
    said = _text_of(message) if isinstance(message, dict) else ""
    if state in _FAILED:
        raise InBandError(f"a task that is {state}")
    if state in ("input-required", "auth-required"):
        questions.ask(answer, None, status, kind="input", message=said or None)
    elif isinstance(message, dict) and message.get("role") != "user":
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
            case {"kind": "data", "data": data}:
                answer.custom(data)


def _text_of(holder: dict[str, JSON]) -> str:
    return "".join(
        part["text"]
        for part in items(holder.get("parts"))
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


BY_KEY = {"kind": read}
