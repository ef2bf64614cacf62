"""Which questions are open, as one text that can be compared.

A claim is one conditional write in every history: the ids that are open are those that are claimed.
"""

from __future__ import annotations

from collections.abc import Iterable

from bff.events import JSON, dumps


def input_ids(inputs: Iterable[JSON]) -> list[str]:
    return [question["id"] for question in inputs]


def input_key(ids: Iterable[str]) -> str | None:
    """The ids as one text, the same in whatever order; None if there are none."""
    return dumps(sorted(ids)) if (ids := list(ids)) else None
