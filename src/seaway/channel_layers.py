"""The channel layers of a Django project: the ``CHANNEL_LAYERS`` setting.

What lives here: `get_channel_layer`, `channel_layers`, and `SeawayChannelLayer`, which knows the
project's ``LAYER``.
What must not: how messages travel; that is `seaway.layers.channels`.

All of it is imported from `seaway.layers`, as from ``channels.layers``.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from seaway.conf import layer_home, place, seaway_settings
from seaway.database import engine_address
from seaway.exceptions import ChannelFull, ConfigurationError, InvalidChannelLayerError
from seaway.layers.base import Layer
from seaway.layers.channels.base import BaseChannelLayer, Capacities
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.channels.redis_hosts import layer_address
from seaway.layers.engines import make_layer
from seaway.layers.home import LayerHome

DEFAULT_CHANNEL_LAYER = "default"

#: What counts where there is no CHANNEL_LAYERS at all. ``{}`` means: no channel layer.
_UNSET: dict[str, dict[str, Any]] = {
    DEFAULT_CHANNEL_LAYER: {"BACKEND": "seaway.layers.SeawayChannelLayer"}
}

#: Names of other packages' layers → ours in their place.
_SUCCESSORS = {
    "channels.layers.InMemoryChannelLayer": "seaway.layers.InMemoryChannelLayer",
    "channels_redis.core.RedisChannelLayer": "seaway.layers.RedisChannelLayer",
    "channels_redis.pubsub.RedisPubSubChannelLayer": "seaway.layers.RedisPubSubChannelLayer",
}


_NO_KEYS = (
    "symmetric_encryption_keys: keys belong to the engine, not to a channel layer. Without them "
    "here, and without the engine's own, messages would travel in the clear."
)


class SeawayChannelLayer(ChannelLayer):
    """A channel layer on any engine.

    :param LAYER: the engine's address, as in ``SEAWAY["LAYER"]``; None: that one.
    :param prefix: tells apart channel layers on one engine.

    The other options are those of `ChannelLayer`.
    """

    def __init__(
        self,
        LAYER: str | None = None,  # noqa: N803  named like the setting
        *,
        prefix: str = "default",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        on_gap: str = "",
    ) -> None:
        super().__init__(
            self._home_now,
            prefix=prefix,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            on_gap=on_gap,
        )
        self._address = LAYER
        self._own: LayerHome | None = None
        self._lock = threading.Lock()
        self.ChannelFull = _channel_full()

    async def close(self) -> None:
        await super().close()
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            await asyncio.to_thread(own.close)

    def _home_now(self) -> LayerHome:
        """The project's home where the address is the project's; else one of this layer's own."""
        if self._address is None or self._address == seaway_settings().LAYER:
            return layer_home()
        with self._lock:
            if self._own is None:
                self._own = LayerHome(self._make_layer)
            return self._own

    def _make_layer(self) -> Layer:
        options = seaway_settings()
        address = self._address or options.LAYER
        layer = make_layer(engine_address(address), namespace=options.NAMESPACE, place=place())
        layer.max_data = options.MAX_EVENT_BYTES
        return layer

    def _forked(self) -> None:
        super()._forked()
        self._lock = threading.Lock()


class RedisChannelLayer(SeawayChannelLayer):
    """Takes the options of channels_redis' layers, and is a `SeawayChannelLayer` on Redis.

    :param hosts: as there; see `layer_address` for what becomes of them.
    :param on_disconnect, on_reconnect: as ``on_gap``; the second counts where there are both.
    """

    def __init__(
        self,
        hosts: Any = None,
        prefix: str = "asgi",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        symmetric_encryption_keys: list[str] | None = None,
        on_disconnect: str | None = None,
        on_reconnect: str | None = None,
    ) -> None:
        if symmetric_encryption_keys:
            raise ConfigurationError(_NO_KEYS)
        super().__init__(
            layer_address(hosts),
            prefix=prefix.strip(":"),
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            on_gap=on_reconnect or on_disconnect or "",
        )


class RedisPubSubChannelLayer(RedisChannelLayer):
    """The same under the name of channels_redis' other layer."""


class ChannelLayerManager:
    """The project's channel layers by alias, each made when it is first asked for.

    :ivar backends: those that have been made.
    """

    def __init__(self) -> None:
        self.backends: dict[str, BaseChannelLayer] = {}
        self._lock = threading.Lock()
        setting_changed.connect(self._reset_backends, weak=False)

    @property
    def configs(self) -> Mapping[str, Mapping[str, Any]]:
        """The setting in force."""
        configs: Mapping[str, Mapping[str, Any]] = getattr(settings, "CHANNEL_LAYERS", _UNSET)
        return configs

    def make_backend(self, name: str) -> BaseChannelLayer:
        """A new layer from the ``CONFIG`` of an alias.

        :raises InvalidChannelLayerError: its entry is wrong; says how.
        """
        return self._make_backend(name, self._config(name).get("CONFIG", {}))

    def make_test_backend(self, name: str) -> BaseChannelLayer:
        """A new layer from its ``TEST_CONFIG``."""
        config = self._config(name)
        if "TEST_CONFIG" not in config:
            raise InvalidChannelLayerError(f"No TEST_CONFIG specified for {name}")
        return self._make_backend(name, config["TEST_CONFIG"])

    def _config(self, name: str) -> Mapping[str, Any]:
        return self.configs[name]

    def _make_backend(self, name: str, config: Mapping[str, Any]) -> BaseChannelLayer:
        backend = self._config(name).get("BACKEND")
        if not backend:
            raise InvalidChannelLayerError(f"No BACKEND specified for {name}")
        try:
            made = import_string(backend)
        except ImportError as error:
            successor = _SUCCESSORS.get(backend)
            hint = f". Seaway's own is {successor!r}" if successor else ""
            raise InvalidChannelLayerError(
                f"Cannot import BACKEND {backend!r} specified for {name}{hint}"
            ) from error
        try:
            layer: BaseChannelLayer = made(**config)
        except TypeError as error:
            raise InvalidChannelLayerError(
                f"The CONFIG of {name} does not suit {backend}: {error}"
            ) from error
        return layer

    def __getitem__(self, key: str) -> BaseChannelLayer:
        layer = self.backends.get(key)
        if layer is None:
            with self._lock:
                layer = self.backends.get(key)
                if layer is None:
                    layer = self.backends[key] = self.make_backend(key)
        return layer

    def __contains__(self, key: str) -> bool:
        return key in self.configs

    def __iter__(self) -> Iterator[str]:
        return iter(self.configs)

    def set(self, key: str, layer: BaseChannelLayer) -> BaseChannelLayer | None:
        """Put a layer in the place of an alias, for tests; the one that was there."""
        old = self.backends.pop(key, None)
        self.backends[key] = layer
        return old

    def _reset_backends(self, *, setting: str, **_: object) -> None:
        if setting == "CHANNEL_LAYERS":
            self.backends = {}


#: The project's channel layers.
channel_layers = ChannelLayerManager()


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> BaseChannelLayer | None:
    """The channel layer of an alias; None where the setting has none."""
    try:
        return channel_layers[alias]
    except KeyError:
        return None


def _channel_full() -> type[ChannelFull]:
    """What `send` raises: in a Channels project it is caught as Channels' own class, too."""
    theirs = getattr(sys.modules.get("channels.exceptions"), "ChannelFull", None)
    if not isinstance(theirs, type) or issubclass(ChannelFull, theirs):
        return ChannelFull
    return type("ChannelFull", (ChannelFull, theirs), {"__module__": ChannelFull.__module__})
