"""Whether an object says that the run failed: agents without a framework say so in many ways.

An object may as well report on a part of the run, a step or a tool, which fails without the run.
"""

from __future__ import annotations

import re

from bff.agents.dialects.fields import words
from bff.agents.dialects.untyped import is_label, plain_name, text_key
from bff.events import JSON


def is_error(frame: dict[str, JSON]) -> str | None:
    """What kind of error an object reports, in words fit for a log; None if it reports none.

    A step's or a tool's error is none of the run's: the object names the part it is about.
    """
    if frame.get("recoverable") is True or frame.get("fatal") is False:
        return None
    if "errorMessage" in frame and "errorType" in frame:
        return "an error of AWS Lambda"
    wrong = frame.get("error")
    if wrong and not isinstance(wrong, int | float):
        if not _PARTS.isdisjoint(frame.keys()):
            return None
        kind = frame.get("error_type")
        named = isinstance(kind, str) and re.fullmatch(r"[A-Za-z_][\w.]{0,63}", kind)
        return f"an in-band error ({kind})" if named else "an in-band error"
    status = frame.get("status")
    failed = (
        wrong is True
        or (isinstance(status, str) and status.lower() in _FAILED)
        or frame.get("success") is False
        or frame.get("isError") is True
        or (isinstance(frame.get("errors"), list) and frame["errors"] and text_key(frame) is None)
    )
    if failed and _PARTS.isdisjoint(frame.keys()) and not _is_part(frame.get("type")):
        return "an in-band error (status)"
    return None


def is_only_error(value: JSON) -> bool:
    """Whether an object is nothing but a failure: in a text it might be an answer in JSON else."""
    return (
        isinstance(value, dict)
        and all(is_label(key) or plain_name(key) in _ABOUT_ERROR for key in value)
        and is_error(value) is not None
    )


_ABOUT_ERROR = words("errormessage errortype message detail details traceback stack reason hint")
_FAILED = frozenset({"error", "failed", "failure"})
_PARTS = words(
    "tool tool_name toolName tool_call_id toolCallId tool_use_id toolUseId step step_id stepId "
    "step_name task task_id taskId node node_id nodeId node_name attempt retry job subtask "
    "agent_id sub_agent source_id document_id"
)
"""An object that names one of these reports about that part; the run may well go on."""


def _is_part(kind: JSON) -> bool:
    return isinstance(kind, str) and bool(_PART_KIND.search(kind.lower()))


_PART_KIND = re.compile(
    r"(?:^|[_.-])(?:tool|step|task|node|subagent|retry|retrieval|search)(?:$|[_.-])"
)
