from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.errors import Forbidden, Invalid, Problem, Unauthenticated
from bff.identity import Authenticator, acting_for, sign_token
from bff.identity.api_keys import new_key
from bff.identity.principals import Principal, agent_session_id, foreign_id
from bff.settings import Settings, SettingsError

SHAPED = "plain.key.shaped-like-a-token"
SETTINGS = Settings.load(
    {"API_KEYS": f"svc:svc-key,batch:batch-key,odd:{SHAPED}", "JWT_SECRET": "s" * 40}
)
TOKEN = sign_token(SETTINGS, "alice", ttl_seconds=86_400)  # longer than any suite takes
Headers = Mapping[str, Sequence[str]]


async def identify(headers: Headers) -> Principal:
    caller = await Authenticator(SETTINGS, None).identify(
        authorization=headers.get("authorization", []), api_key=headers.get("api_key", [])
    )
    return acting_for(caller, headers.get("on_behalf_of", []))


@pytest.mark.parametrize(
    ("headers", "kind", "parts"),
    [
        ({"authorization": [f"Bearer {TOKEN}"]}, "jwt", ("", "alice")),
        ({"authorization": [f"bearer {TOKEN}"]}, "jwt", ("", "alice")),
        ({"authorization": [f"Bearer   {TOKEN}"]}, "jwt", ("", "alice")),
        ({"api_key": ["svc-key"]}, "key", ("svc",)),
        ({"authorization": ["Bearer batch-key"]}, "key", ("batch",)),
        ({"authorization": [f"Bearer {SHAPED}"]}, "key", ("odd",)),
        ({"api_key": [SHAPED]}, "key", ("odd",)),
        ({"api_key": ["svc-key"], "on_behalf_of": ["alice"]}, "behalf", ("svc", "alice")),
        ({"api_key": ["svc-key"], "on_behalf_of": ["!~" * 127]}, "behalf", ("svc", "!~" * 127)),
        (
            {"authorization": ["Bearer svc-key"], "on_behalf_of": ["a@b.example"]},
            "behalf",
            ("svc", "a@b.example"),
        ),
    ],
)
async def test_a_credential__is_somebody(headers: Headers, kind: str, parts: tuple[str]) -> None:
    principal = await identify(headers)

    assert (principal.kind, principal.parts) == (kind, parts)
    assert (principal.expires_at is not None) == (kind == "jwt")


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, Unauthenticated),
        ({"authorization": [""]}, Unauthenticated),
        ({"authorization": ["Bearer"]}, Unauthenticated),
        ({"authorization": ["Bearer "]}, Unauthenticated),
        ({"authorization": [TOKEN]}, Unauthenticated),
        ({"authorization": [f"Basic {TOKEN}"]}, Unauthenticated),
        ({"authorization": ["Basic c3ZjOnN2Yy1rZXk="]}, Unauthenticated),
        ({"authorization": [f"Bearer {TOKEN} {TOKEN}"]}, Unauthenticated),
        ({"authorization": [f"Bearer {TOKEN}, Bearer {TOKEN}"]}, Unauthenticated),
        ({"authorization": [f"Bearer\t{TOKEN}"]}, Unauthenticated),
        ({"authorization": [f'Bearer "{TOKEN}"']}, Unauthenticated),
        ({"api_key": [""]}, Unauthenticated),
        ({"api_key": ["svc-ke"]}, Unauthenticated),
        ({"api_key": ["svc-key "]}, Unauthenticated),
        ({"api_key": ["SVC-KEY"]}, Unauthenticated),
        ({"api_key": [TOKEN]}, Unauthenticated),
        ({"api_key": ["svc"]}, Unauthenticated),
        ({"api_key": ["svc:svc-key"]}, Unauthenticated),
        ({"api_key": [hashlib.sha256(b"svc-key").hexdigest()]}, Unauthenticated),
        ({"api_key": ["k" * 9000]}, Unauthenticated),
        ({"api_key": ["\udcff\ud800"]}, Unauthenticated),
        ({"authorization": ["Bearer \udcff.\udcff.\udcff"]}, Unauthenticated),
        # two at once, even if both are right
        ({"authorization": [f"Bearer {TOKEN}"], "api_key": ["svc-key"]}, Unauthenticated),
        ({"authorization": ["Bearer svc-key"], "api_key": ["svc-key"]}, Unauthenticated),
        ({"authorization": ["", f"Bearer {TOKEN}"]}, Unauthenticated),
        ({"authorization": [f"Bearer {TOKEN}"] * 2}, Unauthenticated),
        ({"authorization": [""], "api_key": ["svc-key"]}, Unauthenticated),
        ({"api_key": ["svc-key", "svc-key"]}, Unauthenticated),
        # on behalf of
        ({"on_behalf_of": ["alice"]}, Unauthenticated),
        ({"api_key": ["wrong"], "on_behalf_of": ["alice"]}, Unauthenticated),
        ({"authorization": [f"Bearer {TOKEN}"], "on_behalf_of": ["bob"]}, Forbidden),
        ({"authorization": [f"Bearer {TOKEN}"], "on_behalf_of": ["alice"]}, Forbidden),
        ({"authorization": [f"Bearer {TOKEN}"], "on_behalf_of": [""]}, Forbidden),
        ({"api_key": ["svc-key"], "on_behalf_of": [""]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["a b"]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["a\x7f"]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["a\n"]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["é"]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["a" * 256]}, Invalid),
        ({"api_key": ["svc-key"], "on_behalf_of": ["a", "a"]}, Invalid),
    ],
)
async def test_credentials__are_refused(headers: Headers, problem: type[Problem]) -> None:
    with pytest.raises(Problem) as caught:
        await identify(headers)

    assert type(caught.value) is problem


