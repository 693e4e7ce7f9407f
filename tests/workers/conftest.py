"""What these tests share with those of channels: a layer and handlers that start empty."""

from tests.channels.conftest import own_layer_and_handlers

__all__ = ["own_layer_and_handlers"]
