"""The JetStream API: asked again and again until time is over, and the streams themselves.

What lives here: `Api`, its requests over subjects, with refusals in words.
What must not: storing (`jetstream`), or reading what is stored (`archive`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from seaway.exceptions import LayerUnavailable
from seaway.layers.nats import headers
from seaway.layers.nats.answers import (
    NAME_IN_USE,
    TOO_MANY_CONSUMERS,
    Passing,
    Refused,
    api_answer,
    stream_trouble,
)
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.requests import NoAnswer, NobodyThere

#: Seconds before something is tried again that could not be done at the moment.
PAUSE_SECONDS = 0.05
#: Seconds between two looks whether the streams are still there, when they seem not to be.
MEND_SECONDS = 1.0


class Api:
    """Asks the servers. Every method waits, and tries again, until ``deadline`` (0: the engine's
    time-out) and raises `LayerUnavailable` then.

    :ivar prefix: of the subjects on which the API listens.
    :ivar streams: their configurations; `make_streams` makes them so.
    :ivar replicas: how many copies there are of each.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.replicas = 1
        domain = engine.address.options.domain
        self.prefix = f"$JS.{domain}.API." if domain else "$JS.API."
        self._mended = 0.0
        self.streams: list[dict[str, Any]] = []

    async def request(self, name: str, body: Mapping[str, Any], deadline: float = 0.0) -> Any:
        """A request of the JetStream API that may be repeated; its answer.

        :raises Refused: the server's answer is an error.
        """
        deadline = deadline or self.engine.loop.time() + self.engine.timeout
        data = msgspec.json.encode(body) if body else b""
        while True:
            try:
                answer = await self.engine.ask(self.prefix + name, data, b"", deadline)
                return api_answer(answer)
            except NoAnswer as error:
                self.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self.pause(deadline, error)

    # Patience ------------------------------------------------------------------------------------

    #: What `pause` waits for to pass.
    PASSING: ClassVar[tuple[type[Exception], ...]] = (NobodyThere, Passing)

    async def pause(self, deadline: float, error: Exception) -> None:
        """Wait a little before trying again what could not be done now."""
        self.check_time(deadline, error)
        now = self.engine.loop.time()
        if isinstance(error, NobodyThere) and now - self._mended > MEND_SECONDS and self.streams:
            self._mended = now
            await self.make_streams(deadline)
        await asyncio.sleep(PAUSE_SECONDS)

    def check_time(self, deadline: float, error: Exception) -> None:
        """:raises LayerUnavailable: time is over, because of ``error``, or the layer is closed."""
        self.engine.opened()
        if self.engine.loop.time() >= deadline:
            where = self.engine.address.describe()
            raise LayerUnavailable(f"The JetStream of {where} did not answer: {error}.") from error

    # The streams ---------------------------------------------------------------------------------

    async def make_streams(self, deadline: float = 0.0) -> None:
        """Create what is not there, and change what is different.

        :raises ConfigurationError: in words for the operator.
        """
        for config in self.streams:
            try:
                await self._make(config, deadline)
            except Refused as error:
                raise stream_trouble(error, str(config["name"])) from error

    async def _make(self, config: Mapping[str, Any], deadline: float) -> None:
        name = config["name"]
        try:
            answer = await self.request(f"STREAM.CREATE.{name}", config, deadline)
        except Refused as error:
            if error.code == TOO_MANY_CONSUMERS and "max_consumers" in config:
                # The account's own limit is below what was asked for: then it is that.
                less = {key: value for key, value in config.items() if key != "max_consumers"}
                await self._make(less, deadline)
                return
            if error.code != NAME_IN_USE:
                raise
            found = (await self.info(name))["config"]
            # It cannot be changed; everything else can.
            changed = {**config, "max_consumers": found.get("max_consumers", -1)}
            answer = await self.request(f"STREAM.UPDATE.{name}", changed, deadline)
        self.replicas = int(answer["config"]["num_replicas"])

    async def info(self, stream: str) -> dict[str, Any]:
        """A stream as it is; its time sets our idea of the servers' clock."""
        asked = self.engine.loop.time()
        answer: dict[str, Any] = await self.request(f"STREAM.INFO.{stream}", {})
        if "ts" in answer:
            self.engine.clock.set(headers.seconds(answer["ts"]), asked)
        return answer
