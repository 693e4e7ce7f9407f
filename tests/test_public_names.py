"""The public names: what a project may import from ``seaway``, and at what price."""

from __future__ import annotations

import subprocess
import sys

import pytest

import seaway

PUBLIC = {
    "ActionError",
    "Backoff",
    "Channel",
    "ChannelClosed",
    "ChannelFull",
    "ConfigurationError",
    "DEFAULT_CHANNEL_LAYER",
    "EventsMissed",
    "GiveUp",
    "History",
    "InvalidName",
    "LayerUnavailable",
    "PayloadTooLarge",
    "Position",
    "SeawayError",
    "SyncCallInLoop",
    "Topic",
    "TopicAddress",
    "TopicError",
    "UnencodablePayload",
    "action",
    "after",
    "channel",
    "select",
}

#: Public by module, for those who need more than a topic.
BY_MODULE = {
    "seaway.asgi": {"get_asgi_application"},
    "seaway.auth": {
        "AuthMiddleware",
        "AuthMiddlewareStack",
        "Identity",
        "UserLazyObject",
        "Visitor",
        "get_user",
        "login",
        "logout",
    },
    "seaway.conf": {"seaway_settings", "layer_home", "close_layer_home", "reference", "problems"},
    "seaway.consumer": {"AsyncConsumer", "SyncConsumer", "get_handler_name"},
    "seaway.consumers": {
        "AcceptConnection",
        "AsyncConsumer",
        "AsyncHttpConsumer",
        "AsyncJsonWebsocketConsumer",
        "AsyncJsonWebsocketDemultiplexer",
        "AsyncWebsocketConsumer",
        "DenyConnection",
        "JsonWebsocketConsumer",
        "StopConsumer",
        "SyncConsumer",
        "WebsocketConsumer",
        "get_handler_name",
    },
    "seaway.db": {"aclose_old_connections", "database_sync_to_async"},
    "seaway.exceptions": {
        "AcceptConnection",
        "ChannelFull",
        "DenyConnection",
        "InvalidChannelLayerError",
        "MessageTooLarge",
        "RequestAborted",
        "RequestTimeout",
        "StopConsumer",
    },
    "seaway.generic.http": {"AsyncHttpConsumer"},
    "seaway.generic.websocket": {
        "AsyncJsonWebsocketConsumer",
        "AsyncWebsocketConsumer",
        "JsonWebsocketConsumer",
        "WebsocketConsumer",
    },
    "seaway.http": {"get_http_application", "with_static_files"},
    "seaway.layers": {
        "BaseChannelLayer",
        "ChannelFull",
        "ChannelLayerManager",
        "DEFAULT_CHANNEL_LAYER",
        "InMemoryChannelLayer",
        "InvalidChannelLayerError",
        "RedisChannelLayer",
        "RedisPubSubChannelLayer",
        "SeawayChannelLayer",
        "channel_layers",
        "get_channel_layer",
    },
    "seaway.layers.base": {"Gap", "History", "Layer", "Page", "Position", "Publication"},
    "seaway.middleware": {"BaseMiddleware"},
    "seaway.origin": {"origin_allowed", "page_allowed"},
    "seaway.pool": {"run_in_pool", "thread_sensitive"},
    "seaway.routing": {
        "ChannelNameRouter",
        "ProtocolTypeRouter",
        "URLRouter",
        "get_default_application",
    },
    "seaway.security.websocket": {
        "AllowedHostsOriginValidator",
        "OriginValidator",
        "WebsocketDenier",
    },
    "seaway.sessions": {"CookieMiddleware", "SessionMiddleware", "SessionMiddlewareStack"},
    "seaway.testing.application": {"ApplicationCommunicator"},
    "seaway.testing.http": {"HttpCommunicator"},
    "seaway.testing.live": {"ChannelsLiveServerTestCase"},
    "seaway.testing.websocket": {"WebsocketCommunicator"},
    "seaway.worker": {"Worker"},
    "seaway.topics.membership": {"Membership"},
    "seaway.topics.registry": {"registry"},
}


def test_the_table_holds_exactly_the_public_names() -> None:
    assert set(seaway._PUBLIC) == PUBLIC
    assert set(dir(seaway)) >= PUBLIC | {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_can_be_imported_and_knows_itself(name: str) -> None:
    found = getattr(seaway, name)
    assert found == "default" if name.isupper() else found.__name__ == name


@pytest.mark.parametrize("module", sorted(BY_MODULE))
def test_a_module_has_its_public_names(module: str) -> None:
    __import__(module)
    assert set(dir(sys.modules[module])) >= BY_MODULE[module]


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Topik'"):
        _ = seaway.Topik


@pytest.mark.parametrize(
    "module", ["seaway", "seaway.protocol.events", "seaway.layers.base", "seaway.layers.engines"]
)
def test_what_knows_nothing_of_django_does_not_import_it(module: str) -> None:
    code = f"import {module}, sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_exceptions_and_history_come_without_django() -> None:
    code = "from seaway import ActionError, History; import sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
