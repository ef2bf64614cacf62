"""Objects that tell how a run goes: their message is no part of the answer."""

from __future__ import annotations

from bff.agents.dialects.fields import words
from bff.agents.dialects.untyped import text_key
from bff.events import JSON


def is_progress(frame: dict[str, JSON]) -> bool:
    """Whether an object's message is about what the agent is doing, as its status tells."""
    status = frame.get("status")
    if not isinstance(status, str) or not isinstance(frame.get("message"), str):
        return False
    status = status.lower()
    working = status in _AT_WORK or (status.endswith("ing") and status not in _SPEAKING)
    return working and text_key(frame) == "message"


_AT_WORK = words("info in_progress progress started queued connected initialized")
_SPEAKING = words("streaming responding answering generating speaking writing")


def is_log(frame: dict[str, JSON]) -> bool:
    """Whether an object is a log record, whose message is no answer."""
    if _LEVELS_IN.isdisjoint(frame.keys()):
        return False
    level = next(value for key, value in frame.items() if key in _LEVELS_IN)
    return (
        isinstance(level, str)
        and level.lower() in _LEVELS
        and not _RECORD.isdisjoint(frame.keys())
        and "content" not in frame
    )


_LEVELS_IN = frozenset({"level", "severity", "levelname", "log_level", "logLevel"})
_LEVELS = frozenset({"debug", "info", "notice", "warn", "warning", "error", "critical", "trace"})
_RECORD = frozenset({"message", "msg", "text"})
