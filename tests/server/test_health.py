"""The health endpoint: well, and about to stop."""

from typing import Any

import pytest

from seaway.exceptions import ConfigurationError
from seaway.server.config import ServerConfig
from tests.server.applications import echo
from tests.server.harness import CapturedLog, serving, wait_until


def test_ready_and_not_in_the_log(log: CapturedLog) -> None:
    with serving(echo, health_path="/healthz", access_log=True) as server:
        with server.connect() as client:
            answer = client.request("/healthz?probe")
            assert (answer.status, answer.body) == (200, b"ready\n")
            assert answer.headers["cache-control"] == "no-store"
            assert client.request("/healthz/more").body == b"/healthz/more:"
        wait_until(lambda: "request" in log.events)
    assert len(log.events) == 1


def test_stopping_is_said_while_connections_are_still_accepted() -> None:
    with serving(echo, health_path="/healthz", drain_delay=30.0) as server:
        server.runner.stop()

        def status() -> int:
            with server.connect() as client:
                return client.request("/healthz").status

        wait_until(lambda: status() == 503)
        with server.connect() as client:
            assert client.request("/page").headers.get("connection") != "close"
        # A second stop does not wait for the delay.


def test_below_a_root_path() -> None:
    serve = serving(echo, health_path="/healthz", root_path="/app")
    with serve as server, server.connect() as client:
        assert client.request("/healthz").body == b"ready\n"


def test_off_by_default() -> None:
    with serving(echo) as server, server.connect() as client:
        assert client.request("/healthz").body == b"/healthz:"


def test_websockets_and_other_paths_pass(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    with serving(app, health_path="/healthz") as server, server.connect() as client:
        assert b" 101 " in client.upgrade("/healthz")


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(ConfigurationError, match="health_path"):
        ServerConfig(health_path="healthz")
