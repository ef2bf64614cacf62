"""Prints the zoo: frameworks, versions, scenarios, and how many of their answers are read right.

`python -m tests.agents.show` prints the table of docs/agents.md. With names (`langgraph`,
`strands/graph-raw`) it prints those answers one by one, and what is wrong with each.
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
    rows = ["| framework | versions | answers recorded | read right |", "| --- | --- | --- | --- |"]
    for environment, listed in lists().items():
        versions = ", ".join(f"{name} {number}" for name, number in listed["versions"].items())
        answers = [r for r in recordings() if r.environment == environment]
        right = sum(not wrong(recording) for recording in answers)
        rows.append(f"| {listed['framework']} | {versions} | {len(answers)} | {right} |")
    return rows


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
        print("\n".join(table()))


if __name__ == "__main__":
    main()
