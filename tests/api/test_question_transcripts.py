from __future__ import annotations

from tests.api.question_transcripts import PAGE, written


async def test_docs_questions__shows_what_the_service_says() -> None:
    page = PAGE.read_text()

    again = "run python -m tests.api.question_transcripts and read the difference"
    assert await written(page) == page, again
