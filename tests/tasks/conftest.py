"""What these tests share: a layer and a table of handlers that start empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seaway.channels.handlers import handlers
from seaway.conf import close_layer_home


@pytest.fixture(autouse=True)
def own_layer_and_handlers(transactional_db: None) -> Iterator[None]:
    """The database: whoever runs asynchronous code closes the connections of
    earlier tests; and not in a transaction, which `put` would wait for."""
    with handlers.isolated():
        yield
    close_layer_home()
