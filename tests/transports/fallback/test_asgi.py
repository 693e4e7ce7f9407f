"""Who answers: the fallback transports, or Django, which may do so without a coroutine."""

from __future__ import annotations

from typing import Any

import pytest

from seaway.asgi import Application


class Django:
    """Takes every request that it is offered."""

    def __init__(self) -> None:
        self.offered: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it takes requests before it is called")

    def seaway_respond(self, scope: Any, responder: Any) -> bool:
        self.offered.append(scope["path"])
        return True


@pytest.mark.parametrize(
    ("path", "djangos"),
    [
        ("/", True),
        ("/seaway/", True),
        ("/seaway/other", True),
        ("/sse", True),
        ("/seaway/sse", False),
        ("/seaway/poll", False),
        ("/seaway/send", False),
        ("/seaway/publish", False),
        ("/seaway/topics/a/b", False),
    ],
)
def test_django_is_not_offered_what_is_ours(path: str, djangos: bool) -> None:
    django = Django()
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    responder: Any = None
    assert Application(django).seaway_respond(scope, responder) is djangos
    assert django.offered == ([path] if djangos else [])
