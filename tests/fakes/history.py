"""A history in lists: what the others promise, without a store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bff.events import well_formed
from bff.history import MAX_FORK_TURNS, Page, Session, StoredMessage, Turn
from bff.history.paging import (
    MessagePage,
    first_title,
    messages_of,
    newest_that_fit,
    position,
    read_position,
)


@dataclass
class _Conversation:
    session: Session
    turns: list[Turn] = field(default_factory=list)
    own: set[str] = field(default_factory=set)
    """The runs that it was not begun with."""
    newest: float = -math.inf
    """When the newest of these was asked, forgotten or not."""
    forgotten: set[str] = field(default_factory=set)
    branch_of: str | None = None


@dataclass
class ListHistory:
    """A `History` that only remembers; `broken` makes every write of a turn fail."""

    turns: list[Turn] = field(default_factory=list)
    """All that were added, of whatever owner."""
    broken: bool = False
    _kept: dict[tuple[str, str], _Conversation] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<ListHistory {len(self._kept)} sessions>"

    async def add(self, owner: str, turn: Turn) -> None:
        if self.broken:
            raise OSError("disk full")
        self.turns.append(turn)
        fresh = Session(
            session_id=turn.session_id,
            title=first_title(turn.message),
            created_at=turn.asked_at,
            updated_at=turn.answered_at,
            agent=turn.agent,
        )
        kept = self._kept.setdefault((owner, turn.session_id), _Conversation(fresh))
        if turn.run_id in kept.forgotten or turn.run_id in (t.run_id for t in kept.turns):
            return
        kept.session = replace(
            kept.session,
            updated_at=max(kept.session.updated_at, turn.answered_at),
            told=kept.session.told or turn.status != "failed",
        )
        if turn.asked_at >= kept.newest:
            kept.newest = turn.asked_at
            kept.session = replace(
                kept.session,
                inputs=tuple(turn.inputs),
                last_run_id=turn.run_id,
                point=turn.points[0] if turn.points else None,
            )
        kept.own.add(turn.run_id)
        kept.turns.append(
            replace(turn, message=well_formed(turn.message), answer=well_formed(turn.answer))
        )
        kept.turns.sort(key=lambda t: (t.asked_at, t.run_id))

    async def session(self, owner: str, session_id: str) -> Session | None:
        kept = self._kept.get((owner, session_id))
        return kept.session if kept else None

    async def find(self, owner: str, points: Sequence[str]) -> tuple[Session, str] | None:
        for point in points:
            found = [
                (turn.run_id == kept.session.last_run_id, turn.asked_at, session_id, turn.run_id)
                for (whose, session_id), kept in self._kept.items()
                for turn in kept.turns
                if whose == owner and turn.run_id in kept.own and point in turn.points
            ]
            if found:
                *_, session_id, run_id = max(found)
                return self._kept[owner, session_id].session, run_id
        return None

    async def begin(
        self,
        owner: str,
        session: Session,
        turns: Sequence[Turn] = (),
        *,
        branch_of: str | None = None,
    ) -> None:
        if (owner, session.session_id) in self._kept:
            return
        if branch_of is not None and (owner, branch_of) not in self._kept:
            return
        self._kept[owner, session.session_id] = _Conversation(
            replace(session, told=False, inputs=(), claimed_by=None, last_run_id=None, branch=None),
            sorted(
                (replace(turn, session_id=session.session_id) for turn in turns),
                key=lambda t: (t.asked_at, t.run_id),
            ),
            branch_of=branch_of,
        )
        if branch_of is not None:
            self._name_branch(owner, branch_of, session.session_id)

    async def branches(self, owner: str, name: str) -> Sequence[str]:
        found = [
            (kept.session.created_at, session_id)
            for (whose, session_id), kept in self._kept.items()
            if whose == owner and kept.branch_of == name
        ]
        return [session_id for _, session_id in sorted(found)]

    async def fork_turns(
        self, owner: str, session_id: str, run_id: str | None
    ) -> Sequence[Turn] | None:
        if (kept := self._kept.get((owner, session_id))) is None:
            return None
        if run_id is None:
            return ()
        runs = [turn.run_id for turn in kept.turns]
        if run_id not in runs:
            return None
        turns = kept.turns[: runs.index(run_id) + 1][-MAX_FORK_TURNS:]
        return newest_that_fit(replace(turn, points=()) for turn in reversed(turns))

    async def claim(
        self, owner: str, session_id: str, run_id: str, input_ids: Sequence[str]
    ) -> bool:
        if (kept := self._kept.get((owner, session_id))) is None:
            return False
        open_ids = sorted(question["id"] for question in kept.session.inputs)
        if open_ids and open_ids == sorted(input_ids):
            kept.session = replace(kept.session, inputs=(), claimed_by=run_id)
        return kept.session.claimed_by == run_id

    async def sessions(self, owner: str, *, limit: int, after: str | None = None) -> Page[Session]:
        before = (math.inf, "") if after is None else read_position(after, float, str)
        found = sorted(
            (
                (float(k.session.updated_at), id)
                for (whose, id), k in self._kept.items()
                if whose == owner
            ),
            reverse=True,
        )
        found = [use for use in found if use < before]
        return Page(
            [self._kept[owner, id].session for _, id in found[:limit]],
            position(*found[limit - 1]) if len(found) > limit else None,
        )

    async def messages(
        self, owner: str, session_id: str, *, limit: int, after: str | None = None
    ) -> tuple[Session, Page[StoredMessage]] | None:
        page = MessagePage(limit=limit, after=after)
        if (kept := self._kept.get((owner, session_id))) is None:
            return None
        for turn in kept.turns:
            if not page.offer(turn.asked_at, turn.run_id, messages_of(turn)):
                break
        return kept.session, page.page()

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        if (kept := self._kept.get((owner, session_id))) is None:
            return None
        kept.session = replace(kept.session, title=well_formed(title))
        return kept.session

    async def delete(self, owner: str, session_id: str) -> bool:
        if (kept := self._kept.pop((owner, session_id), None)) is None:
            return False
        named = self._kept.get((owner, kept.branch_of or ""))
        if kept.branch_of and named and named.session.branch == session_id:
            left = await self.branches(owner, kept.branch_of)
            self._name_branch(owner, kept.branch_of, left[-1] if left else None)
        return True

    async def forget(self, owner: str, session_id: str, run_id: str) -> bool:
        kept = self._kept.get((owner, session_id))
        turn = next((t for t in kept.turns if t.run_id == run_id), None) if kept else None
        if kept is None or turn is None:
            return False
        if len(kept.turns) == 1:
            return await self.delete(owner, session_id)
        kept.turns.remove(turn)
        kept.forgotten.add(run_id)
        if kept.session.title == first_title(turn.message):
            kept.session = replace(kept.session, title=first_title(kept.turns[0].message))
        if kept.session.last_run_id == run_id:
            kept.session = replace(kept.session, inputs=(), last_run_id=None)
        return True

    async def ping(self) -> None:
        pass

    def _name_branch(self, owner: str, name: str, branch: str | None) -> None:
        kept = self._kept[owner, name]
        kept.session = replace(kept.session, branch=branch)
