"""Where a request comes from, when there are proxies in between.

`X-Forwarded-For` is written by anybody; only what our own proxies appended can be believed. So the
list is read from the right, hop by hop, as long as the hop before was one of ours. Other headers of
the kind (`Forwarded`, `X-Real-IP`, `CF-Connecting-IP`) are not read at all.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from bff.frozen import dataclass
from bff.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from.

    `counted` is the address that the client is limited and logged under, None behind a Unix socket.
    """

    counted: Address | None
    known: bool = True
    """False if a hop could not be read: `counted` is then the address of the proxy that wrote it,
    and says nothing of the client."""

    def is_in(self, networks: Sequence[Network]) -> bool:
        """Whether the client's own address, which is known, lies in one of the networks."""
        address = self.counted
        return self.known and address is not None and any(address in one for one in networks)

    @property
    def limited_as(self) -> str:
        """The name to count under; for IPv6 the /64, since a customer has all of it."""
        if isinstance(self.counted, ipaddress.IPv6Address):
            return f"address:{ipaddress.ip_network((self.counted, 64), strict=False)}"
        return f"address:{self.counted}"


@lru_cache(maxsize=4096)
def written(address: Address | None) -> str:
    """As logs have it."""
    return str(address)


def client_of(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Client:
    """The rightmost hop that no trusted network covers, and only if the peer itself is trusted."""
    address = _without_zone(peer or "")
    hops = ",".join(forwarded_for).split(",") if forwarded_for else []
    while address and hops and any(address in network for network in trusted):
        hop = parse_address(hops.pop())
        if hop is None:  # nothing to the left of what cannot be read is worth more
            return Client(address, known=False)
        address = hop
    return Client(address)


def parse_address(text: str) -> Address | None:
    """An address as proxies write it: bare or with a port, IPv6 with brackets or without.

    None for all else. An address with a zone (`fe80::1%eth0`) means something on the proxy's own
    machine only, so it is no client's.
    """
    text = text.strip(" \t")
    if with_port := _WITH_PORT.fullmatch(text):
        if int(with_port[2] or with_port[4] or 0) > 65535:
            return None
        text = with_port[1] or with_port[3] or ""
    return None if "%" in text else _without_zone(text)


_WITH_PORT = re.compile(r"\[([^\]]*:[^\]]*)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})")


@lru_cache(maxsize=4096)
def _without_zone(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address
