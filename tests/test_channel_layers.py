"""The CHANNEL_LAYERS setting: aliases, tests' configurations, and what is told of mistakes."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.test import override_settings

from seaway import layers
from seaway.conf import close_layer_home, layer_home
from seaway.exceptions import ChannelFull, ConfigurationError, InvalidChannelLayerError
from seaway.layers import (
    DEFAULT_CHANNEL_LAYER,
    BaseChannelLayer,
    InMemoryChannelLayer,
    RedisChannelLayer,
    RedisPubSubChannelLayer,
    SeawayChannelLayer,
    channel_layers,
    get_channel_layer,
)
from tests.commands import python
from tests.servers.valkey import Valkey

MEMORY = "seaway.layers.InMemoryChannelLayer"
SEAWAY = "seaway.layers.SeawayChannelLayer"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    """A project on an engine of this process alone."""
    with override_settings(SEAWAY={"LAYER": "memory://"}):
        yield
        close_layer_home()


def test_each_alias_is_made_once_and_from_its_config() -> None:
    with override_settings(
        CHANNEL_LAYERS={
            "default": {"BACKEND": MEMORY, "CONFIG": {"capacity": 7}},
            "chat": {"BACKEND": SEAWAY, "CONFIG": {"expiry": 5, "prefix": "chat"}},
        }
    ):
        assert channel_layers.backends == {}
        assert list(channel_layers) == ["default", "chat"]
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        assert layer.capacity == 7
        assert get_channel_layer(DEFAULT_CHANNEL_LAYER) is layer
        assert set(channel_layers.backends) == {"default"}
        chat = channel_layers["chat"]
        assert isinstance(chat, SeawayChannelLayer)
        assert chat.expiry == 5
        assert "chat" in channel_layers
        assert "other" not in channel_layers
        assert get_channel_layer("other") is None
    assert channel_layers.backends == {}


def test_an_empty_setting_means_none_and_no_setting_the_project_s_layer() -> None:
    with override_settings(CHANNEL_LAYERS={}):
        assert get_channel_layer() is None
    assert not hasattr(django_settings, "CHANNEL_LAYERS")
    assert isinstance(get_channel_layer(), SeawayChannelLayer)


def test_a_layer_can_be_set_for_a_test() -> None:
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": MEMORY}}):
        mine = InMemoryChannelLayer()
        assert channel_layers.set("default", mine) is None
        assert get_channel_layer() is mine
        assert channel_layers.set("default", InMemoryChannelLayer()) is mine


def test_tests_may_have_a_config_of_their_own() -> None:
    with override_settings(
        CHANNEL_LAYERS={
            "default": {"BACKEND": MEMORY, "TEST_CONFIG": {"expiry": 100500}},
            "other": {"BACKEND": MEMORY},
        }
    ):
        assert channel_layers.make_test_backend("default").expiry == 100500
        assert channel_layers.make_backend("default").expiry == 60
        with pytest.raises(InvalidChannelLayerError, match="No TEST_CONFIG specified for other"):
            channel_layers.make_test_backend("other")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, "No BACKEND specified for default"),
        ({"BACKEND": "no.such.Layer"}, "Cannot import BACKEND 'no.such.Layer'"),
        ({"BACKEND": "seaway.layers.Nothing"}, "Cannot import BACKEND"),
        ({"BACKEND": MEMORY, "CONFIG": {"hosts": []}}, "has no option 'hosts'"),
        ({"BACKEND": SEAWAY, "CONFIG": {"capasity": 1}}, "unexpected keyword argument 'capasity'"),
    ],
)
def test_a_wrong_entry_is_an_error_in_words(entry: dict[str, Any], reason: str) -> None:
    with (
        override_settings(CHANNEL_LAYERS={"default": entry}),
        pytest.raises(InvalidChannelLayerError, match=reason),
    ):
        get_channel_layer()


def test_the_successor_of_a_missing_package_s_layer_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "channels_redis", None)
    monkeypatch.setitem(sys.modules, "channels_redis.core", None)
    backend = {"BACKEND": "channels_redis.core.RedisChannelLayer"}
    with (
        override_settings(CHANNEL_LAYERS={"default": backend}),
        pytest.raises(InvalidChannelLayerError, match=r"own is 'seaway\.layers\.Redis"),
    ):
        get_channel_layer()


def test_a_project_s_own_layer_may_descend_from_the_base() -> None:
    backend = {"BACKEND": f"{__name__}.OwnLayer", "CONFIG": {"colour": "red"}}
    with override_settings(CHANNEL_LAYERS={"default": backend}):
        layer = get_channel_layer()
        assert isinstance(layer, OwnLayer)
        assert layer.colour == "red"


class OwnLayer(BaseChannelLayer):
    def __init__(self, colour: str) -> None:
        super().__init__()
        self.colour = colour


# Which engine ------------------------------------------------------------------------------------


async def test_layers_on_the_project_s_engine_share_its_home() -> None:
    unnamed, named = SeawayChannelLayer(), SeawayChannelLayer("memory://")
    channel = await unnamed.new_channel()
    await named.send(channel, {"n": 1})
    assert await asyncio.wait_for(unnamed.receive(channel), 10) == {"n": 1}
    assert unnamed._home() is named._home() is layer_home()


async def test_another_engine_has_a_home_of_its_own_until_it_is_closed() -> None:
    with override_settings(SEAWAY={"LAYER": "local://"}):
        one, two = SeawayChannelLayer("memory://"), SeawayChannelLayer("memory://")
        await one.send("plain", {"n": 1})
        await two.send("plain", {"n": 2})
        assert await asyncio.wait_for(one.receive("plain"), 10) == {"n": 1}
        assert await asyncio.wait_for(two.receive("plain"), 10) == {"n": 2}
        await one.close()
        await two.close()
    assert not [one for one in threading.enumerate() if one.name == "seaway-layer"]


async def test_a_change_of_settings_is_survived() -> None:
    layer = SeawayChannelLayer()
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    with override_settings(SEAWAY={"LAYER": "memory://", "MAX_EVENT_BYTES": 4096}):
        await layer.group_send("group", {"n": 1})  # on another home; memberships came along
        assert await asyncio.wait_for(layer.receive(channel), 10) == {"n": 1}
        with pytest.raises(layer.MessageTooLarge):
            await layer.group_send("group", {"n": "x" * 5000})


def test_synchronous_code_opens_nothing_for_a_call() -> None:
    layer = get_channel_layer()
    assert layer is not None
    channel = async_to_sync(layer.new_channel)()
    async_to_sync(layer.group_add)("group", channel)
    for number in range(20):
        async_to_sync(layer.group_send)("group", {"n": number})
    assert [async_to_sync(layer.receive)(channel)["n"] for _ in range(20)] == list(range(20))
    names = [one.name for one in threading.enumerate()]
    assert names.count("seaway-layer") == 1


# channels_redis ----------------------------------------------------------------------------------


def test_the_options_of_channels_redis_are_understood() -> None:
    layer = RedisChannelLayer(
        hosts=[("redis.internal", 6380)],
        prefix="asgi:",
        expiry=10,
        group_expiry=100,
        capacity=5,
        channel_capacity={"tiny*": 1},
    )
    assert layer._address == "redis://redis.internal:6380"
    assert (layer.expiry, layer.group_expiry, layer.get_capacity("tiny1")) == (10, 100, 1)
    assert repr(layer) == "RedisChannelLayer(expiry=10, capacity=5, prefix='asgi')"
    pubsub = RedisPubSubChannelLayer(hosts=None, on_disconnect="redis.disconnect")
    assert pubsub._on_gap == "redis.disconnect"


async def test_keys_of_any_length_encrypt_and_can_be_changed(valkey: Valkey) -> None:
    def layer(*keys: str | bytes) -> RedisChannelLayer:
        return RedisChannelLayer(hosts=[valkey.url], symmetric_encryption_keys=keys)

    old, new, stranger = layer("old"), layer(b"new", "old"), layer("another")
    try:
        await old.send("sealed", {"text": "a needle"})
        assert await asyncio.wait_for(new.receive("sealed"), 10) == {"text": "a needle"}
        await new.send("sealed", {"text": "a needle"})
        stored = [valkey.ask("DUMP", key) for key in valkey.ask("KEYS", "*sealed*")]
        assert stored
        # A key that is gone between the two questions has no value.
        assert not [value for value in stored if value is not None and b"needle" in value]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stranger.receive("sealed"), 0.3)
    finally:
        for one in (old, new, stranger):
            await one.close()


async def test_keys_of_their_own_are_never_the_project_s_connection() -> None:
    layer = SeawayChannelLayer(ENCRYPTION_KEYS=["k" * 32])
    await layer.send("plain", {"n": 1})
    assert await asyncio.wait_for(layer.receive("plain"), 10) == {"n": 1}
    home = layer._home_now()
    assert home is not layer_home()
    assert home.layer.describe().endswith(", encrypted")
    await layer.close()


async def test_the_project_s_keys_count_on_another_engine_too() -> None:
    with override_settings(SEAWAY={"LAYER": "local://", "ENCRYPTION_KEYS": ["k" * 32]}):
        layer = SeawayChannelLayer("memory://")
        await layer.send("plain", {"n": 1})
        assert layer._home_now().layer.describe().endswith(", encrypted")
        await layer.close()


@pytest.mark.parametrize("keys", ["one string", b"bytes", ["good", 7], ["good", ""]])
def test_wrong_keys_are_refused(keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="symmetric_encryption_keys"):
        RedisChannelLayer(symmetric_encryption_keys=keys)


def test_a_layer_with_an_address_needs_no_settings_of_django(valkey: Valkey) -> None:
    code = f"""
