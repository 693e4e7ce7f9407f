"""The NATS engine.

What lives here: `NatsLayer`, its parts put together, and its life. What must not: the parts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from seaway.exceptions import ConfigurationError, LayerError
from seaway.layers.base import Receiver
from seaway.layers.nats.address import Address
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.epochs import Epochs
from seaway.layers.nats.jetstream import OVERHEAD, JetStream
from seaway.layers.nats.lives import Lives
from seaway.layers.nats.once import Once
from seaway.layers.nats.presence import NatsPresence
from seaway.layers.nats.publishing import Publisher
from seaway.layers.nats.reading import Reader
from seaway.layers.nats.requests import NoAnswer
from seaway.layers.nats.streams import NatsStreams
from seaway.layers.nats.subjects import Subjects, streams, token
from seaway.layers.nats.topics import Topics
from seaway.layers.nats.upkeep import NatsUpkeep
from seaway.layers.nats.watching import Watches

logger = logging.getLogger("seaway.layers")

#: Copies of what is stored, where the server is one of a cluster and nobody says otherwise.
CLUSTER_REPLICAS = 3
#: Consumers that a stream may have. A server allows 1,000 of one that does not say (its option
#: default_max_consumers), and a process has one for each channel that it uses.
CONSUMERS = 100_000


class NatsLayer(NatsStreams, NatsPresence, NatsUpkeep):
    """Streams, queues and presence on NATS with JetStream.

    :param namespace: the first part of every subject and stream: projects with different ones do
        not meet.
    """

    def __init__(self, address: Address, namespace: str) -> None:
        options = address.options
        self.address = address
        self.timeout = options.timeout
        self.lease = options.lease
        self._receiver: Receiver | None = None
        #: What ``max_data`` was before the server's limit.
        self._wanted_data: int | None = None
        self._subjects = Subjects(token(namespace))
        self._streams = streams(namespace)
        engine = self._engine = Engine(address, self.timeout, self._restore)
        jetstream = self._jetstream = JetStream(engine, self._subjects.root)
        self._epochs = Epochs(engine, jetstream, self._streams.topics, self._subjects.anchor())
        self._topics = Topics(engine, jetstream, self._epochs, self._streams.topics, self._subjects)
        self._publisher = Publisher(engine, jetstream, self._topics)
        self._once = Once(
            engine, jetstream, self._topics, self._publisher, self._streams, self._subjects
        )
        self._watches = Watches(engine, jetstream, self._topics, self._epochs, self._subjects)
        self._reader = Reader(engine, jetstream, self._topics)
        self._lives = Lives(
            engine, jetstream, self._streams, self._subjects, self.lease, self._enter_again,
            self._remove_members_of,
        )  # fmt: skip
        self._begin_presence()
        self._begin_queues()

    def describe(self) -> str:
        return f"NATS at {self.address.describe()}"

    @property
    def flaws(self) -> int:
        """How many corrupt entries were found, and skipped, in the engine's data."""
        return self._engine.flaws.count

    # Life ----------------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        engine = self._engine
        await engine.start()
        try:
            self._size_up()
            await self._jetstream.api.make_streams()
            await self._epochs.check()
            await self._lives.begin()
        except BaseException:
            await engine.close()
            raise
        engine.spawn(self._lives.keep_alive())
        engine.spawn(self._watches.keep_checking())
        engine.spawn(self._keep_tidy())

    async def close(self) -> None:
        engine = self._engine
        if self._receiver is not None and not engine.trouble:
            self._end_waiting()
            try:
                async with asyncio.timeout(self.timeout):
                    await self._all_leave()
                    await self._lives.end()
            except (LayerError, NoAnswer, TimeoutError):
                pass  # then its members leave when its lease has run out
        await engine.close()

    def forked(self) -> None:
        self._engine.forked()

    async def _restore(self) -> None:
        """There is a new connection, to a server that may have lost or missed anything."""
        self._size_up()
        await self._jetstream.api.make_streams()
        if await self._epochs.check():
            logger.warning("a new epoch has begun for all topics")
        self._topics.forget_standings()
        buried = await self._lives.begin()
        await self._watches.restore()
        await self._enter_again(anew=buried)
        await self._follow_again()

    # What the server allows ----------------------------------------------------------------------

    def _size_up(self) -> None:
        """Take over the server's limits.

        :raises ConfigurationError: it has no JetStream, or takes no messages to speak of.
        """
        info = self._engine.info
        if not info.get("jetstream") and not info.get("cluster"):
            raise ConfigurationError(
                f"The NATS server at {self.address.describe()} has no JetStream: start it with -js."
            )
        most = int(info.get("max_payload", 0)) - OVERHEAD
        if most < OVERHEAD:
            raise ConfigurationError(
                f"The NATS server at {self.address.describe()} takes messages of "
                f"{info.get('max_payload')} bytes at most; Seaway needs {2 * OVERHEAD:,}."
            )
        if self._wanted_data is None:
            self._wanted_data = self.max_data
        fits = min(self._wanted_data, most)
        if fits < self._wanted_data and self.max_data != fits:
            logger.info(
                "events and messages may have %s bytes: max_payload of %s is %s",
                f"{fits:,}",
                self.address.describe(),
                f"{info['max_payload']:,}",
            )
        self.max_data = fits
        self._publisher.max_bytes = self.max_data
        self._jetstream.api.streams = self._configurations(info)

    def _configurations(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        options, names, subjects = self.address.options, self._streams, self._subjects
        root = subjects.root
        replicas = options.replicas or (CLUSTER_REPLICAS if info.get("cluster") else 1)
        common: dict[str, Any] = {
            "retention": "limits",
            "storage": options.storage,
            "num_replicas": replicas,
            "discard": "new",
            "max_bytes": options.max_bytes or -1,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
            "max_consumers": CONSUMERS,
        }
        return [
            {
                **common,
                "name": names.topics,
                "description": "Seaway: the events of topics",
                "subjects": [f"{root}.t.*", subjects.anchor()],
                "max_age": int(options.max_age * 1e9),
                "max_msgs_per_subject": options.max_events,
                "republish": {"src": f"{root}.t.*", "dest": f"{root}.l.{{{{wildcard(1)}}}}.e"},
            },
            {
                **common,
                "name": names.presence,
                "description": "Seaway: who is present, and what was published once",
                "subjects": [subjects.everybody(), subjects.process("*"), subjects.once("*", "*")],
                "max_msgs_per_subject": 1,
                "republish": {
                    "src": subjects.everybody(),
                    "dest": f"{root}.l.{{{{wildcard(1)}}}}.p",
                },
            },
            {
                **common,
                "name": names.queues,
                "description": "Seaway: the messages of channels",
                "subjects": [subjects.channels()],
            },
        ]
