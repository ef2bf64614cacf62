"""Where a request comes from, when there are proxies in between.

`X-Forwarded-For` is written by anybody; only what our own proxies appended can be believed. So the
list is read from the right, hop by hop, as long as the hop before was one of ours. Other headers of
the kind (`Forwarded`, `X-Real-IP`, `CF-Connecting-IP`) are not read at all.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from bff.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The rightmost hop that no trusted network covers, and only if the peer itself is trusted.

    None: the peer has no address (a Unix socket).
    """
    address = parse_address(peer or "")
    hops = ",".join(forwarded_for).split(",")
    while address and hops and any(address in network for network in trusted):
        hop = parse_address(hops.pop())
        if hop is None:  # nothing to the left of what cannot be read is worth more
            break
        address = hop
    return address


def parse_address(text: str) -> Address | None:
    """An address as proxies write it: bare or with a port, IPv6 with brackets or without."""
    text = text.strip(" \t")
    if with_port := re.fullmatch(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", text):
        text = with_port[1] or with_port[2] or ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def limited_as(address: Address | None) -> str:
    """The name under which an address is counted; whoever has one IPv6 address has its /64."""
    if isinstance(address, ipaddress.IPv6Address):
        return f"address:{ipaddress.ip_network((address, 64), strict=False)}"
    return f"address:{address}"
