"""RFC 9112, request by request, against the server."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from compliance.http1 import check, mirror
from compliance.http1_cases import CASES, Case

from tests.server.harness import PATIENCE, RunningServer, serving
from tests.server.test_http2_tls import serving_tls


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving(mirror) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server: RunningServer, case: Case) -> None:
    assert isinstance(server.address, tuple)
    assert check(case, *server.address) == ""


def test_a_wrong_answer_is_told(server: RunningServer) -> None:
    assert isinstance(server.address, tuple)
    wrong = Case("section", "text", CASES[0].raw, (("400",),))
    assert check(wrong, *server.address).startswith("('GET / ', 'GET /end '), not ('400',)")


def test_the_preface_of_http_2_where_it_is_off() -> None:
    with serving(mirror, http2=False) as server, server.connect() as client:
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 505 ")


def test_tls_where_it_is_off(server: RunningServer) -> None:
    with server.connect() as client:
        client.send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160))
        answer = client.receive_all()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b": TLS is spoken to a port that is not for TLS\n")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_no_tls_where_it_is_on(tmp_path: Path, loop: str) -> None:
    with serving_tls(mirror, trustme.CA(), tmp_path, loop=loop) as server:
        assert isinstance(server.address, tuple)
        with socket.create_connection(server.address, PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while data := client.recv(65536):
                answer += data
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"this port is for HTTPS" in answer
