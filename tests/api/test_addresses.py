"""Forged `X-Forwarded-For`: whatever a client writes, it is counted under its own address."""

from __future__ import annotations

import ipaddress

import pytest

from bff.api.addresses import client_address, limited_as, parse_address
from tests.api.conftest import Start

TRUSTED = (
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("fd00::/8"),
    ipaddress.ip_network("127.0.0.1/32"),
)
CLIENT, BALANCER = "203.0.113.7", "10.0.0.5"

FORGED: list[str] = [
    "1.2.3.4",
    "1.2.3.4, 5.6.7.8",
    "1.2.3.4,5.6.7.8",
    "10.0.0.9",
    "10.0.0.9, 10.0.0.8",
    "127.0.0.1",
    "::1",
    "fd00::1",
    "2001:db8::1",
    "[2001:db8::1]",
    "[2001:db8::1]:443",
    "::ffff:10.0.0.1",
    "1.2.3.4:80",
    "10.0.0.1:80",
    "unknown",
    "_hidden",
    "",
    ",",
    ", , ,",
    "1.2.3.4,",
    "'; DROP TABLE --",
    '"1.2.3.4"',
    "for=1.2.3.4",
    "1.2.3.4;proto=https",
    "0x7f.1",
    "2130706433",
    "010.0.0.1",
    "1.2.3.4/32",
    "fe80::1%eth0",
    "999.1.1.1",
    "localhost",
    "\u0661.2.3.4",
    "1.2.3.4\t, 5.6.7.8",
    "x" * 4000,
    ", ".join(["1.2.3.4"] * 100),
    ", ".join(["10.0.0.1"] * 100),
]


def test_the_table__has_at_least_thirty_forms() -> None:
    assert len(set(FORGED)) >= 30


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_list__does_not_change_who_is_counted(forged: str) -> None:
    """The balancer appends the peer it saw, as one list or as one more header."""
    honest = ipaddress.ip_address(CLIENT)

    assert client_address(BALANCER, [f"{forged}, {CLIENT}"], TRUSTED) == honest
    assert client_address(BALANCER, [forged, CLIENT], TRUSTED) == honest
    assert client_address(BALANCER, [f"{forged}, {CLIENT}, 10.9.9.9"], TRUSTED) == honest


@pytest.mark.parametrize("forged", FORGED)
def test_a_peer_that_is_not_trusted__is_the_client(forged: str) -> None:
    assert client_address(CLIENT, [forged], TRUSTED) == ipaddress.ip_address(CLIENT)
    assert client_address(CLIENT, [forged], ()) == ipaddress.ip_address(CLIENT)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7:51000"], "203.0.113.7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:51000"], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["2001:DB8:0::7"], "2001:db8::7"),
        (["203.0.113.7, 10.1.1.1, fd00::1"], "203.0.113.7"),
        (["203.0.113.7", "10.1.1.1"], "203.0.113.7"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["nonsense, 10.2.2.2"], "10.2.2.2"),
        (["203.0.113.7, nonsense"], BALANCER),
        ([], BALANCER),
    ],
)
def test_the_client__is_the_rightmost_hop_that_is_not_ours(
    forwarded: list[str], address: str
) -> None:
    assert client_address(BALANCER, forwarded, TRUSTED) == ipaddress.ip_address(address)


def test_a_peer__may_be_written_as_ipv6_though_it_is_ipv4() -> None:
    assert client_address("::ffff:10.0.0.5", [CLIENT], TRUSTED) == ipaddress.ip_address(CLIENT)


def test_a_peer_without_address__is_nobody() -> None:
    assert client_address(None, [CLIENT], TRUSTED) is None


def test_one_ipv6_customer__is_counted_once() -> None:
    addresses = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:a:b:c:d"]

    assert {limited_as(parse_address(text)) for text in addresses} == {"address:2001:db8::/64"}
    assert limited_as(parse_address("2001:db8:0:1::1")) == "address:2001:db8:0:1::/64"
    assert limited_as(parse_address(CLIENT)) == f"address:{CLIENT}"


async def test_no_forged_header__buys_one_more_guess(start: Start) -> None:
    """Ten wrong keys an address and window; the test's own address is the trusted balancer's."""
    service = await start(TRUSTED_PROXIES="127.0.0.1/32", RATE_LIMIT_REQUESTS="10")
    statuses = []
    for number, forged in enumerate(FORGED):
        if forged.isascii():
            headers = {
                "X-API-Key": f"guess-{number}",
                "X-Forwarded-For": f"{forged}, {CLIENT}",
                "Forwarded": f"for={number}.1.1.1",
                "X-Real-IP": f"{number}.1.1.1",
                "CF-Connecting-IP": f"{number}.1.1.1",
                "True-Client-IP": f"{number}.1.1.1",
            }
            statuses.append((await service.client.get("/v1/models", headers=headers)).status)
    other = await service.client.get(
        "/v1/models", headers={"X-API-Key": "x", "X-Forwarded-For": "198.51.100.1"}
    )
    owner = await service.client.get("/v1/models", headers={"X-Forwarded-For": CLIENT})

    assert statuses == [401] * 10 + [429] * (len(statuses) - 10)
    assert other.status == 401
    assert owner.status == 200
