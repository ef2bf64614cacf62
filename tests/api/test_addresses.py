"""Forged `X-Forwarded-For`: whatever a client writes, it is counted under its own address."""

from __future__ import annotations

import ipaddress

import pytest

from bff.api.addresses import Client, client_of, parse_address
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
    honest = Client(ipaddress.ip_address(CLIENT))

    assert client_of(BALANCER, [f"{forged}, {CLIENT}"], TRUSTED) == honest
    assert client_of(BALANCER, [forged, CLIENT], TRUSTED) == honest
    assert client_of(BALANCER, [f"{forged}, {CLIENT}, 10.9.9.9"], TRUSTED) == honest


@pytest.mark.parametrize("forged", FORGED)
def test_a_peer_that_is_not_trusted__is_the_client(forged: str) -> None:
    assert client_of(CLIENT, [forged], TRUSTED) == Client(ipaddress.ip_address(CLIENT))
    assert client_of(CLIENT, [forged], ()) == Client(ipaddress.ip_address(CLIENT))


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
        ([], BALANCER),
    ],
)
def test_the_client__is_the_rightmost_hop_that_is_not_ours(
    forwarded: list[str], address: str
) -> None:
    assert client_of(BALANCER, forwarded, TRUSTED) == Client(ipaddress.ip_address(address))


UNREADABLE: list[str] = [
    "unknown",
    "_hidden",
    "_secret:80",
    "garbage",
    "",
    " ",
    '"127.0.0.1"',
    '"[::1]:80"',
    "for=127.0.0.1",
    "127.0.0.1;proto=https",
    "127.0.0.1/32",
    "::1%lo",
    "[::1%lo]",
    "[::1%25lo]:80",
    "fe80::1%eth0",
    "127.0.0.1%lo",
    "127.0.0.1:",
    "127.0.0.1:port",
    "127.0.0.1:65536",
    "127.0.0.1:999999",
    "[::1]:65536",
    "[::1",
    "::1]",
    "[]",
    "[127.0.0.1]",
    "127.1",
    "127.0.0.01",
    "0x7f.0.0.1",
    "2130706433",
    "127.0.0.256",
    "::ffff:127.0.0.256",
    "localhost",
    "\u0661\u0662\u0667.0.0.1",
    "127.0.0.1 127.0.0.1",
    "x" * 4000,
]
"""Hops that cannot be read, however much some of them look like this very machine."""


@pytest.mark.parametrize("hop", UNREADABLE)
def test_a_hop_that_cannot_be_read__is_counted_as_the_proxys_and_known_to_nobody(hop: str) -> None:
    everywhere = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    own, next_proxy = ipaddress.ip_address(BALANCER), ipaddress.ip_address("10.9.9.9")
    at_the_balancer = [[hop], [f"8.8.8.8, {hop}"], ["8.8.8.8", hop], [f"8.8.8.8,{hop}"]]

    for forwarded in at_the_balancer:
        assert client_of(BALANCER, forwarded, TRUSTED) == Client(own, known=False)
    behind_it = client_of(BALANCER, [f"8.8.8.8, {hop}, 10.9.9.9"], TRUSTED)
    assert behind_it == Client(next_proxy, known=False)
    assert not behind_it.is_in(everywhere)
    assert behind_it.limited_as == "address:10.9.9.9"


def test_a_peer__may_be_written_as_ipv6_though_it_is_ipv4() -> None:
    honest = Client(ipaddress.ip_address(CLIENT))

    assert client_of("::ffff:10.0.0.5", [CLIENT], TRUSTED) == honest


def test_a_peer_on_the_same_link__is_known_without_its_zone() -> None:
    link_local = ipaddress.ip_network("fe80::/10")

    assert client_of("fe80::7%eth0", [], ()).is_in([link_local])
    assert client_of("fe80::7%eth0", [CLIENT], [link_local]).is_in(
        [ipaddress.ip_network(f"{CLIENT}/32")]
    )


def test_a_peer_without_address__is_nobody() -> None:
    nobody = client_of(None, [CLIENT], TRUSTED)

    assert nobody.counted is None
    assert not nobody.is_in([ipaddress.ip_network("0.0.0.0/0")])


def test_one_ipv6_customer__is_counted_once() -> None:
    addresses = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:0:a:b:c:d"]

    assert {Client(parse_address(text)).limited_as for text in addresses} == {
        "address:2001:db8::/64"
    }
    assert Client(parse_address("2001:db8:0:1::1")).limited_as == "address:2001:db8:0:1::/64"
    assert Client(parse_address(CLIENT)).limited_as == f"address:{CLIENT}"


async def test_metrics__are_for_no_client_that_cannot_be_read(start: Start) -> None:
    service = await start(TRUSTED_PROXIES="127.0.0.0/8", METRICS_ALLOW="127.0.0.0/8,::1/128")

    async def status(*hops: str) -> int:
        headers = [("X-Forwarded-For", hop) for hop in hops]
        return (await service.client.get("/metrics", headers=headers)).status

    for hop in UNREADABLE:
        if hop.isascii():
            assert await status(f"8.8.8.8, {hop}") == 404, hop
            assert await status(hop) == 404, hop
    assert await status("8.8.8.8") == 404
    assert await status("8.8.8.8", "::1") == 200
    assert await status() == 200


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
