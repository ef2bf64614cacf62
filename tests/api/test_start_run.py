from __future__ import annotations

import pytest

from bff.api.start_run import raise_failure
from bff.errors import AgentFailed, AgentThrottled, BadRequest, Problem, every_problem
from bff.events import Failed
from bff.runs.transcript import Transcript
from tests.api.example_run import RUN


def failure(problem: Problem, **changes: object) -> Problem:
    """What a blocking request is told of a run that ended with this problem."""
    transcript = Transcript()
    document = problem.document(request_id="request", instance="/v1/runs/run_1")
    transcript.add(Failed({**document, **changes}))
    with pytest.raises(Problem) as caught:
        raise_failure(RUN, transcript)
    return caught.value


@pytest.mark.parametrize("problem", every_problem())
def test_a_failed_run__is_answered_with_its_own_code(problem: type[Problem]) -> None:
    assert failure(problem()).code == problem.code


def test_a_bad_request__is_no_misdirected_one() -> None:
    assert type(failure(BadRequest())) is BadRequest


def test_a_code_of_another_version__is_the_agents_failure() -> None:
    told = failure(AgentThrottled(retry_after_seconds=7, agent_called=True), code="agent_asleep")

    assert type(told) is AgentFailed
    assert (told.retry_after_seconds, told.agent_called) == (7, True)
