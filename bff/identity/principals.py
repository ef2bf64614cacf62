"""A principal, and the ids that are derived from it.

Every id that leaves this module is a SHA-256 over length-prefixed parts, so no two lists of parts
can ever give the same one, whatever characters a name holds. Everything a principal owns is looked
up under its digest: there is no table of who owns what that could be forgotten or be wrong.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def _digest(*parts: str) -> str:
    """SHA-256 in hex over the parts, each with its length before it."""
    data = [part.encode("utf-8", "surrogatepass") for part in parts]
    with_lengths = b"".join([b"%b%b" % (len(part).to_bytes(8, "big"), part) for part in data])
    return hashlib.sha256(with_lengths).hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a credential stands for.

    `kind` and `parts` are the identity: `jwt` with issuer and sub, `key` with the key's name,
    `behalf` with the key's name and the user. `expires_at` is the token's, in seconds since 1970,
    and `token` the token itself.
    """

    kind: str
    parts: tuple[str, ...]
    expires_at: float | None = field(default=None, compare=False)
    token: str | None = field(default=None, compare=False, repr=False)
    id: str = field(init=False, compare=False, repr=False)
    """The digest that everything of this principal is kept under."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _digest("principal", self.kind, *self.parts))

    @property
    def sub(self) -> str | None:
        """A token's own `sub`; None where the caller has none."""
        return self.parts[1] if self.kind == "jwt" else None


def agent_session_id(owner: str, session_id: str) -> str:
    """What the agent and its memory know a session by, from the owner's digest and its name."""
    return _digest("session", owner, session_id)


def foreign_id(text: str) -> str:
    """A session name for an id that another protocol chose; one that fits stays as it is."""
    if SESSION_ID.fullmatch(text):
        return text
    return "x-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
