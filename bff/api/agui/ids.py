"""Ids of messages and tool calls: none repeats in a thread, and a run told again has the same.

Some agents count their calls from 1 in every answer, so a client knows a call by the run that told
it and the agent's own id. What comes back is taken apart again: the agent knows its own id only.
"""

from __future__ import annotations

import re

_CALL = re.compile(r"run_[0-9a-f]{1,64}-t[0-9]*-(.*)", re.DOTALL)
_USER = re.compile(r"(?:run|given)_[0-9A-Za-z_-]{1,128}-u")


def call_id(run_id: str, id: str, nth: int = 1) -> str:
    """What a client knows the `nth` call of that id in a run by."""
    return f"{run_id}-t{'' if nth == 1 else nth}-{id}"


def result_id(run_id: str, id: str, nth: int = 1) -> str:
    """The message that holds a call's result."""
    return f"{run_id}-o{'' if nth == 1 else nth}-{id}"


def user_id(run_id: str) -> str:
    """The user's message of a run, where the client's own id is not known any more."""
    return f"{run_id}-u"


def is_ours(id: str | None) -> bool:
    """Whether a user's message has an id that `user_id` made, so that it was shown before."""
    return id is not None and _USER.fullmatch(id) is not None


def agents_id(id: str) -> str:
    """The agent's own id of a call, from what a client knows it by."""
    found = _CALL.fullmatch(id)
    return found[1] if found else id
