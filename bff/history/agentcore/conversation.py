"""A session of an AgentCore Memory as one conversation, whoever wrote what of it; pure.

Order is made here, since the service promises none. Where the agent writes the conversation, what
it wrote around a run of ours is that run's turn: its words count, ours stand in where it has none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bff.history import Session, StoredMessage, Turn
from bff.history.agentcore.agent_messages import AgentMessages, Group
from bff.history.agentcore.events import Event, begun_with, mark, order, turns_in
from bff.history.paging import first_title, messages_of
from bff.settings import DEFAULT_AGENT

BEFORE_SECONDS = 2.0
"""How long before a run was asked, by our clock, an agent's clock may have it write of it, …"""
AFTER_SECONDS = 5.0
"""… and how long after it was answered; who says something in between runs is not known."""


def conversation(
    events: Iterable[Event],
    records: Iterable[Event] = (),
    *,
    batch: str | None = None,
    forgotten: Container[str] = (),
    agent: str = DEFAULT_AGENT,
) -> list[Group]:
    """The messages of a session, in order, whatever order the events came in.

    `events` are those of the agent's session; `records` those of ours, in which runs lie whose
    words the agent wrote, and under the mark `batch` the turns that the session was begun with.
    The turns of `forgotten` runs are left out, with what the agent wrote around them.
    """
    events = sorted(events, key=order)
    records = sorted(records, key=order)
    agents = AgentMessages()
    for event in events:
        if not mark(event, "run"):
            agents.add(event)
    groups = _around(list(turns_in(records, agent=agent)), agents.groups())
    turns = [*turns_in(events, agent=agent), *(begun_with(records, batch) if batch else ())]
    groups += [_group(turn) for turn in turns]
    kept = (group for group in groups if not group.turn or group.turn.run_id not in forgotten)
    return sorted(kept, key=lambda group: (group.at, group.id))


def _group(turn: Turn) -> Group:
    return Group(turn.asked_at, turn.run_id, messages_of(turn), turn)


def _around(runs: Sequence[Turn], said: Sequence[Group]) -> list[Group]:
    """The runs with what an agent said around each of them, and what it said at other times."""
    runs = sorted(runs, key=lambda run: (run.asked_at, run.run_id))
    begins = [run.asked_at - BEFORE_SECONDS for run in runs]
    ends = [run.answered_at + AFTER_SECONDS for run in runs]
    for n in range(1, len(runs)):  # between two runs in a row, half of the time is each one's
        middle = (runs[n - 1].answered_at + runs[n].asked_at) / 2
        begins[n] = max(begins[n], middle)
        ends[n - 1] = min(ends[n - 1], middle)
    others: list[Group] = []
    words: list[list[StoredMessage]] = [[] for _ in runs]
    for group in said:
        n = bisect_right(begins, group.at) - 1
        if n >= 0 and group.at <= ends[n]:
            words[n].extend(group.messages)
        else:
            others.append(group)
    return [*others, *(_group(_worded(run, said)) for run, said in zip(runs, words, strict=True))]


def _worded(run: Turn, said: Sequence[StoredMessage]) -> Turn:
    """The run in the agent's words. What it was told of earlier messages does not count."""
    asked = [message.content for message in said if message.role == "user"]
    answers = [message for message in said if message.role == "assistant"]
    calls: list[Any] = [call for message in answers for call in message.tool_calls]
    whole = "\n".join(asked)
    return replace(
        run,
        message=run.message if whole.endswith(run.message) or not asked else whole,
        answer="\n".join(message.content for message in answers if message.content),
        tool_calls=calls or run.tool_calls,
    )


def turns_up_to(groups: Sequence[Group], run_id: str, *, agent: str) -> list[Turn] | None:
    """All turns up to a run, oldest first; None if there is no such run.

    An agent's own messages are turns as well: a question with the answers that follow it. Each of
    their ids stands for the turn.
    """
    turns: list[Turn] = []
    found: int | None = None
    answerable = False
    for group in groups:
        if group.turn is not None:
            turns.append(group.turn)
            answerable = False
        for message in () if group.turn else group.messages:
            if answerable and message.role == "assistant":
                turns[-1] = _answered(turns[-1], message)
            else:
                turns.append(_own_turn(message, agent))
                answerable = True
        if any(message.run_id == run_id for message in group.messages):
            found = len(turns)
    return None if found is None else turns[:found]


def _own_turn(message: StoredMessage, agent: str) -> Turn:
    """A turn that begins with a message of the agent's own."""
    turn = Turn(
        run_id=message.run_id,
        session_id="",
        agent=agent,
        message=message.content if message.role == "user" else "",
        answer="",
        status="complete",
        asked_at=message.created_at,
        answered_at=message.created_at,
    )
    return turn if message.role == "user" else _answered(turn, message)


def _answered(turn: Turn, message: StoredMessage) -> Turn:
    return replace(
        turn,
        answer="\n".join(text for text in (turn.answer, message.content) if text),
        answered_at=message.created_at,
        tool_calls=[*turn.tool_calls, *message.tool_calls],
    )


def unnoted(session_id: str, groups: Sequence[Group]) -> Session | None:
    """A session that only its messages tell of: an agent wrote them, or our note was lost."""
    messages = [message for group in groups for message in group.messages]
    if not messages:
        return None
    return Session(
        session_id=session_id,
        title=first_title(_asked_first(groups)),
        created_at=messages[0].created_at,
        updated_at=messages[-1].created_at,
    )


def title_without(session: Session, gone: Sequence[Group], left: Sequence[Group]) -> str | None:
    """The session's new title; None if the old one is not of a turn that is gone."""
    titles = {first_title(group.turn.message) for group in gone if group.turn}
    title = first_title(_asked_first(left))
    return title if session.title in titles and session.title != title else None


def _asked_first(groups: Sequence[Group]) -> str:
    messages = (message for group in groups for message in group.messages)
    return next((message.content for message in messages if message.role == "user"), "")
