"""`python -m bff.runs.valkey` prints the states of a replica and the transitions between them.

ARCHITECTURE.md holds what it prints; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence

from bff.runs.valkey.replica import TRANSITIONS, State


def table() -> str:
    """The states and the transitions, as Markdown; a dot is a state that stays as it is."""
    states = [state for state in State if state is not State.LOST]
    lines = ["| state | what it says |", "| --- | --- |"]
    lines += [f"| `{state.name}` | {state.value} |" for state in State]
    lines += ["", "| event | " + " | ".join(f"`{state.name}`" for state in states) + " |"]
    lines.append("| --- " * (len(states) + 1) + "|")
    for event, row in TRANSITIONS.items():
        cells = [_cell(state, row.get(state, ())) for state in states]
        lines.append(f"| {event} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(state: State, after: Sequence[State]) -> str:
    return " or ".join("·" if to is state else f"`{to.name}`" for to in after)


if __name__ == "__main__":
    print(table())
