"""The ASGI lifespan protocol: an application's startup and shutdown, once per process.

What lives here: the conversation with the application, and the state that it leaves for requests.
What must not: knowledge of connections.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from seaway.server.application import DESCRIBE, StartupFailed, failure
from seaway.server.asgi_types import LIFESPAN_VERSIONS, Application, Message, Scope
from seaway.server.logs import log_event, server_log


class Lifespan:
    """One application's lifespan.

    :param mode: ``"on"`` insists on it, ``"off"`` leaves it out, ``"auto"`` goes on without it
        after an exception, as ASGI has it: what is to keep a server from starting is told by
        ``lifespan.startup.failed``.
    """

    def __init__(self, app: Application, mode: str) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._reply: asyncio.Future[Message] | None = None
        self._replies: tuple[str, ...] = ()

    @property
    def details(self) -> list[str]:
        """The lines that the application adds to the start block."""
        return [str(line) for line in self.state.get(DESCRIBE, ())]

    async def start(self) -> None:
        """Run the application's startup. Raises `StartupFailed`."""
        if self._mode == "off":
            return
        loop = asyncio.get_running_loop()
        scope: Scope = {"type": "lifespan", "asgi": LIFESPAN_VERSIONS, "state": self.state}
        task = loop.create_task(self._run(scope))
        reply = await self._exchange("lifespan.startup", task)
        if reply is None:
            self._started_without_reply(task)
        elif reply["type"] == "lifespan.startup.failed":
            # It may wait for a shutdown that has nothing to shut down.
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            text = str(reply.get("message", "")).strip()
            summary = text.rpartition("\n")[2] or "it gave no reason"
            raise StartupFailed(f"The application's startup failed: {summary}", text)
        else:
            self._task = task

    async def stop(self) -> None:
        """Run the application's shutdown, if its startup ran. An error in it is logged."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        reply = await self._exchange("lifespan.shutdown", task)
        if reply is not None and reply["type"] == "lifespan.shutdown.failed":
            message = str(reply.get("message", ""))
            log_event(server_log, logging.ERROR, "shutdown_failed", message=message)
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log_event(server_log, logging.ERROR, "shutdown_failed", error)

    async def _exchange(self, kind: str, task: asyncio.Task[None]) -> Message | None:
        """Send one event; the application's reply, or None when it ended without one."""
        self._reply = reply = asyncio.get_running_loop().create_future()
        self._replies = (f"{kind}.complete", f"{kind}.failed")
        self._inbox.put_nowait({"type": kind})
        either: list[asyncio.Future[Any]] = [reply, task]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return reply.result() if reply.done() else None

    def _started_without_reply(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._mode == "auto":
            if error is not None and self._asked:
                log_event(server_log, logging.ERROR, "lifespan_failed", error)
            return
        if error is None:
            raise StartupFailed("The application ended its lifespan without an answer.")
        raise failure("The application's startup failed", error) from error

    async def _run(self, scope: Scope) -> None:
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self._asked = True
        return await self._inbox.get()

    async def _send(self, message: Message) -> None:
        reply = self._reply
        if not message["type"].startswith("lifespan."):
            # It takes this for a request: it has not asked for a lifespan at all.
            self._asked = False
        if reply is None or reply.done() or message["type"] not in self._replies:
            raise RuntimeError(f"Unexpected ASGI message {message['type']!r} in lifespan.")
        reply.set_result(message)
