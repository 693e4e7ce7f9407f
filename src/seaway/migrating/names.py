"""The public names of Channels 4, and where Seaway has them.

What lives here: the tables. What must not: reading files.

Every dotted path is the same with ``seaway`` in the place of ``channels``; a name that is not in
the table is private to Channels, and a person has to look.
"""

from __future__ import annotations

#: Module of Channels, without its first part → its public names.
PUBLIC: dict[str, frozenset[str]] = {
    "auth": frozenset(
        {"AuthMiddleware", "AuthMiddlewareStack", "UserLazyObject", "get_user", "login", "logout"}
    ),
    "consumer": frozenset({"AsyncConsumer", "SyncConsumer", "get_handler_name"}),
    "db": frozenset({"DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async"}),
    "exceptions": frozenset(
        {
            "AcceptConnection",
            "ChannelFull",
            "DenyConnection",
            "InvalidChannelLayerError",
            "MessageTooLarge",
            "RequestAborted",
            "RequestTimeout",
            "StopConsumer",
        }
    ),
    "generic.http": frozenset({"AsyncHttpConsumer"}),
    "generic.websocket": frozenset(
        {
            "AsyncJsonWebsocketConsumer",
            "AsyncWebsocketConsumer",
            "JsonWebsocketConsumer",
            "WebsocketConsumer",
        }
    ),
    "layers": frozenset(
        {
            "BaseChannelLayer",
            "ChannelLayerManager",
            "DEFAULT_CHANNEL_LAYER",
            "InMemoryChannelLayer",
            "channel_layers",
            "get_channel_layer",
        }
    ),
    "middleware": frozenset({"BaseMiddleware"}),
    "routing": frozenset(
        {"ChannelNameRouter", "ProtocolTypeRouter", "URLRouter", "get_default_application"}
    ),
    "security.websocket": frozenset(
        {"AllowedHostsOriginValidator", "OriginValidator", "WebsocketDenier"}
    ),
    "sessions": frozenset(
        {
            "CookieMiddleware",
            "SessionMiddleware",
            "SessionMiddlewareStack",
        }
    ),
    "testing": frozenset(
        {
            "ApplicationCommunicator",
            "ChannelsLiveServerTestCase",
            "HttpCommunicator",
            "WebsocketCommunicator",
        }
    ),
    "worker": frozenset({"Worker"}),
}

#: Names of CHANNEL_LAYERS' backends → Seaway's.
BACKENDS: dict[str, str] = {
    "channels.layers.InMemoryChannelLayer": "seaway.layers.InMemoryChannelLayer",
    "channels_redis.core.RedisChannelLayer": "seaway.layers.RedisChannelLayer",
    "channels_redis.pubsub.RedisPubSubChannelLayer": "seaway.layers.RedisPubSubChannelLayer",
}

#: Requirements that Seaway takes the place of, normalised as PyPI does it.
REPLACED = ("channels", "channels-redis", "daphne")


def module_of(dotted: str) -> tuple[str, str] | None:
    """("routing", "URLRouter") of "channels.routing.URLRouter"; the second is empty for a module
    itself. None when the path is not public."""
    head, _, rest = dotted.partition(".")
    if head != "channels":
        return None
    if not rest or rest in PUBLIC or any(module.startswith(rest + ".") for module in PUBLIC):
        return rest, ""
    module, _, name = rest.rpartition(".")
    if name in PUBLIC.get(module, frozenset()):
        return module, name
    return None
