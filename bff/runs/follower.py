"""One reader of a run, to whom its events are passed on or folded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from bff.events import Record
from bff.runs.execution import RunExecution
from bff.runs.log import Run, RunLog, Take
from bff.runs.transcript import Transcript
from bff.settings import HEARTBEAT_SECONDS


class Follower:
    """One reader of a run; an async context manager, since leaving may end the run."""

    __slots__ = ("_batches", "_execution", "_left", "_log", "run")

    def __init__(
        self,
        log: RunLog,
        run: Run,
        *,
        left: Callable[[Run], None],
        execution: RunExecution | None = None,
    ) -> None:
        """`execution` is the run's, if what it has said when it ends is what the log has then."""
        self.run = run
        self._execution = execution
        self._log = log
        self._left = left
        self._batches: AsyncGenerator[tuple[Record, ...], None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._batches is not None:
            await self._batches.aclose()
        self._left(self.run)

    def batches(
        self,
        after: int = 0,
        *,
        silence_seconds: float = HEARTBEAT_SECONDS,
        take: Take | None = None,
    ) -> AsyncGenerator[tuple[Record, ...], None]:
        """The run's records behind event `after`, to its end; an empty batch is a heartbeat.

        What `take` has taken is in none of them. Whoever leaves the follower has closed it.
        """
        self._execution = None  # a slow reader may have a run long after it has ended
        self._batches = self._log.follow(
            self.run, after, silence_seconds=silence_seconds, take=take
        )
        return self._batches

    async def records(self) -> Sequence[Record]:
        """All of the run's records, once it has ended."""
        found: list[Record] = []
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                found += batch
        return found

    async def fold(self) -> Transcript:
        """The whole answer, once the run has ended."""
        if self._execution is not None and (told := await self._execution.told()) is not None:
            return told
        transcript = Transcript(self.run.request.questions)

        def take(records: Sequence[Record]) -> bool:
            for item in records:
                transcript.add(item.event)
            return True

        async with aclosing(self.batches(take=take)) as batches:
            async for batch in batches:
                take(batch)
        return transcript
