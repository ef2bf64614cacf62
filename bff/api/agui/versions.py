"""What each version of AG-UI's clients knows: they throw at events and parts that are new to them.

Clients declare their version in a request since 1.0. Those before say nothing and get what all of
them understand, unless what they send says more, or the address does for them
(`?protocolVersion=0.0.59`). Read from the schemas of the npm package @ag-ui/core, by version.
"""

from __future__ import annotations

import re

from bff.errors import Invalid

Version = tuple[int, ...]

UNKNOWN: Version = ()
"""From 0.0.37 on: text, tools, state and THINKING_*; a list as content is refused by the oldest."""
ACTIVITIES: Version = (0, 0, 40)
"""Activity messages, and `binary` parts."""
REASONING: Version = (0, 0, 45)
"""REASONING_* in place of THINKING_*."""
MEDIA: Version = (0, 0, 53)
"""Parts of type image, audio, video and document."""
INTERRUPTS: Version = (0, 0, 54)
"""`RUN_FINISHED.outcome`: success, which holds nothing more, or interrupt."""
SUBAGENTS: Version = (0, 0, 58)
"""SUBAGENT_*."""
FIRST: Version = (1, 0)
"""The outcome cancelled, `pendingToolCallIds`, stored files, and `protocolVersion` itself."""

PROTOCOL_VERSION = "1.0"
"""What we speak."""

_PARAMETER = "protocolVersion"


def version_of(declared: str | None, address: str | None, shown: Version = UNKNOWN) -> Version:
    """What a client knows, by its request or, for one from before 1.0, by the address it uses.

    `shown` is the version of the newest of what it sends. A declared version that nobody can read
    is taken for a newer one, as the protocol says. Raises `Invalid` for an address that says none.
    """
    if declared is not None:
        return _read(declared) or FIRST
    if address is None:
        return shown
    version = _read(address)
    if version is None:
        raise Invalid.of(_PARAMETER, "must be a version as 1.0 or 0.0.59")
    return version


def knows_outcomes(version: Version) -> bool:
    """Whether a run may end in the outcome `interrupt`: those that do not know it pass over it."""
    return version >= INTERRUPTS or version == UNKNOWN


def _read(text: str) -> Version | None:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){1,2}", text):
        return None
    return tuple(int(part) for part in text.split("."))
