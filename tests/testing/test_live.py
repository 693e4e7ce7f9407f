"""A real server for tests."""

from typing import Any
from urllib.request import urlopen

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from websockets.sync.client import connect

from seaway.consumers import WebsocketConsumer
from seaway.routing import ProtocolTypeRouter
from seaway.security.websocket import AllowedHostsOriginValidator
from seaway.testing import ChannelsLiveServerTestCase


class Echo(WebsocketConsumer):
    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.send(text_data=text_data)


application: Any = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(Echo.as_asgi())})


@override_settings(ASGI_APPLICATION="tests.testing.test_live.application")
class ConsumerTests(ChannelsLiveServerTestCase):
    databases: set[str] = set()

    def test_a_consumer_answers_by_the_name_that_is_allowed(self) -> None:
        assert self.live_server_url.startswith("http://localhost:")
        origin: Any = self.live_server_url
        with connect(f"{self.live_server_ws_url}/", origin=origin) as client:
            client.send("hello")
            assert client.recv(20) == "hello"

    def test_static_files_are_served(self) -> None:
        with urlopen(f"{self.live_server_url}/static/seaway/seaway.js", timeout=20) as response:
            assert response.status == 200


class DjangoTests(ChannelsLiveServerTestCase):
    databases: set[str] = set()

    def test_without_a_setting_it_is_seaways_own_application(self) -> None:
        with connect(f"{self.live_server_ws_url}/seaway/", subprotocols=["seaway.v1"]) as client:  # type: ignore[list-item]
            assert "welcome" in str(client.recv(20))


def test_a_database_in_memory_is_refused() -> None:
    class Tests(ChannelsLiveServerTestCase):
        databases = {"default"}

    with pytest.raises(ImproperlyConfigured, match=r'"TEST"\]\["NAME"\]'):
        Tests.setUpClass()
