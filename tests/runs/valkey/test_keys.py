from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.runs.valkey.keys import PARTITIONS, idempotency_key, rate_keys, run_keys

NASTY = st.one_of(
    st.text(max_size=30),
    st.text(alphabet=":{}*?/%~._-aA0\0\r\n", max_size=12),
    st.sampled_from(["\u00e9", "e\u0301", "\ud800", "a" * 10_000, "%3a", "", "user-a", "user-a:x"]),
)


@settings(max_examples=1000, deadline=None)
@given(NASTY, NASTY, NASTY, NASTY)
@example("user-a", "x", "user-a:x", "")
@example("a", "b:c", "a:b", "c")
def test_two_places__never_share_a_key(owner: str, name: str, other: str, other_name: str) -> None:
    one, two = run_keys(owner, name), run_keys(other, other_name)
    same = (owner, name) == (other, other_name)

    assert (one.run == two.run) is same
    assert (one.log == two.log) is same
    assert (one.followers == two.followers) is same
    assert (one.open == two.open) is (owner == other)
    assert (rate_keys(owner)[0] == rate_keys(other)[0]) is (owner == other)
    assert (idempotency_key(owner, name) == idempotency_key(other, other_name)) is same


@settings(deadline=None)
@given(NASTY, NASTY)
def test_all_kinds_of_keys__are_apart(owner: str, name: str) -> None:
    keys = run_keys(owner, name)
    all_keys = [keys.run, keys.log, keys.followers, keys.open, keys.epoch, keys.leases]
    all_keys += [idempotency_key(owner, name), *rate_keys(owner)]

    assert len(set(all_keys)) == len(all_keys)


@settings(deadline=None)
@given(NASTY, NASTY)
def test_all_keys_of_an_owner__lie_in_one_slot(owner: str, name: str) -> None:
    keys = run_keys(owner, name)
    tag = f"bff:2:{{{keys.partition:02d}}}:"

    assert 0 <= keys.partition < PARTITIONS
    for key in (keys.run, keys.log, keys.followers, keys.open, keys.epoch, keys.leases):
        assert key.startswith(tag)
        assert key.count("{") == key.count("}") == 1
    assert idempotency_key(owner, name).startswith(tag)
