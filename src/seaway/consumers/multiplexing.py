"""Several consumers over one WebSocket: ``{"stream": name, "payload": ...}`` each way.

What lives here: `AsyncJsonWebsocketDemultiplexer`.
What must not: the consumers themselves; they are what they would be on a socket of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from seaway.consumers.consumer import Application
from seaway.consumers.layer import Message
from seaway.consumers.websocket import AsyncJsonWebsocketConsumer
from seaway.exceptions import ConfigurationError

#: Seconds that the consumers of the streams get to handle their disconnect.
END_SECONDS = 10.0


class _Stream:
    """One consumer's side: an ASGI connection of its own."""

    def __init__(self, name: str, owner: AsyncJsonWebsocketDemultiplexer) -> None:
        self.name = name
        self.owner = owner
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.answered = asyncio.Event()
        self.accepted = False
        self.task: asyncio.Task[Any] | None = None

    def start(self, app: Application) -> None:
        scope = {**self.owner.scope, "stream": self.name, "extensions": {}}
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.get_running_loop().create_task(self._run(app, scope))

    async def _run(self, app: Application, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self.inbox.get, self.send)
        finally:
            self.accepted = False
            self.answered.set()

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
            self.answered.set()
        elif kind == "websocket.send" and self.accepted:
            if message.get("text") is None:
                raise ValueError("A multiplexed stream carries JSON, not bytes.")
            await self.owner.send_stream(self.name, json.loads(message["text"]))
        elif kind == "websocket.close":
            accepted, self.accepted = self.accepted, False
            self.answered.set()
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": ""})
            if accepted:
                await self.owner.stream_closed(self.name, message.get("code", 1000))


class AsyncJsonWebsocketDemultiplexer(AsyncJsonWebsocketConsumer):
    """Gives each stream to a consumer of its own.

    :cvar consumers: stream name → ASGI application, as from ``as_asgi()``. Its scope has the name
        as ``scope["stream"]``; it may be any consumer of text messages that hold JSON.

    The connection is accepted if one of the consumers accepts, and refused if all refuse. A message
    for a stream that is not there, or whose consumer has closed it, is answered with
    ``{"stream": name, "error": "..."}``.
    """

    consumers: ClassVar[Mapping[str, Application]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams: dict[str, _Stream] = {}

    async def connect(self) -> None:
        """Connect every consumer; nothing that they send overtakes the acceptance."""
        if not self.consumers:
            name = type(self).__qualname__
            raise ConfigurationError(f"{name} has no consumers: set {name}.consumers.")
        self._open = asyncio.Event()
        for name, app in self.consumers.items():
            self._streams[name] = stream = _Stream(name, self)
            stream.start(app)
        for stream in self._streams.values():
            await stream.answered.wait()
        for stream in self._streams.values():
            if stream.task is not None and stream.task.done():
                stream.task.result()
        if any(stream.accepted for stream in self._streams.values()):
            await self.accept()
            self._open.set()
        else:
            await self.close()

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Pass a message on to its stream."""
        name = content.get("stream") if isinstance(content, dict) else None
        if not isinstance(name, str) or "payload" not in content:
            error = 'a message has to be {"stream": name, "payload": ...}'
            await self.send_json({"stream": name, "error": error})
            return
        stream = self._streams.get(name)
        if stream is None or not stream.accepted:
            await self.send_json({"stream": name, "error": "there is no such stream"})
            return
        text = json.dumps(content["payload"])
        stream.inbox.put_nowait({"type": "websocket.receive", "text": text})

    async def send_stream(self, stream: str, payload: Any) -> None:
        """Send something in the name of a stream."""
        await self._open.wait()
        await self.send_json({"stream": stream, "payload": payload})

    async def stream_closed(self, stream: str, code: int) -> None:
        """A consumer has closed its stream: the client is told. Override it for more."""
        await self._open.wait()
        await self.send_json({"stream": stream, "error": f"closed with {code}"})

    async def disconnect(self, code: int) -> None:
        """Disconnect every consumer, and wait for them."""
        tasks = []
        for stream in self._streams.values():
            stream.inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
            if stream.task is not None:
                tasks.append(stream.task)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=END_SECONDS)
            for task in late:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
