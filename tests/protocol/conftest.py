"""What tests of HTTP/2 without sockets begin with."""

import pytest

from tests.protocol.http2_memory import MemoryServer


@pytest.fixture
def server() -> MemoryServer:
    """A connection whose peer has greeted it."""
    server = MemoryServer()
    server.peer.greet()
    server.events.clear()
    return server
