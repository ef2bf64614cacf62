from __future__ import annotations

from tests.api.transcripts import PAGE, written


def test_docs_protocols__shows_what_the_encoders_write() -> None:
    page = PAGE.read_text()

    assert written(page) == page, "run python -m tests.api.transcripts and read the difference"
