"""Waiting for conditions: what a test does instead of sleeping and hoping.

What lives here: one loop for threads and one for coroutines.
What must not: the conditions; those are the tests' own.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any


def wait_for(condition: Callable[[], Any], what: str, patience: float = 60.0) -> Any:
    """Poll until the condition is true and return what it returned.

    :param patience: seconds that it may take; far more than it needs.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {patience} s.")


async def until(condition: Callable[[], bool], patience: float = 60.0) -> None:
    """Let the loop run until the condition is true."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110  the condition is what others can see
            await asyncio.sleep(0.001)
