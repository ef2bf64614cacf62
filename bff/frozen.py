"""`dataclass` for what every request or event makes, frozen for mypy, as quick to make as any;
and `replace` for what every request changes.

What the standard library freezes it freezes once more in each instance's making, one call of
`object.__setattr__` for each field: a request of ours, with its twenty, took four times as long.
Nobody can write to a frozen class's field without `make check` saying so
(`tests/test_frozen.py`); only at runtime nothing is in the way.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:

    def dataclass(*, frozen=False, **options):
        # what is frozen can be hashed by its fields
        return dataclasses.dataclass(**options, unsafe_hash=frozen)

    def replace(instance, **changes):
        # the standard library's asks of each field whether it may be changed
        names, values_of = _fields(type(instance))
        return type(instance)(**{**dict(zip(names, values_of(instance), strict=True)), **changes})

    @cache
    def _fields(kind):
        names = [field.name for field in dataclasses.fields(kind)]
        names.append(names[0])  # of one name alone `attrgetter` makes no tuple
        return names, attrgetter(*names)
