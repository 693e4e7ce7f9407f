"""Origins that may open a WebSocket to consumers."""

from typing import Any

import pytest
from django.test import override_settings

from seaway.consumers import AsyncWebsocketConsumer
from seaway.security.websocket import (
    AllowedHostsOriginValidator,
    OriginValidator,
    WebsocketDenier,
)
from seaway.testing import WebsocketCommunicator


async def lets_in(application: Any, origin: bytes | None) -> bool:
    headers = [] if origin is None else [(b"origin", origin)]
    communicator = WebsocketCommunicator(application, "/", headers=headers)
    connected, _ = await communicator.connect()
    await communicator.disconnect()
    return connected


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        (["good.example"], b"http://good.example", True),
        (["good.example"], b"https://good.example:8443", True),
        (["good.example"], b"http://bad.example", False),
        (["good.example"], b"http://a.good.example", False),
        ([".good.example"], b"http://a.good.example", True),
        ([".good.example"], b"http://good.example", True),
        ([".good.example"], b"http://notgood.example", False),
        (["*.good.example"], b"http://a.good.example", False),
        (["http://good.example"], b"http://good.example", True),
        (["http://good.example"], b"http://good.example:80", True),
        (["http://good.example:80"], b"http://good.example", True),
        (["http://good.example"], b"https://good.example", False),
        (["http://good.example"], b"http://good.example:8080", False),
        (["http://good.example:8080"], b"http://good.example:8080", True),
        (["http://.good.example"], b"http://a.good.example", True),
        (["https://good.example"], b"https://good.example:443", True),
        (["[::1]"], b"http://[::1]:8000", True),
        (["*"], b"http://any.example", True),
        (["*"], None, True),
        (["good.example"], None, False),
        ([], b"http://good.example", False),
        (["good.example"], b"null", False),
        (["good.example"], b"http://[good.example", False),
        (["good.example"], b"http://good.example:port", False),
        (["good.example"], b"\xff\xfe", False),
    ],
)
async def test_origins(allowed: list[str], origin: bytes | None, answer: bool) -> None:
    validator = OriginValidator(AsyncWebsocketConsumer.as_asgi(), allowed)
    assert await lets_in(validator, origin) is answer


async def test_other_protocols_have_no_origin() -> None:
    with pytest.raises(ValueError, match="non-WebSocket"):
        await OriginValidator(None, [])({"type": "http"}, None, None)  # type: ignore[arg-type]


async def test_the_hosts_of_the_settings() -> None:
    with override_settings(ALLOWED_HOSTS=["good.example"]):
        application = AllowedHostsOriginValidator(AsyncWebsocketConsumer.as_asgi())
    assert await lets_in(application, b"http://good.example")
    assert not await lets_in(application, b"http://bad.example")


async def test_this_machine_while_debugging() -> None:
    with override_settings(ALLOWED_HOSTS=[], DEBUG=True):
        application = AllowedHostsOriginValidator(AsyncWebsocketConsumer.as_asgi())
    assert await lets_in(application, b"http://localhost:8000")
    assert await lets_in(application, b"http://[::1]:8000")
    assert not await lets_in(application, b"http://bad.example")


async def test_the_denier_denies() -> None:
    communicator = WebsocketCommunicator(WebsocketDenier.as_asgi(), "/")
    assert await communicator.connect() == (False, 1000)
    await communicator.disconnect()
