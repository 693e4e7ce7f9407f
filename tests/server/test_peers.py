"""Limits for one address."""

import pytest

from seaway.server.networks import Networks
from seaway.server.peers import Peers
from tests.server.applications import echo
from tests.server.harness import CapturedLog, serving, wait_until


def test_one_connection_too_many_is_answered_with_429(log: CapturedLog) -> None:
    with serving(echo, peer_connections=2) as server:
        with server.connect() as first, server.connect() as second:
            assert first.request().status == 200
            second.upgrade()
            with server.connect() as third:
                answer = third.receive_all()
                assert answer.startswith(b"HTTP/1.1 429 ")
                assert b"retry-after: 5" in answer
            assert first.request().status == 200
            wait_until(lambda: "peers_refused" in log.events)

        # Both have left, a WebSocket too: there is room again.
        def fits() -> bool:
            with server.connect() as client:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return b" 200 " in client.receive_until(b"\r\n")

        wait_until(fits)


def test_connections_that_come_too_fast_are_refused() -> None:
    with serving(echo, peer_rate=0.2) as server:
        with server.connect() as first:
            assert first.request().status == 200
        with server.connect() as second:
            assert second.receive_all().startswith(b"HTTP/1.1 429 ")


def test_proxies_are_not_counted() -> None:
    options = {"peer_connections": 1, "trusted_proxies": ("127.0.0.1",), "forwarded": "forwarded"}
    with serving(echo, **options) as server, server.connect() as one, server.connect() as two:
        assert one.request().status == two.request().status == 200


def test_behind_the_proxy_protocol_clients_are_counted_by_themselves() -> None:
    options = {"peer_connections": 1, "trusted_proxies": ("127.0.0.1",), "proxy_protocol": True}

    def line(client: str) -> bytes:
        return b"PROXY TCP4 %s 1.1.1.1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" % client.encode()

    with serving(echo, **options) as server, server.connect() as one, server.connect() as two:
        one.send(line("192.0.2.1"))
        assert one.response().status == 200
        two.send(line("192.0.2.2"))
        assert two.response().status == 200
        with server.connect() as three:
            three.send(line("192.0.2.1"))
            assert b" 429 " in three.receive_until(b"\r\n")


@pytest.fixture
def peers() -> Peers:
    return Peers(2, 0.0, Networks(["10.0.0.0/8"]))


def test_an_ipv6_network_counts_as_one(peers: Peers) -> None:
    assert peers.admit("a", ("2001:db8::1", 1), 0.0)
    assert peers.admit("b", ("2001:db8::2:2", 1), 0.0)
    assert not peers.admit("c", ("2001:db8::3", 1), 0.0)
    assert peers.admit("d", ("2001:db8:0:1::3", 1), 0.0)
    assert peers.admit("e", None, 0.0)
    peers.left("c")
    peers.left("b")
    assert peers.admit("f", ("2001:db8::3", 1), 0.0)
    assert peers.refused == 1


def test_a_connection_that_changes_its_protocol_is_counted_once(peers: Peers) -> None:
    assert peers.admit("http", ("192.0.2.1", 1), 0.0)
    peers.replaced("http", "websocket")
    peers.left("http")
    assert peers.admit("b", ("192.0.2.1", 1), 0.0)
    assert not peers.admit("c", ("192.0.2.1", 1), 0.0)
    peers.left("websocket")
    assert peers.admit("c", ("192.0.2.1", 1), 0.0)


def test_the_rate_comes_back_with_time() -> None:
    peers = Peers(0, 2.0, Networks([]))
    admitted = [peers.admit(n, ("192.0.2.1", 1), 100.0) for n in range(12)]
    assert admitted == [True] * 10 + [False] * 2
    assert peers.admit(20, ("192.0.2.2", 1), 100.0)
    assert [peers.admit(n, ("192.0.2.1", 1), 101.0) for n in range(3)] == [True, True, False]


def test_few_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seaway.server.peers._MOST", 100)
    peers = Peers(0, 0.1, Networks([]))
    for number in range(1000):
        assert peers.admit(number, (f"192.0.{number >> 8}.{number & 255}", 1), 0.0)
    assert len(peers._buckets) == 100
