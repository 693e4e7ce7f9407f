"""What the tests of consumers share: a channel layer of their own."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

LAYERS = {
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "other": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "foreign": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}


@pytest.fixture(autouse=True)
def layers() -> Iterator[None]:
    with override_settings(CHANNEL_LAYERS=LAYERS):
        yield