from asgiref.sync import async_to_sync
from seaway.layers import RedisChannelLayer
layer = RedisChannelLayer(hosts=[{valkey.url!r}], prefix="script")
channel = async_to_sync(layer.new_channel)()
async_to_sync(layer.group_add)("group", channel)
async_to_sync(layer.group_send)("group", {{"n": 1}})
print(async_to_sync(layer.receive)(channel))
async_to_sync(layer.close_pools)()
async_to_sync(layer.close)()
"""
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    ran = python("-c", code, env=environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "{'n': 1}\n", "")


def test_without_address_and_settings_the_reason_is_told() -> None:
    code = """
from asgiref.sync import async_to_sync
from seaway.layers import SeawayChannelLayer
async_to_sync(SeawayChannelLayer().new_channel)()
"""
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    ran = python("-c", code, env=environment)
    assert "DJANGO_SETTINGS_MODULE" in ran.stderr


# Importing ---------------------------------------------------------------------------------------


def test_the_package_of_layers_knows_its_names_and_not_django() -> None:
    code = (
        "import sys, seaway.layers, seaway.layers.channels.layer; "
        "from seaway.layers import InMemoryChannelLayer, BaseChannelLayer; "
        "sys.exit('django' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(dir(layers)) >= {"get_channel_layer", "channel_layers", "DEFAULT_CHANNEL_LAYER"}
    with pytest.raises(AttributeError, match="has no attribute 'get_chanel_layer'"):
        _ = layers.get_chanel_layer  # type: ignore[attr-defined]  # that is the point


def test_the_types_of_the_names_are_known() -> None:
    assert layers.__file__ is not None
    stub = Path(layers.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    typed = {line.split()[-1]: line.split()[1] for line in stub.splitlines() if " as " in line}
    assert typed == layers._PUBLIC  # type: ignore[attr-defined]  # not public, and so not typed


def test_full_is_full_for_channels_too(caplog: pytest.LogCaptureFixture) -> None:
    from channels.exceptions import ChannelFull as Theirs

    async def fill() -> None:
        layer = SeawayChannelLayer(capacity=1)
        for name in ("plain", await layer.new_channel()):
            await layer.send(name, {"n": 1})
            with pytest.raises(Theirs) as caught:
                await layer.send(name, {"n": 1})
            assert isinstance(caught.value, ChannelFull)

    with caplog.at_level(logging.WARNING):
        asyncio.run(fill())
    assert not caplog.records
