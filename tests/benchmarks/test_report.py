from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import BEGIN, END, Table, write_section


def measured(*rounds: tuple[float, float | None]) -> Table:
    table = Table()
    for raw, ours in rounds:
        table.add(
            {"raw": {"answers_32": raw}, "ours": None if ours is None else {"answers_32": ours}}
        )
    return table


def test_a_ratio__is_the_median_of_the_rounds_own() -> None:
    table = measured((100, 50), (1000, 600), (10, 9))

    [row] = table.rows(["raw", "ours"], spread=False)

    assert row[1:] == ["100 /s", "0.60"]


def test_a_round_that_failed__is_left_out_and_shifts_no_other() -> None:
    table = measured((100, 50), (1000, None), (10, 9))

    assert table.ratios("answers_32", "ours") == [0.5, 0.9]


def test_a_front_that_only_failed__is_said_to() -> None:
    [row] = measured((100, None)).rows(["raw", "ours"], spread=True)

    assert row[2] == "failed"


def test_what_a_front_does_not_have__is_left_empty() -> None:
    table = Table()
    table.add({"raw": {"turns": 5.0}, "litellm": {}})

    assert table.rows(["raw", "litellm"], spread=True)[0][2] == ""


def test_memory__is_told_as_it_is() -> None:
    table = Table()
    table.add({"raw": {"stream_kib": 20.0}, "ours": {"stream_kib": 30.0}})

    assert table.rows(["raw", "ours"], spread=False)[0][2] == "30 KiB"


def test_a_spread__is_told_beside_the_value() -> None:
    [row] = measured((100, 50), (100, 60)).rows(["raw", "ours"], spread=True)

    assert row[2] == "0.55 [0.50..0.60] 55 /s"


def test_an_edition__has_its_cpu_told_as_a_ratio_to_the_same_front_alone() -> None:
    table = Table()
    for ours, valkey in ((100, 150), (1000, 2000), (10, 30)):
        table.add(
            {
                front: {"answer_cpu_32": cpu, "answers_32": 1.0}
                for front, cpu in (("raw", 1.0), ("ours", ours), ("ours+valkey", valkey))
            }
        )

    told = table.markdown(["raw", "ours", "ours+valkey"], spread=True).partition("\n\n")[2]

    heads, _, *rows = [[cell.strip() for cell in line.split("|")] for line in told.splitlines()]
    assert heads[2] == "ours+valkey to ours"
    assert [row[1:3] for row in rows] == [["CPU an answer, 32 callers", "2.00 [1.50..3.0]"]]


def test_an_edition_without_the_front_alone__is_compared_to_nothing() -> None:
    table = Table()
    table.add({"raw": {"answer_cpu_32": 1.0}, "ours+valkey": {"answer_cpu_32": 2.0}})

    assert "to ours" not in table.markdown(["raw", "ours+valkey"], spread=True)


def test_the_section__takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_section(page, r"new \1")

    assert page.read_text() == f"before\n{BEGIN}\nnew \\1\n{END}\nafter\n"


def test_a_page_without_the_section__is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("nothing")

    with pytest.raises(ValueError, match="no section"):
        write_section(page, "new")

    assert page.read_text() == "nothing"
