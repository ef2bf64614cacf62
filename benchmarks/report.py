"""Figures to tables: medians with their spread, ratios to the bare relay first."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REFERENCE = "raw"
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"


@dataclass(frozen=True)
class Figure:
    label: str
    unit: str
    more: bool = False
    """More is better; of all others less is."""
    alone: bool = False
    """Told as it is, not as a ratio."""
    aside: bool = False
    """Printed, but not in the README."""


FIGURES: Mapping[str, Figure] = {
    "answers_1": Figure("whole answers, 1 caller", "/s", more=True, aside=True),
    "answers_32": Figure("whole answers, 32 callers", "/s", more=True),
    "answers_128": Figure("whole answers, 128 callers", "/s", more=True, aside=True),
    "answer_cpu_1": Figure("CPU an answer, 1 caller", "µs", aside=True),
    "answer_cpu_32": Figure("CPU an answer, 32 callers", "µs"),
    "answer_cpu_128": Figure("CPU an answer, 128 callers", "µs", aside=True),
    "added": Figure("added to an answer, p50", "ms"),
    "added_p99": Figure("added to an answer, p99", "ms", aside=True),
    "first_added": Figure("added to the first event, p50", "ms"),
    "single_events": Figure("events, written one by one", "/s", more=True, aside=True),
    "burst_events": Figure("events, 50 in one write", "/s", more=True, aside=True),
    "single_cpu": Figure("CPU for 10,000 events, one by one", "s"),
    "burst_cpu": Figure("CPU for 10,000 events, 50 in one write", "s"),
    "late_40": Figure("40 quick streams: lateness, p99", "ms", aside=True),
    "late_cpu_40": Figure("40 quick streams: CPU for 10,000 events", "s"),
    "late_500": Figure("500 slow streams: lateness, p99", "ms"),
    "late_cpu_500": Figure("500 slow streams: CPU for 10,000 events", "s"),
    "late_2000": Figure("2,000 slow streams: lateness, p99", "ms"),
    "late_cpu_2000": Figure("2,000 slow streams: CPU for 10,000 events", "s"),
    "left": Figure("20 clients leave: until the agent is left alone", "ms"),
    "turns": Figure("WebSocket turns, 50 sockets", "/s", more=True),
    "turn_cpu": Figure("CPU a WebSocket turn", "µs", aside=True),
    "stream_kib": Figure("memory of an open stream", "KiB", alone=True),
    "socket_kib": Figure("memory of an open WebSocket", "KiB", alone=True),
}


@dataclass
class Table:
    """All that was measured: figure, front, one value a round, in the rounds' order."""

    values: dict[str, dict[str, list[float | None]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, found: Mapping[str, Mapping[str, float] | None]) -> None:
        """One round of one scenario, by front; None for a front that failed it."""
        names = {name for figures in found.values() for name in figures or ()}
        for front, figures in found.items():
            for name in names if figures is None else figures:
                self.values[name][front].append(figures[name] if figures else None)

    def known(self, name: str, front: str) -> list[float]:
        return [value for value in self.values[name][front] if value is not None]

    def ratios(self, name: str, front: str, to: str = REFERENCE) -> list[float]:
        """To another front, round by round: what disturbed a round disturbed both."""
        pairs = zip(self.values[name][front], self.values[name][to], strict=False)
        return [mine / its for mine, its in pairs if mine is not None and its]

    def rows(self, fronts: Sequence[str], *, spread: bool) -> list[list[str]]:
        return [
            [FIGURES[name].label, *(self._cell(name, front, spread=spread) for front in fronts)]
            for name in FIGURES
            if any(self.known(name, front) for front in fronts)
            and (spread or not FIGURES[name].aside)
        ]

    def _cell(self, name: str, front: str, *, spread: bool) -> str:
        known, figure = self.known(name, front), FIGURES[name]
        if not known:
            return "failed" if self.values[name][front] else ""
        value = f"{short(statistics.median(known))} {figure.unit}"
        ratios = [] if figure.alone or front == REFERENCE else self.ratios(name, front)
        if not ratios:
            return value
        text = _told(ratios, spread=spread)
        if spread:
            text += f" {value}"
        return text

    def editions(self, fronts: Sequence[str], *, spread: bool) -> list[list[str]]:
        """The CPU of each edition, as a ratio to the same front without its server."""
        found = []
        for name, figure in FIGURES.items():
            ratios = [self.ratios(name, front, alone(front)) for front in fronts]
            if "cpu" in name and any(ratios) and (spread or not figure.aside):
                found.append(
                    [figure.label, *(_told(each, spread=spread) if each else "" for each in ratios)]
                )
        return found

    def markdown(self, fronts: Sequence[str], *, spread: bool) -> str:
        heads = [f"**{front}**" if front.startswith("ours") else front for front in fronts]
        text = table_text(["", *heads], self.rows(fronts, spread=spread))
        editions = [front for front in fronts if alone(front) != front and alone(front) in fronts]
        if rows := self.editions(editions, spread=spread):
            heads = [f"{front} to {alone(front)}" for front in editions]
            text += f"\n\n{table_text(['', *heads], rows)}"
        return text


def alone(front: str) -> str:
    """Without the server that an edition has."""
    return front.partition("+")[0]


def table_text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]
    lines = [heads, ["-" * max(3, width) for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )  # fmt: skip


def _told(ratios: Sequence[float], *, spread: bool) -> str:
    text = _ratio(statistics.median(ratios))
    if spread and len(ratios) > 1:
        text += f" [{_ratio(min(ratios))}..{_ratio(max(ratios))}]"
    return text


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 3 else f"{value:.2f}"


def write_section(page: Path, text: str) -> None:
    """Put the text between the page's markers. Raises `ValueError` if it has none."""
    old = page.read_text()
    new, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{text}\n{END}",
        old,
        flags=re.S,
    )
    if count != 1:
        raise ValueError(f"{page} has no section {BEGIN}")
    page.write_text(new)
