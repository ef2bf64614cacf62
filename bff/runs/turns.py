"""What of a run that has ended goes into the history, and what it is found by there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from bff.conversations.questions import questions_as_text
from bff.conversations.transcript import point_of_run, points, points_broken_off
from bff.events import Input, input_fields
from bff.files.made import keep_answer
from bff.history import CALL_TIMEOUT_SECONDS, Turn
from bff.runs.dependencies import RunDependencies
from bff.runs.log import Run, Status
from bff.runs.request import RunRequest
from bff.runs.transcript import Transcript

logger = logging.getLogger(__name__)

HISTORY_SECONDS = CALL_TIMEOUT_SECONDS + 0.5
"""How long the end of a run may wait for the history: until its call is over, which goes on when we
have left. A turn that was written after its run had ended could undo a deletion."""


async def write_turn(
    parts: RunDependencies,
    run: Run,
    transcript: Transcript,
    status: Status,
    *,
    left_open: Sequence[Input] = (),
    limit: asyncio.Timeout | None = None,
) -> None:
    """Write the turn; a history that cannot be written does not take the answer away."""
    request = run.request
    if not request.listed:
        return
    answer = transcript.text
    turn = Turn(
        run_id=run.run_id,
        session_id=run.session_id,
        agent=request.agent,
        message=request.message,
        parts=request.parts,
        answer=answer,
        answer_parts=transcript.parts,
        tool_calls=transcript.tool_calls,
        status=status,
        asked_at=run.created_at,
        answered_at=parts.clock(),
        inputs=[input_fields(question) for question in left_open],
        continues=request.continues,
        points=(
            *_points(request, answer, transcript.inputs, status),
            *([point_of_run(run.run_id)] if request.referable else ()),
        ),
    )
    try:
        async with limit or asyncio.timeout(HISTORY_SECONDS):
            if turn.answer_parts:
                kept = await keep_answer(parts.files, run.owner, run.session_id, turn.answer_parts)
                turn = replace(turn, answer_parts=kept)
            await parts.history.add(run.owner, turn)
    except Exception:
        logger.exception("run %s is missing from the history", run.run_id)
        parts.observer.history_failed()


def _points(
    request: RunRequest, answer: str, asked: Sequence[Input], status: Status
) -> tuple[str, ...]:
    """What the turn is found by: where it leaves the transcript, in every wording a client may have
    been shown, and its marks."""
    if request.point is None:
        return ()
    return (*_left_at(request, request.point, answer, asked, status), *request.marks)


def _left_at(
    request: RunRequest, point: str, answer: str, asked: Sequence[Input], status: Status
) -> tuple[str, ...]:
    before = request.call.continued if request.call else None
    user = before.user if before else request.message
    alone = answer if before and before.assistant else ""
    answer = (before.assistant if before else "") + answer
    match status:
        case "failed" | "interrupted":
            return points_broken_off(point, user, None)
        case "cancelled":
            return points_broken_off(point, user, answer)
    questions = questions_as_text(asked)
    answers = [answer, f"{answer}\n\n{questions}"] if questions else [answer]
    # a client that ran its tools in between may keep no more than the last answer, as memories of
    # Spring AI, n8n and Flowise do
    return points(point, user, [*answers, alone] if alone else answers)
