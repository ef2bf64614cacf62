"""`dataclass` for what every request or event makes: frozen for mypy, and as quick to make as any.

What the standard library freezes it freezes once more in each instance's making, one call of
`object.__setattr__` for each field: a request of ours, with its twenty, took four times as long.
Nobody can write to a frozen class's field without `make check` saying so
(`tests/test_frozen.py`); only at runtime nothing is in the way.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen=False, **options):
        # what is frozen can be hashed by its fields
        return dataclasses.dataclass(**options, unsafe_hash=frozen)
