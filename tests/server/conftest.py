"""Fixtures of the server's tests."""

import logging
from collections.abc import Iterator

import pytest

from tests.server.harness import CapturedLog


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    """What the server logs, from debug on."""
    logger = logging.getLogger("seaway")
    handler = CapturedLog()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate
