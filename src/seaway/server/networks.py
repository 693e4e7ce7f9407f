"""Networks: whose word about clients counts.

What lives here: a list of CIDR networks, and the question whether a peer is in it.
What must not: what a trusted peer says (`forwarded`, `acceptor`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from seaway.exceptions import ConfigurationError

#: In the list, stands for every peer that has connected through a Unix socket.
UNIX = "unix"

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """A list such as ``("10.0.0.0/8", "::1", "unix")``. Raises `ConfigurationError`."""

    __slots__ = ("_networks", "_unix", "has")

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks: list[_Network] = []
        self._unix = False
        for text in texts:
            if text == UNIX:
                self._unix = True
            else:
                self._networks.append(_network(text))
        #: Whether a peer is in the list; ``None`` is a peer of a Unix socket. Remembered: the
        #: same proxies ask again and again.
        self.has = lru_cache(maxsize=1024)(self._has)

    def _has(self, host: str | None) -> bool:
        if host is None:
            return self._unix
        address = parse_address(host)
        if address is None:
            return False
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        message = f"trusted_proxies: {text!r} is not a network such as 10.0.0.0/8, or unix"
        raise ConfigurationError(f"{message} ({error}).") from None


def parse_address(text: str) -> _Address | None:
    """An IP address, an IPv4 one in IPv6 clothes as IPv4; None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
