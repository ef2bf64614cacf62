"""The table of docs/agents.md is what the decoder does."""

from pathlib import Path

from bff.agents.dialects.shapes import table

PAGE = Path(__file__).parents[3] / "docs" / "agents.md"


def test_the_page__has_the_table_that_the_code_makes() -> None:
    told = PAGE.read_text("utf-8").partition("<!-- shapes -->\n")[2]

    assert told.partition("\n<!-- /shapes -->")[0] == table(), (
        "python -m bff.agents.dialects.shapes prints what the page must say"
    )
