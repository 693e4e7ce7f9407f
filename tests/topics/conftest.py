"""What the tests of topics share: a registry of their own, and a layer that starts empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seaway.conf import close_layer_home
from seaway.pool import thread_sensitive
from seaway.topics.registry import registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Topics that a test defines are gone after it."""
    with registry.isolated():
        yield


@pytest.fixture(autouse=True)
def own_layer() -> Iterator[None]:
    """The memory layer of one test knows nothing of another's."""
    yield
    close_layer_home()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """All database work in one thread: SQLite in memory locks whole tables between threads."""
    with thread_sensitive():
        yield