NAMES = st.text(st.characters() | st.sampled_from(":/{}*%\0\ud800"), max_size=12)
IDENTITIES = st.tuples(st.sampled_from(["jwt", "key", "behalf"]), st.lists(NAMES, max_size=3))


@settings(max_examples=500)
@given(IDENTITIES, IDENTITIES)
def test_two_identities__never_have_one_digest(
    one: tuple[str, list[str]], two: tuple[str, list[str]]
) -> None:
    digests = [Principal(kind, tuple(parts)).id for kind, parts in (one, two)]

    assert (digests[0] == digests[1]) == (one == two)


@settings(max_examples=500)
@given(NAMES, NAMES, NAMES, NAMES)
def test_two_sessions__never_have_one_id_at_the_agent(a: str, b: str, c: str, d: str) -> None:
    assert (agent_session_id(a, b) == agent_session_id(c, d)) == ((a, b) == (c, d))


def test_equal_names__are_different_principals() -> None:
    principals = [
        Principal("jwt", ("", "alice")),
        Principal("jwt", ("https://id.example.com", "alice")),
        Principal("key", ("alice",)),
        Principal("behalf", ("alice", "alice")),
        Principal("behalf", ("svc", "alice")),
    ]

    assert len({principal.id for principal in principals}) == 5
    assert len({agent_session_id(principal.id, "user-123") for principal in principals}) == 5


def test_what_the_agent_sees__fits_agentcore_and_says_nothing() -> None:
    principal = Principal("jwt", ("", "alice"), expires_at=1.0)

    assert re.fullmatch(r"[A-Za-z0-9_-]{33,100}", agent_session_id(principal.id, "s"))
    assert agent_session_id(principal.id, "s") == agent_session_id(principal.id, "s")
    assert principal.id == Principal("jwt", ("", "alice"), expires_at=2.0).id


def test_derivations__stay_as_they_are() -> None:
    """Whatever is stored is stored under these: another digest would lose everybody's history."""
    principal = Principal("jwt", ("https://id.example.com", "alice"))

    assert principal.id == "f2971ae3e48a5284cddbca2c8e1415512ad45b2fef96b731eb19f106c8576ecd"
    assert (
        agent_session_id(principal.id, "s-1")
        == "c7059c8b91681357e6f4b508d8ff2d754428976f5d72913eb0da4e222905908a"
    )


@pytest.mark.parametrize("text", ["a", "thread_1", "A-1", "x" * 100])
def test_a_foreign_id_that_fits__stays(text: str) -> None:
    assert foreign_id(text) == text


@pytest.mark.parametrize("text", ["", "a@b.example", "-a", "_a", "x" * 101, "é", "a\n", "\ud800"])
def test_a_foreign_id_that_does_not_fit__gets_a_name_that_does(text: str) -> None:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    assert foreign_id(text) == f"x-{digest[:32]}"


def test_a_new_key__fits_its_entry_and_is_never_the_same() -> None:
    key, entry = new_key("svc")

    assert entry == f"svc:{hashlib.sha256(key.encode()).hexdigest()}"
    assert key not in entry
    assert new_key("svc")[0] != key


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "-a", "x" * 65, "é"])
def test_a_new_key__has_a_name_that_can_be_set(name: str) -> None:
    with pytest.raises(SettingsError, match=r"NAME: got .* takes 1 to 64 letters"):
        new_key(name)
