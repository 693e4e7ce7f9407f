"""What these tests share: a layer and a table of handlers that start empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seaway.channels.handlers import handlers
from seaway.conf import close_layer_home


@pytest.fixture(autouse=True)
def own_layer_and_handlers() -> Iterator[None]:
    with handlers.isolated():
        yield
    close_layer_home()
