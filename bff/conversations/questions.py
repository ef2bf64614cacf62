"""The agent's open questions against what a request brings: which are answered, and with what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bff.agents.answers import payload_of
from bff.errors import InputRequired, Invalid, NotWaiting
from bff.events import JSON, Event, Input, ToolEnd, dumps, input_fields, input_of
from bff.messages import Answer, Conversation


def still_open(questions: Sequence[Input], *, now: float) -> tuple[Input, ...]:
    """The questions whose time is not over; `now` is in seconds since 1970."""
    return tuple(question for question in questions if not _is_over(question, now))


def with_expired(answers: Sequence[Answer], questions: Sequence[Input]) -> tuple[Answer, ...]:
    """The answers to those of the questions that are still open, and for the others a refusal.

    An agent goes on with all of its questions at once: one whose time is over is declined.
    """
    given = {answer.input_id: answer for answer in answers}
    return tuple(given.get(question.id, Answer(question.id, "cancelled")) for question in questions)


def shown_open(inputs: Sequence[Mapping[str, JSON]], *, now: float) -> list[dict[str, JSON]]:
    """The same for questions as a history keeps them, which is how they are shown."""
    return [dict(fields) for fields in inputs if not _is_over(input_of(fields), now)]


def _is_over(question: Input, now: float) -> bool:
    if question.expires_at is None:
        return False
    try:
        moment = datetime.fromisoformat(question.expires_at)
    except ValueError:  # the agent's own words, which nobody promised to be a time
        return False
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() <= now


def answering(conversation: Conversation, questions: Sequence[Input]) -> Conversation:
    """The conversation with its answers under the questions' own ids.

    A message into a session that waits for one word answers it. Raises `InputRequired` where a
    message cannot be the answer, `NotWaiting` for an answer to what is not open, `Invalid` where
    open questions are left out.
    """
    if conversation.answers:
        return replace(conversation, answers=_matched(conversation.answers, questions))
    if not questions:
        return conversation
    if len(questions) > 1 or questions[0].kind == "tool" or not conversation.text:
        raise InputRequired(inputs=[input_fields(question) for question in questions])
    answer = Answer(questions[0].id, payload=conversation.text)
    return replace(conversation, new=(), answers=(answer,))


def _matched(answers: Sequence[Answer], questions: Sequence[Input]) -> tuple[Answer, ...]:
    """The answers under the questions' own ids, in their order."""
    names = _by_name(questions)
    found: dict[str, Answer] = {}
    for answer in _named(answers, questions):
        question = names.get(answer.input_id)
        if question is None:
            raise NotWaiting
        id = question.id
        if id in found:
            raise Invalid.of("resume", f"answers {id} twice; each open input is answered once")
        if answer.is_result and question.kind != "tool":
            answer = _as_decision(answer)
        found[id] = replace(answer, input_id=id)
    if missing := [question.id for question in questions if question.id not in found]:
        raise Invalid.of(
            "resume", f"must answer every open input once; missing: {', '.join(missing)}"
        )
    return tuple(found[question.id] for question in questions)


def _named(answers: Sequence[Answer], questions: Sequence[Input]) -> Iterator[Answer]:
    """The answers, each naming its question.

    One that names none is to the only open one; of several it may be an object that has the answer
    to each under its id, as LangGraph takes it.
    """
    for answer in answers:
        if answer.input_id:
            yield answer
        elif len(questions) == 1:
            yield replace(answer, input_id=questions[0].id)
        elif isinstance(answer.payload, dict) and set(answer.payload) <= set(_by_name(questions)):
            for id, payload in answer.payload.items():
                yield Answer(id, payload=payload)
        else:
            raise InputRequired(inputs=[input_fields(question) for question in questions])


def _as_decision(answer: Answer) -> Answer:
    """What a client says as the result of a call that it was only asked about."""
    if answer.status == "cancelled":
        reason = answer.payload if isinstance(answer.payload, str) else None
        return replace(answer, payload=None, reason=reason)
    try:
        return decided(replace(answer, payload=json.loads(answer.payload)))
    except (TypeError, ValueError, RecursionError):
        return answer


def decided(answer: Answer) -> Answer:
    """The answer with its yes or no, where its payload says one as AG-UI has it."""
    match answer.payload:
        case {"approved": bool(approved), **rest} if rest.keys() <= {"reason", "editedArgs"}:
            reason = rest.get("reason")
            return replace(
                answer,
                approved=approved,
                reason=reason if isinstance(reason, str) else None,
                edited=rest.get("editedArgs"),
            )
    return answer


def with_results(
    answers: Sequence[Answer], results: Sequence[Answer], questions: Sequence[Input]
) -> tuple[Answer, ...]:
    """Answers with those results of tools beside them that answer what they leave open."""
    names = _by_name(questions)
    answered = {
        question.id for answer in answers if (question := names.get(answer.input_id)) is not None
    }
    return (
        *answers,
        *(
            result
            for result in results
            if (question := names.get(result.input_id)) is not None and question.id not in answered
        ),
    )


