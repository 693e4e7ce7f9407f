"""RFC 9113, RFC 7541 and RFC 8441, frame by frame, against the protocol object alone."""

import pytest
from compliance.http2_cases import CASES, Case

from tests.protocol.http2_memory import MemoryServer, hello


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    server = MemoryServer(hello)
    if case.greeted:
        server.peer.greet()
    case.run(server.peer)
