"""Lifespan, and the state that it leaves for requests."""

from typing import Any

import pytest

from seaway.server.application import StartupFailed
from tests.server.harness import CapturedLog, serving


class App:
    """An application with a lifespan that notes what happens."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.startup: dict[str, Any] = {"type": "lifespan.startup.complete"}
        self.shutdown: dict[str, Any] = {"type": "lifespan.shutdown.complete"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(dict(scope["state"]))
            scope["state"]["request"] = "private"
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})
            return
        scope["state"]["pool"] = "a pool"
        self.seen.append((await receive())["type"])
        await send(self.startup)
        self.seen.append((await receive())["type"])
        await send(self.shutdown)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_state_and_shutdown(mode: str) -> None:
    app = App()
    with serving(app, lifespan=mode) as server, server.connect() as client:
        client.request()
        client.request()
    state = {"pool": "a pool"}
    assert app.seen == ["lifespan.startup", state, state, "lifespan.shutdown"]


def test_lifespan_off() -> None:
    app = App()
    with serving(app, lifespan="off") as server, server.connect() as client:
        assert client.request().status == 200
    assert app.seen == [{}]


def test_a_startup_that_says_no() -> None:
    app = App()
    app.startup = {"type": "lifespan.startup.failed", "message": "line one\nno database"}
    with (
        pytest.raises(StartupFailed, match="startup failed: no database"),
        serving(app, lifespan="auto"),
    ):
        pass


def test_an_application_without_lifespan() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "no lifespan here"

    with serving(app, lifespan="auto"):
        pass
    with pytest.raises(StartupFailed, match="no lifespan here"), serving(app, lifespan="on"):
        pass


def test_a_startup_that_raises_does_not_keep_the_server_from_starting(log: CapturedLog) -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            asked.append((await receive())["type"])
            raise ValueError("no database")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with serving(app, lifespan="auto") as server, server.connect() as client:
        assert client.request().status == 204
    # No more of its lifespan is tried, and nothing of it is lost in silence.
    assert asked == ["lifespan.startup"]
    assert log.events == ["lifespan_failed"]
    with pytest.raises(StartupFailed, match="no database"), serving(app, lifespan="on"):
        pass


@pytest.mark.parametrize("kind", ["lifespan.shutdown.complete", "lifespan.ready"])
def test_an_answer_that_is_none(kind: str) -> None:
    app = App()
    app.startup = {"type": kind}
    message = f"RuntimeError: Unexpected ASGI message '{kind}' in lifespan."
    with pytest.raises(StartupFailed, match=message), serving(app, lifespan="on"):
        pass


def test_a_shutdown_that_fails_is_logged(log: CapturedLog) -> None:
    app = App()
    app.shutdown = {"type": "lifespan.shutdown.failed", "message": "stuck"}
    with serving(app, lifespan="on"):
        pass
    assert log.events == ["shutdown_failed"]
