"""From an address to a layer, and what a wrong address is told."""

from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.engines import make_layer
from seaway.layers.local.client import LocalLayer
from seaway.layers.memory.layer import MemoryLayer


def test_memory() -> None:
    assert isinstance(make_layer("memory://", namespace="seaway", place="shop"), MemoryLayer)


def test_local_by_default_is_found_by_user_and_namespace() -> None:
    here = make_layer("local://", namespace="seaway", place="shop").describe()
    assert here == make_layer("local://", namespace="seaway", place="shop").describe()
    assert here != make_layer("local://", namespace="seaway", place="blog").describe()


def test_local_in_a_directory(tmp_path: Path) -> None:
    layer = make_layer(f"local://{tmp_path}", namespace="seaway", place="shop")
    assert isinstance(layer, LocalLayer)
    assert str(tmp_path) in layer.describe()


@pytest.mark.parametrize("level", ["1", "full"])
def test_local_that_outlives_its_broker(tmp_path: Path, level: str) -> None:
    layer = make_layer(f"local://{tmp_path}?durable={level}", namespace="seaway", place="shop")
    assert "durable" in layer.describe()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memroy://", r"'memroy'\. Did you mean memory://\? Known: .*local://, memory://"),
        ("memory", r"'memory'\. Did you mean memory://\?"),
        ("memory:", r"Did you mean memory://\?"),
        ("amqp://guest:secret@host", r"'amqp'\. Known: .*local://, memory://"),
        ("", r"Known: .*local://, memory://"),
        ("memory://host", "has no host"),
        ("memory:///path", "takes no path"),
        ("memory://?size=3", "takes no options"),
        ("local://?durable=maybe", "durable is 1 or full"),
        ("local://?durable=", "durable is 1 or full"),
        ("local://?size=3", "the only option of local:// is durable"),
        ("local://run/shop", r"has no host\. Did you mean local:///run/shop\?"),
        ("local:///run/shop?x=1", "local:///run/shop.x=1: the only option of local:// is durable"),
        ("local:///run/shop#x", "the only option"),
        ("local://[", "not an address"),
        ("redis://:secret[@host", "not an address"),
    ],
)
def test_a_wrong_address_is_the_operators_to_correct(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        make_layer(url, namespace="seaway", place="shop")
    assert "secret" not in str(caught.value)
