"""What the names of hand-written events mean, by the words that they are made of.

Everybody names events as they please: `TOOL_CALL`, `toolStart`, `tool.result`, `step-failed`. Few
words make up all of these names, so a name is taken apart and its words decide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from bff.agents.dialects.fields import words

Role = Literal[
    "text",
    "thinking",
    "tool",
    "tool_start",
    "tool_open",
    "tool_piece",
    "tool_close",
    "tool_end",
    "asks",
    "theirs",
    "redact",
    "error",
    "custom",
    "start",
    "done",
    "end",
    "final",
    "silent",
]
"""What an event is for. `tool` may be a call or a result, `tool_open` and `tool_close` stand around
a call's arguments, `start` says what begins, `done` may have the answer once more, `end` has it,
`final` may be that or its pieces, `custom` is news about the run, `theirs` is not the agent's."""

_LONGEST = 64
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_WHOLE: dict[str, Role] = {
    "agent_start": "silent",
    "agent_end": "end",
    "llm_response": "text",
    "llm_token": "text",
    "start": "silent",
    "keep_alive": "silent",
}
_TOOL = words("tool tools function functions toolcall tooluse")
_OBSERVED = words("observation observations")
_SPELLED = words("call use input arguments args toolcall tooluse")
"""What is told piece by piece between an event that begins it and one that ends it."""
_PIECE = words("delta deltas chunk piece partial fragment")
_FINISHED = words("end ended done complete completed finish finished")
_ENDED = _FINISHED | words(
    "result results output outputs return returned response responses success succeeded observation"
)
_BEGUN = words("start started begin beginning begun init initialized initializing connected")
_CALLED = words(
    "call calls use uses used using invoke invoked invocation request requested input inputs "
    "execute executing execution running pending arguments args"
)
_WRONG = words("error errors failed failure exception fatal")
_THOUGHT = words("thinking thought thoughts reasoning think reason cot scratchpad")
_USER = words("user human stt asr")
_MINE = words("assistant agent ai bot model")
_WANTED = words("required require requires request requested needed ask asks")
_ASKED = words("approval confirmation input human user")
_ANSWERED = words(
    "response responses responded granted denied result results resolved received accepted "
    "rejected approved resume resumed answered done completed status"
)
_REDACTED = words("redact redaction redacted replace replaced replacement retract")
_ALIVE = words("ping pong heartbeat keepalive noop")
_NEWS = words(
    "status progress log logs debug trace traces info warning notice notification metadata meta "
    "metrics usage sources source citations citation references suggestions suggestion follow "
    "followup followups session title verbose state context config memory step steps stage phase "
    "retry retrying updated created connected queued lifecycle stats statistics telemetry timing "
    "moderation feedback cost billing typing handoff delegation routing "
    "plan plans planning todo todos"
)
_TEXT = words(
    "token tokens text content chunk delta partial message answer response reply output assistant "
    "ai agent bot model llm stream streaming generation final word"
)
_FINAL = words("final full whole entire result")
_RUN = words(
    "run agent stream server internal workflow graph crew flow chat conversation session "
    "invocation request fatal unexpected"
)
"""Whose error is the run's: an `agent_error`, but no `step_error`."""


def role_of(name: str) -> Role | None:
    """What an event of that name is for, or None if the name says nothing to us."""
    return _role_of(name) if len(name) <= _LONGEST else None


def is_over(name: str) -> bool:
    """Whether an event of that name says that something has ended."""
    spelled = _WORD.findall(name[:_LONGEST])
    return bool(spelled) and spelled[-1].lower() in _FINISHED


@lru_cache(maxsize=1024)
def _role_of(name: str) -> Role | None:
    spelled = [word.lower() for word in _WORD.findall(name)]
    if not spelled or len(spelled) > 6:
        return None
    found = _WHOLE.get("_".join(spelled))
    if found is not None:
        return found
    said, last = frozenset(spelled), spelled[-1]
    if said & _ALIVE:
        return "silent"
    if _is_question(said):
        return "asks"
    if said & _TOOL or said <= _OBSERVED:
        return _of_tool(said, last)
    if said & _REDACTED:
        return "redact"
    if said & _THOUGHT:
        return "thinking"
    if said & _USER and not said & _MINE:
        return "theirs"
    if said & _WRONG:
        return "error" if said - _WRONG <= _RUN and "sub" not in said else "custom"
    if said & _NEWS:
        return "custom"
    if last in _BEGUN:
        return "start"
    if last in _FINISHED:
        return "done"
    if said & _FINAL and said <= _TEXT | _FINAL:
        return "final"
    return "text" if said <= _TEXT else None


def _is_question(said: frozenset[str]) -> bool:
    if said & _ANSWERED:
        return False
    if said <= {"interrupt", "interrupts", "graph", "human", "langgraph"}:
        return bool(said & {"interrupt", "interrupts"})
    return bool(said & _WANTED and said & _ASKED)


def _of_tool(said: frozenset[str], last: str) -> Role | None:
    if said & _SPELLED and not said & _WRONG:
        if last in _FINISHED:
            return "tool_close"
        if last in _BEGUN:
            return "tool_open"
    if said & _WRONG or last in _ENDED or said & _OBSERVED:
        return "tool_end"
    if said & _PIECE:
        return "tool_piece"
    if said & _NEWS or said & {"list", "stream"}:
        return "custom"
    if said & (_CALLED | _BEGUN):
        return "tool_start"
    if last in ("message", "messages"):
        return "tool_end"
    return "tool" if said <= _TOOL else None
