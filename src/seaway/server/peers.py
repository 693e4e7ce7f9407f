"""Limits for one address: open connections, and new ones in a second.

What lives here: counting, and the verdict on a connection that comes.
What must not: the answer to one that is refused (`socket_end`).

Off by default: behind a proxy all connections come from one address, and a school or a phone
network may have thousands of people behind one. Who has clients connect directly can choose.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from seaway.server.networks import Networks, parse_address
from seaway.server.scope_types import Peer

#: Seconds of the allowed rate that an address may use at once: a browser opens six at a time.
_BURST_SECONDS = 5.0
#: Addresses with a rate that are remembered; the longest unseen are forgotten first, which is to
#: their advantage. An attacker with so many addresses is not stopped by a limit per address.
_MOST = 50_000
#: The part of an IPv6 address that a customer gets as a whole (RFC 6177).
_IPV6_BITS = 64


class Peers:
    """Counts connections per address, in one worker.

    :param most: open connections of one address; 0: any number.
    :param rate: new connections of one address in a second; 0: any number.
    :param exempt: proxies, which bring the connections of many.
    """

    __slots__ = ("_buckets", "_burst", "_exempt", "_most", "_of", "_open", "_rate", "refused")

    def __init__(self, most: int, rate: float, exempt: Networks) -> None:
        self._most = most
        self._rate = rate
        self._burst = max(1.0, rate * _BURST_SECONDS)
        self._exempt = exempt
        self._open: dict[str, int] = {}
        self._of: dict[object, str] = {}
        #: (connections that may come at once, when that was so)
        self._buckets: dict[str, tuple[float, float]] = {}
        #: Connections refused since it was last looked at.
        self.refused = 0

    def admit(self, connection: object, client: Peer, now: float) -> bool:
        """Whether ``connection`` may stay; it is counted then until `left`."""
        if client is None or self._exempt.has(client[0]):
            return True
        key = _key(client[0])
        if (self._most and self._open.get(key, 0) >= self._most) or not self._has_room(key, now):
            self.refused += 1
            return False
        if self._most:
            self._open[key] = self._open.get(key, 0) + 1
            self._of[connection] = key
        return True

    def _has_room(self, key: str, now: float) -> bool:
        if not self._rate:
            return True
        room, since = self._buckets.pop(key, (self._burst, now))
        room = min(self._burst, room + (now - since) * self._rate)
        admitted = room >= 1.0
        # Put at the end: the first of the dictionary is the longest unseen.
        self._buckets[key] = (room - 1.0 if admitted else room, now)
        if len(self._buckets) > _MOST:
            del self._buckets[next(iter(self._buckets))]
        return admitted

    def replaced(self, connection: object, successor: object) -> None:
        """Another protocol speaks over the same connection now."""
        key = self._of.pop(connection, None)
        if key is not None:
            self._of[successor] = key

    def left(self, connection: object) -> None:
        """A connection is gone. One that was not counted: nothing."""
        key = self._of.pop(connection, None)
        if key is None:
            return
        count = self._open[key] - 1
        if count:
            self._open[key] = count
        else:
            del self._open[key]


def _key(host: str) -> str:
    """What is counted as one: an IPv4 address, or an IPv6 network."""
    address = parse_address(host)
    if not isinstance(address, IPv6Address):
        return host if address is None else str(address)
    return str(IPv6Address(int(address) >> _IPV6_BITS << _IPV6_BITS))
