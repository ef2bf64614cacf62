"""Every history says the same as lists do, whatever is done to it in whatever order."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bff.errors import Overloaded
from bff.events import well_formed
from bff.history import ForkedFrom, History, Session, StoredMessage, Turn
from bff.history.dynamodb import open_dynamodb
from bff.history.dynamodb.table import create_table
from tests.fakes.dynamodb import REGION, Proxy
from tests.fakes.history import ListHistory
from tests.fakes.memory import FakeMemory, Refused
from tests.history.conftest import Store
from tests.history.test_contract import all_messages, all_sessions

NAMES = ("a", "b", "c-d_E", "z" * 100)
IDS = ("q1", "q2", "{'ü':\"𝄞\"}")
POINTS = tuple(hashlib.sha256(str(n).encode()).hexdigest() for n in range(5))
TEXTS = (
    "",
    "Hi",
    "  two\r\nlines\t",
    "e\u0301" * 60,
    "👩🏽\u200d🚀" * 25,
    "a lone \ud83d surrogate, a NUL \x00 and \ufffe",
    "x" * 10_000,
)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
OWNERS = itertools.count()

names = st.sampled_from(NAMES)
ids = st.lists(st.sampled_from(IDS), unique=True)
places = st.lists(st.sampled_from(POINTS), unique=True)
which = st.integers(0, 20)
"""One of the runs that there are, by number."""


@dataclass(frozen=True)
class Add:
    name: str
    asked: int
    took: int
    text: str = field(repr=False)
    answer: str = field(repr=False)
    status: str
    inputs: list[str]
    points: list[str]


@dataclass(frozen=True)
class AddAgain:
    run: int


@dataclass(frozen=True)
class Fork:
    name: str
    run: int | None
    to: str
    branch_of: str | None


@dataclass(frozen=True)
class Begin:
    name: str
    texts: list[str] = field(repr=False)
    point: str | None
    branch_of: str | None


@dataclass(frozen=True)
class Claim:
    name: str
    by: str
    inputs: list[str] | None
    """None: exactly those that are open, the last first."""


@dataclass(frozen=True)
class Forget:
    name: str
    run: int


@dataclass(frozen=True)
class Rename:
    name: str
    title: str = field(repr=False)


@dataclass(frozen=True)
class Branches:
    name: str


@dataclass(frozen=True)
class Delete:
    name: str


@dataclass(frozen=True)
class Restart:
    pass


texts = st.sampled_from(TEXTS)
adds = st.builds(
    Add,
    name=names,
    asked=st.integers(0, 9),
    took=st.integers(0, 3),
    text=texts,
    answer=texts,
    status=st.sampled_from(["complete", "failed", "input_required"]),
    inputs=ids,
    points=places,
)
steps = st.lists(
    st.one_of(
        adds,
        adds,
        adds,
        st.builds(AddAgain, which),
        st.builds(Fork, names, st.none() | which, names, st.none() | names),
        st.builds(
            Begin, names, st.lists(texts, max_size=3), st.sampled_from(POINTS), st.none() | names
        ),
        st.builds(Claim, names, st.sampled_from(["run-x", "run-y"]), st.none() | ids),
        st.builds(Forget, names, which),
        st.builds(Branches, names),
        st.builds(Rename, names, texts),
        st.builds(Delete, names),
        st.just(Restart()),
    ),
    max_size=15,
)


class Both:
    """A history and one in lists, to which the same is done."""

    def __init__(self, store: Store, restarted: AsyncExitStack) -> None:
        self.store = store
        self.stack = restarted
        self.owner = hashlib.sha256(f"owner {next(OWNERS)}".encode()).hexdigest()
        self.lists = ListHistory()
        self.history: History
        self.turns: list[Turn] = []
        self.faults: Faults | None = None
        self.clock = itertools.count(1)

    async def restart(self) -> None:
        await self.stack.aclose()
        self.history = await self.stack.enter_async_context(self.store())

    def run(self, number: int) -> str:
        return self.turns[number % len(self.turns)].run_id if self.turns else "run-none"

    async def do(self, step: Any) -> None:
        match step:
            case Restart():
                await self.restart()
            case AddAgain(run):
                if self.turns:
                    await self._same("add", self.turns[run % len(self.turns)])
            case Add():
                turn = self._turn(step)
                self.turns.append(turn)
                await self._same("add", turn)
            case Fork(name, run, to, branch_of):
                run_id = None if run is None else self.run(run)
                turns = await self._same("fork_turns", name, run_id)
                if turns is not None:
                    fork = self._session(to, forked_from=ForkedFrom(session_id=name, run_id=run_id))
                    await self._begin(fork, turns, branch_of)
            case Begin(name, texts, point, branch_of):
                given = [self._given(name, n, text) for n, text in enumerate(texts)]
                session = self._session(name, point=point)
                await self._begin(session, given, branch_of)
            case Claim(name, by, inputs):
                claimed = await self.lists.session(self.owner, name)
                if inputs is None:
                    inputs = [each["id"] for each in claimed.inputs][::-1] if claimed else []
                await self._same("claim", name, f"{by}-{name}", inputs)
            case Forget(name, run):
                await self._same("forget", name, self.run(run))
                await self._drop_deleted(name)
            case Branches(name):
                await self._same("branches", name)
            case Rename(name, title):
                await self._same("rename", name, title)
            case Delete(name):
                await self._same("delete", name)
                await self._drop_deleted(name)

    async def _drop_deleted(self, name: str) -> None:
        """No run comes again in another session of that name."""
        if await self.lists.session(self.owner, name) is None:
            self.turns = [turn for turn in self.turns if turn.session_id != name]

    def _turn(self, step: Add) -> Turn:
        number = next(self.clock)
        asked_at = 1_790_000_000 + step.asked + number / 1000
        inputs = [{"id": id, "kind": "approval", "message": step.text} for id in step.inputs]
        return Turn(
            run_id=f"run-{number}",
            session_id=step.name,
            agent=agent_of(step.name),
            message=step.text,
            answer=step.answer,
            status=step.status,
            asked_at=asked_at,
            answered_at=max(asked_at, 1_790_000_000.0 + step.asked + step.took),
            inputs=inputs,
            points=step.points,
        )

    def _given(self, name: str, n: int, text: str) -> Turn:
        return Turn(
            run_id=f"given-{next(self.clock)}-{n}",
            session_id=name,
            message=text,
            answer=text[::-1],
            status="complete",
            asked_at=1_790_000_000.0 + n,
            answered_at=1_790_000_000.0 + n,
        )

    def _session(self, name: str, **fields: Any) -> Session:
        at = 1_790_000_000.0 + next(self.clock)
        return Session(
            session_id=name,
            title="a fork",
            created_at=at,
            updated_at=at,
            agent=agent_of(name),
            told=False,
            **fields,
        )

    async def _begin(self, session: Session, turns: Sequence[Turn], name: str | None) -> None:
        branch_of = None if name == session.session_id else name
        await self._same("begin", session, turns, branch_of=branch_of)

    async def _same(self, call: str, *args: Any, **options: Any) -> Any:
        expected = await getattr(self.lists, call)(self.owner, *args, **options)
        try:
            answer = await getattr(self.history, call)(self.owner, *args, **options)
        except Overloaded:  # and whoever called does so again, and may find that it was done
            assert self.faults is not None
            self.faults.left = 0
            await getattr(self.history, call)(self.owner, *args, **options)
        else:
            assert lean(answer) == lean(expected), call
        return expected

    async def compare(self) -> None:
        listed = [lean(each) for each in await all_sessions(self.history, self.owner, limit=2)]
        assert listed == [lean(each) for each in await all_sessions(self.lists, self.owner)]
        for name in NAMES:
            if await self._same("session", name) is None:
                assert await self.history.messages(self.owner, name, limit=1) is None
                continue
            messages = await all_messages(self.history, self.owner, name, limit=3)
            expected = await all_messages(self.lists, self.owner, name)
            assert [lean(each) for each in messages] == [lean(each) for each in expected]
            for run_id in {message.run_id for message in expected}:
                await self._same("fork_turns", name, run_id)
        for point in POINTS:
            await self._same("find", [point])
        await self._same("find", ["0" * 64, *POINTS])


class Faults(dict[str, Any]):
    """What a fake answers to a call instead: a refusal to the one that many calls from now."""

    def __init__(self, refusals: Any) -> None:
        super().__init__()
        self.refusals = refusals
        self.left = 0

    def get(self, operation: str, default: Any = None) -> Any:
        self.left -= 1
        return self.refusals() if self.left == 0 else default


def agent_of(name: str) -> str:
    """A session stays with its agent."""
    return "clerk" if name == "b" else "agent"


def lean(answer: Any) -> Any:
    """An answer as it can be compared: all text as a store keeps it, all lists as tuples."""
    match answer:
        case str():
            return well_formed(answer)
        case list() | tuple():
            return tuple(map(lean, answer))
        case dict():
            return {key: lean(value) for key, value in answer.items()}
        case Turn():
            return lean_fields(replace(answer, points=()))
        case Session() | StoredMessage() | ForkedFrom():
            return lean_fields(answer)
        case _:
            return answer


def lean_fields(answer: Any) -> dict[str, Any]:
    return {name: lean(getattr(answer, name)) for name in answer.__slots__}


async def compared(
    store: Store,
    steps: list[Any],
    faults: Faults | None = None,
    refused: Sequence[int] = (),
) -> None:
    """`refused` says which call of each step is refused, if it makes so many."""
    async with AsyncExitStack() as stack:
        both = Both(store, stack)
        both.faults = faults
        await both.restart()
        for step, left in itertools.zip_longest(steps, refused[: len(steps)], fillvalue=0):
            if faults is not None:
                faults.left = left
            await both.do(step)
        if faults is not None:
            faults.left = 0
        await both.compare()


def examples(number: int) -> settings:
    return settings(
        max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES
    )


@examples(40)
@given(steps=steps)
async def test_sqlite__says_what_lists_say(sqlite_store: Store, steps: list[Any]) -> None:
    await compared(sqlite_store, steps)


@examples(10)
@given(steps=steps)
async def test_dynamodb__says_what_lists_say(
    aws: str, aws_environ: None, monkeypatch: pytest.MonkeyPatch, steps: list[Any]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", aws)
    table = f"bff-{uuid.uuid4().hex[:8]}"  # moto copies the whole table for a transaction
    await create_table(table, region=REGION)
    await compared(lambda: open_dynamodb(table, region=REGION, call_timeout_seconds=60), steps)


@examples(10)
@given(steps=steps)
async def test_memory__says_what_lists_say(newest_memory_store: Store, steps: list[Any]) -> None:
    await compared(newest_memory_store, steps)


refused = st.lists(st.integers(0, 7), max_size=15)


@examples(10)
@given(steps=steps, refused=refused)
async def test_dynamodb__that_refuses_a_call_does_what_is_asked_again(
    proxy: Proxy, steps: list[Any], refused: list[int]
) -> None:
    denied = (400, {"__type": "com.amazonaws#AccessDeniedException"})
    proxy.answers = faults = Faults(lambda: [denied])
    table = f"bff-{uuid.uuid4().hex[:8]}"
    await create_table(table, region=REGION)
    store = partial(open_dynamodb, table, region=REGION, call_timeout_seconds=60)
    await compared(store, steps, faults, refused)


@examples(10)
@given(steps=steps, refused=refused)
async def test_memory__that_refuses_a_call_does_what_is_asked_again(
    memory: FakeMemory, newest_memory_store: Store, steps: list[Any], refused: list[int]
) -> None:
    memory.failing = faults = Faults(lambda: deque([Refused(403, "AccessDeniedException")]))
    await compared(newest_memory_store, steps, faults, refused)