def to_open(answers: Sequence[Answer], questions: Sequence[Input]) -> tuple[Answer, ...]:
    """Those of the answers that are to a question that is open."""
    names = _by_name(questions)
    unnamed = bool(questions)  # an answer that names no question is to any that is open
    return tuple(
        answer
        for answer in answers
        if answer.input_id in names or (unnamed and not answer.input_id)
    )


def run_by_client(questions: Iterable[Input]) -> frozenset[str]:
    """The calls that a client was asked to run. It has their results, which an agent may repeat."""
    return frozenset(q.tool.id for q in questions if q.kind == "tool" and q.tool is not None)


def _by_name(questions: Iterable[Input]) -> dict[str, Input]:
    """The questions by everything that a client may know them by."""
    found: dict[str, Input] = {}
    for question in questions:
        for name in _names(question):
            found.setdefault(name, question)
    return found


def _names(question: Input) -> Iterator[str]:
    """A question's id; a client knows its own tool's call by the call's."""
    yield question.id
    if question.tool is not None:
        yield question.tool.id


def digest_of(questions: Sequence[Input], answers: Sequence[Answer]) -> str:
    """What the agent is told, as one digest: the same for the same answer, by whatever protocol.

    Raises what `answering` raises for answers that are not to these questions.
    """
    told = [
        [question.id, answer.status, payload_of(question, answer)]
        for question, answer in zip(questions, _matched(answers, questions), strict=True)
    ]
    return hashlib.sha256(dumps(told).encode()).hexdigest()


def are_same(digest: str | None, questions: Sequence[Input], answers: Sequence[Answer]) -> bool:
    """Whether the digest is that of these answers to these questions."""
    try:
        return digest is not None and digest == digest_of(questions, answers)
    except (InputRequired, NotWaiting, Invalid):
        return False


def asked_anew(events: Sequence[Event], answered: Sequence[Input]) -> bool:
    """Whether an agent that was told an answer puts its question again, as if for the first time.

    Strands takes the answer to a question that it does not know for a message, and its model makes
    the same call once more, though nothing became of the first. LangGraph begins its graph anew,
    and has nothing to say before it asks; where it goes on, the node that asked has a word first.
    """
    known = {question.id for question in answered}
    calls = {question.tool.id for question in answered if question.tool}
    if any(isinstance(event, ToolEnd) and event.id in calls for event in events):
        return False
    before = [_without_ids(question) for question in answered]
    return any(
        isinstance(event, Input)
        and event.id not in known
        and (event.first or _is_strands_call(event))
        and _without_ids(event) in before
        for event in events
    )


def _is_strands_call(question: Input) -> bool:
    """Whether this is a question of Strands' about a call of a tool."""
    match question.value:
        case {"id": str(id), "name": str()} if question.tool is not None:
            return id.startswith("v1:")
    return False


def _without_ids(question: Input) -> JSON:
    tool, value = question.tool, question.value
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key != "id"}
    return [question.kind, question.message, tool and [tool.name, tool.args], value]


def answers_as_text(questions: Sequence[Input], answers: Sequence[Answer]) -> str:
    """The answers as the history shows them: text as it is, anything else as JSON.

    A yes or a no that came without words of its own is shown in ours, and not in the agent's.
    """
    told = {answer.input_id: answer for answer in answers}
    return "\n".join(_answer_as_text(question, told[question.id]) for question in questions)


def _answer_as_text(question: Input, answer: Answer) -> str:
    if answer.payload is None or (answer.approved is not None and answer.edited is None):
        if answer.status == "cancelled" or answer.approved is False:
            return f"Declined: {answer.reason}" if answer.reason else "Declined"
        if answer.approved or question.kind == "approval":
            return "Approved"
    said = payload_of(question, answer)
    return said if isinstance(said, str) else dumps(said)


def questions_as_text(questions: Sequence[Input]) -> str:
    """Questions for clients whose protocol has no place for them: the next message answers."""
    if not questions:
        return ""
    return "\n\n".join(_as_text(question) for question in questions if question.kind != "tool")


def _as_text(question: Input) -> str:
    lines = [question.message or _message(question)]
    if question.tool is not None:
        lines.append(f"{question.tool.name}({dumps(question.tool.args)})")
    if not question.message and isinstance(question.value, str):
        lines = [question.value]
    elif question.tool is None and not _is_said(question.value, question.message):
        lines.append(dumps(question.value))
    return "\n".join(lines)


def _is_said(value: JSON, message: str | None) -> bool:
    """Whether the message says all that the value does, as where an agent asks by words alone."""
    if isinstance(value, dict) and len(value) == 1:
        [value] = value.values()
    return value is None or value == message


def _message(question: Input) -> str:
    return "May I do this?" if question.kind == "approval" else "I need an answer to go on."
