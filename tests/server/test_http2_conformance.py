"""RFC 9113, RFC 7541 and RFC 8441, frame by frame, against the server."""

from collections.abc import Iterator

import pytest
from compliance.http2 import hello
from compliance.http2_cases import CASES, Case
from compliance.http2_frames import on_socket

from tests.server.harness import RunningServer, serving


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving(hello) as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(server: RunningServer, case: Case) -> None:
    with server.connect() as client:
        peer = on_socket(client.socket)
        if case.greeted:
            peer.greet()
        case.run(peer)
