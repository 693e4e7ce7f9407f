"""A test's end of an ASGI application.

What lives here: `ApplicationCommunicator`, for any protocol.
What must not: particular protocols (`http`, `websocket`).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from typing import Any

from seaway.pool import make_context_sensitive


class ApplicationCommunicator:
    """Runs an application in a task of the test's event loop, from the first input on.

    A time-out fails the test, and leaves the application alone: `wait` and `stop` work after it.
    Synchronous code of consumers runs in the thread of Django's ``TestCase``, so it sees the test's
    transaction.

    :param application: an ASGI application.
    :param scope: its scope.
    :cvar patience: seconds that methods wait which are called without a ``timeout``.
    """

    patience: float = 5.0

    def __init__(self, application: Any, scope: dict[str, Any]) -> None:
        self.application = application
        self.scope = scope
        self.input_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.output_queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[Any] | None = None

    @property
    def future(self) -> asyncio.Task[Any]:
        """The application's task, which is started by the first use."""
        if self._task is None:
            context = contextvars.copy_context()
            context.run(make_context_sensitive)
            call = self.application(self.scope, self.input_queue.get, self.output_queue.put)
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(_awaited(call), context=context)
        return self._task

    async def send_input(self, message: dict[str, Any]) -> None:
        """Give the application a message. What it has failed with meanwhile is raised."""
        self._raise_failure()
        await self.input_queue.put(message)

    async def receive_output(self, timeout: float | None = None) -> dict[str, Any]:
        """The application's next message.

        :raises TimeoutError: none came in time, or the application has ended without another.
        :raises Exception: what the application has failed with.
        """
        if not self.output_queue.empty():
            return self.output_queue.get_nowait()
        timeout = self.patience if timeout is None else timeout
        getter = asyncio.get_running_loop().create_task(self.output_queue.get())
        try:
            await asyncio.wait(
                {getter, self.future}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if getter.done():
                return getter.result()
        finally:
            await _cancelled(getter)
        if not self.output_queue.empty():
            return self.output_queue.get_nowait()
        self._raise_failure()
        ended = " The application has ended." if self.future.done() else ""
        raise TimeoutError(f"No output within {timeout} s.{ended}")

    async def receive_nothing(self, timeout: float = 0.1, interval: float = 0.01) -> bool:
        """Whether no message comes within ``timeout`` seconds; what came stays to be received.

        :param interval: seconds between two looks.
        """
        _ = self.future
        until = time.monotonic() + timeout
        while self.output_queue.empty():
            left = until - time.monotonic()
            if left <= 0:
                return True
            await asyncio.sleep(min(interval, left))
        return False

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for the application's end; at the time-out it is cancelled.

        :raises Exception: what the application has failed with.
        """
        await asyncio.wait({self.future}, timeout=self.patience if timeout is None else timeout)
        if not self.future.done():
            await _cancelled(self.future)
        with contextlib.suppress(asyncio.CancelledError):
            self.future.result()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application; if it has ended already, raise what it has failed with.

        :param exceptions: False: raise nothing.
        """
        if self._task is None:
            return
        if not self._task.done():
            self._task.cancel()
        elif exceptions:
            self._raise_failure()
        elif not self._task.cancelled():
            self._task.exception()

    def _raise_failure(self) -> None:
        if self.future.done():
            self.future.result()


async def _awaited(call: Any) -> Any:
    return await call


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def require(condition: bool, text: str) -> None:
    """What a test relies on.

    :raises AssertionError: it is not so.
    """
    if not condition:
        raise AssertionError(text)


def expect(kind: str, message: dict[str, Any]) -> None:
    """That an application's message is of this type."""
    require(message["type"] == kind, f"Expected type '{kind}', but was '{message['type']}'")
