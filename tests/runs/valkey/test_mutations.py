"""The defects that the simulation was built for are found by it when they are put back."""

from __future__ import annotations

import pytest

from tests.runs.valkey.mutations import MUTATIONS, found


@pytest.mark.parametrize("name", ["C1", "C1, all that travels with it", "C4"])
def test_a_defect_that_is_put_back__is_found(name: str) -> None:
    how = found(name)

    assert how is not None, MUTATIONS[name].what
    print(how)
