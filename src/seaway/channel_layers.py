"""The channel layers of a Django project: the ``CHANNEL_LAYERS`` setting.

What lives here: `get_channel_layer`, `channel_layers`, and `SeawayChannelLayer`, which knows the
project's ``LAYER``.
What must not: how messages travel; that is `seaway.layers.channels`.

All of it is imported from `seaway.layers`, as from ``channels.layers``.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from seaway.conf import Settings, layer_home, place, seaway_settings
from seaway.database import engine_address
from seaway.exceptions import ChannelFull, ConfigurationError, InvalidChannelLayerError
from seaway.layers.base import Layer
from seaway.layers.channels.base import BaseChannelLayer, Capacities
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.channels.redis_hosts import layer_address
from seaway.layers.engines import encrypted, make_layer
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


class SeawayChannelLayer(ChannelLayer):
    """A channel layer on any engine.

    :param LAYER: the engine's address, as in ``SEAWAY["LAYER"]``; None: that one.
    :param prefix: tells apart channel layers on one engine.
    :param ENCRYPTION_KEYS: secrets of this layer's own, as in ``SEAWAY["ENCRYPTION_KEYS"]``, which
        count where there are none.

    The other options are those of `ChannelLayer`. With ``LAYER`` it also works in a process where
    Django has no settings.
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
        ENCRYPTION_KEYS: Sequence[str] = (),  # noqa: N803  likewise
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
        self._keys = tuple(ENCRYPTION_KEYS)
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
        """The project's home where address and keys are the project's; else one of its own."""
        if self._is_the_project_s():
            return layer_home()
        with self._lock:
            if self._own is None:
                self._own = LayerHome(self._make_layer)
            return self._own

    def _is_the_project_s(self) -> bool:
        if self._keys:
            return False
        if self._address is None:
            return True
        return _has_project() and self._address == seaway_settings().LAYER

    def _make_layer(self) -> Layer:
        known = _has_project() or self._address is None
        options = seaway_settings() if known else Settings()
        address = self._address or options.LAYER
        # Only what is found by the project's directory has to know it.
        where = place() if known or address.startswith("local:") else ""
        layer = make_layer(engine_address(address), namespace=options.NAMESPACE, place=where)
        keys = self._keys or options.ENCRYPTION_KEYS
        if keys:
            layer = encrypted(layer, keys)
        layer.max_data = options.MAX_EVENT_BYTES
        return layer

    def _forked(self) -> None:
        super()._forked()
        self._lock = threading.Lock()


class RedisChannelLayer(SeawayChannelLayer):
    """Takes the options of channels_redis' layers, and is a `SeawayChannelLayer` on Redis.

    :param hosts: as there; see `layer_address` for what becomes of them.
    :param symmetric_encryption_keys: of any length, as strings or bytes: the first one encrypts,
        all of them decrypt. Secrets of ``ENCRYPTION_KEYS`` are derived from them.
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
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        on_disconnect: str | None = None,
        on_reconnect: str | None = None,
    ) -> None:
        super().__init__(
            layer_address(hosts),
            prefix=prefix.strip(":"),
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            on_gap=on_reconnect or on_disconnect or "",
            ENCRYPTION_KEYS=_derived(symmetric_encryption_keys or ()),
        )

    async def close_pools(self) -> None:
        """Nothing: a call opens no connection, on whichever event loop, so none is left over."""


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


def _has_project() -> bool:
    """Whether Django has settings, or knows where to find them."""
    return settings.configured or bool(os.environ.get(ENVIRONMENT_VARIABLE))


def _derived(keys: Sequence[str | bytes]) -> list[str]:
    """Secrets as long as ``ENCRYPTION_KEYS`` have to be, from keys that may be shorter.

    :raises ConfigurationError: it is one key and no list, or not made of strings and bytes.
    """
    if isinstance(keys, (str, bytes)) or not all(isinstance(key, (str, bytes)) for key in keys):
        raise ConfigurationError(
            "symmetric_encryption_keys has to be a list of keys, each a string or bytes."
        )
    if not all(keys):
        raise ConfigurationError("symmetric_encryption_keys: a key is empty.")
    raw = [key.encode() if isinstance(key, str) else key for key in keys]
    return [hashlib.sha256(b"seaway channel layer 1 " + key).hexdigest() for key in raw]
