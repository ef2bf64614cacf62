"""What the server decides in one step: the Lua scripts beside this file.

A script names every key it touches. Times are the server's, in milliseconds, so the instances'
clocks do not matter. Replies are lists whose first item says what happened.

A run's hash has `status`, `instance` (who owns it), `last` (id of the last event), `bytes`, `meta`
(JSON, see `stored_form.py`), `session` (that it keeps busy), `said`, `interruption` (the terminal
event that is written if the owner dies), `ended` (the owner's seconds), `end` (the terminal event,
for when the log is evicted), `cancel`, `counted` (it ends with its last follower) and `watch`
(`instance=until …`: who wants its events published). The log is a list whose last element is event
`last`, so ids need no room, cannot repeat and show what is missing. A session's runs are a sorted
set of ids, each with the time until which it may be kept: what a deletion of the session looks for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script, with the hash by which a server that has met it knows it."""

    name: str
    text: str = field(repr=False)
    sha: str


def _script(name: str, *parts: str) -> Script:
    """The file of that name, behind the parts it uses."""
    folder = files(__name__)
    text = "\n".join((folder / f"{part}.lua").read_text() for part in (*parts, name))
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


TOUCH = _script("touch", "now", "epoch")
OPEN = _script("open", "now", "epoch", "run_of")
RESTORE = _script("restore", "now", "epoch", "run_of")
APPEND = _script("append", "now", "channel", "tell", "append_run")
CLOSE = _script("close", "now", "channel", "tell", "append_run")
KNOWN = _script("known")
WITHDRAW = _script("withdraw")
FORGET = _script("forget", "channel")
INTERRUPT = _script("interrupt", "now", "channel", "tell", "epoch")
FIND = _script("find", "now")
READ = _script("read", "now")
RENEW = _script("renew", "now", "run_of")
JOIN = _script("join", "now")
LEAVE = _script("leave", "now")
CANCEL = _script("cancel", "channel")
OPEN_RUNS = _script("open_runs")
SESSION_RUNS = _script("session_runs", "now")
LAPSED = _script("lapsed", "now")
ALIVE = _script("alive", "now", "channel")
LIMIT = _script("limit")
