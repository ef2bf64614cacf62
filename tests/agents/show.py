"""Prints the zoo: frameworks, versions, scenarios, and how many of their answers are read right.

`python -m tests.agents.show` prints the table of docs/agents.md, and beside it how many answers are
read right. With names (`langgraph`, `strands/graph-raw`) it prints those answers one by one, and
what is wrong with each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.agents.recordings import Recording, decoded, differences, lists, recordings


def wrong(recording: Recording) -> list[str]:
    events, failure = decoded(recording.body, recording.content_type, recording.headers)
    found = differences(recording.truth, events, failed=failure is not None)
    return [*found, f"it failed: {failure}"] if found and failure else found


def table() -> list[str]:
    """The rows of docs/agents.md."""
    rows = ["| framework | versions | answers recorded |", "| --- | --- | --- |"]
    for listed in lists().values():
        versions = ", ".join(f"{name} {release}" for name, release in listed["versions"].items())
        rows.append(
            f"| {listed['framework']} | {versions or 'by hand'} | {len(listed['scenarios'])} |"
        )
    return rows


def counted() -> list[str]:
    """The table with a column for what is read right."""
    answers = [[r for r in recordings() if r.environment == environment] for environment in lists()]
    right = [str(sum(not wrong(recording) for recording in group)) for group in answers]
    return [
        f"{row} {cell} |" for row, cell in zip(table(), ["read right", "---", *right], strict=True)
    ]


def show(prefixes: Sequence[str]) -> None:
    for recording in recordings():
        if recording.id.startswith(tuple(prefixes)):
            found = wrong(recording)
            print(f"{'NO ' if found else 'yes'} {recording.id}")
            for difference in found:
                print(f"      {difference}")


def main() -> None:
    if sys.argv[1:]:
        show(sys.argv[1:])
    else:
        print("\n".join(counted()))


if __name__ == "__main__":
    main()
