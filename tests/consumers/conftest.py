"""What the tests of consumers share: a channel layer of their own, and no other's consumers."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from seaway.layers import get_channel_layer
from tests.consumers.echoes import LIVE

LAYERS = {
    "default": {"BACKEND": "seaway.layers.SeawayChannelLayer"},
    "memory": {"BACKEND": "seaway.layers.InMemoryChannelLayer"},
    "foreign": {"BACKEND": "tests.consumers.foreign.ForeignLayer"},
}


def layer_of(alias: str = "default") -> Any:
    """One of them; a foreign one has other methods than ours."""
    return get_channel_layer(alias)


@pytest.fixture(autouse=True)
def layers() -> Iterator[None]:
    with override_settings(CHANNEL_LAYERS=LAYERS):
        yield


@pytest.fixture(autouse=True)
def _nobody_lives() -> Iterator[None]:
    LIVE.clear()
    yield
    LIVE.clear()
