"""Running scripts, wherever their keys are, until they are answered or time is over.

What lives here: `Engine`: one per layer; redirections, refusals and their remedies, the ticker.
What must not: the meaning of any script.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.address import Endpoint
from seaway.layers.background import Background
from seaway.layers.flaws import Flaws
from seaway.layers.redis import keys
from seaway.layers.redis.address import Address
from seaway.layers.redis.dial import Dialer, Unreachable
from seaway.layers.redis.link import failed, pack
from seaway.layers.redis.news import News
from seaway.layers.redis.pipe import Request, Rerouted, asked_again
from seaway.layers.redis.scripts import SCRIPTS, Script
from seaway.layers.redis.shard import Shard
from seaway.layers.redis.topology import Cluster, Single, Topology

logger = logging.getLogger("seaway.layers")

#: Seconds between looks at time-outs and signs of life.
TICK_SECONDS = 0.2
#: Seconds before a request is repeated that the server could not serve at the moment.
PAUSE_SECONDS = 0.1
#: Refusals that pass by themselves.
_PASSING = {
    "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "NOSCRIPT", "TRYAGAIN",
    "UNKILLABLE",
}  # fmt: skip


class Engine:
    """The servers of one address, as one.

    :param reconnected: called when a server came back or slots have moved: what this process has
        told the engine may be forgotten there.
    """

    def __init__(
        self, address: Address, namespace: str, timeout: float, reconnected: Callable[[], None]
    ) -> None:
        self.address = address
        self.root = keys.root(namespace, address.database)
        #: This process, among all that use the engine.
        self.process = secrets.token_urlsafe(9).encode()
        self._short = secrets.token_urlsafe(6).encode()
        self._count = itertools.count()
        self.timeout = timeout
        self.flaws = Flaws(address.describe)
        self.trouble = "not started"
        self._reconnected = reconnected
        self._topology: Topology | None = None
        self.news: News
        self._ticker: asyncio.TimerHandle | None = None
        self._background = Background(_failed)
        #: Run something in the background; it ends with the engine.
        self.spawn = self._background.spawn
        #: From the end of `start` to the beginning of the end.
        self.connected = False

    # Life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect within the time-out.

        :raises ConfigurationError, LayerUnavailable: in words for the operator.
        """
        self.loop = asyncio.get_running_loop()
        dialer = Dialer(self.address)
        deadline = self.loop.time() + self.timeout
        while True:
            topology: Topology
            if self.address.kind == "cluster":
                topology = Cluster(dialer, self, self._slots_moved)
            else:
                topology = Single(dialer, self)
            self._topology, self.news = topology, News(topology)
            try:
                await topology.start()
                break
            except BaseException as error:
                self._topology = None
                await topology.close()
                if not isinstance(error, Unreachable):
                    raise
                if self.loop.time() > deadline:
                    where = self.address.describe()
                    message = f"The Redis of LAYER, {where}, cannot be reached: {error}."
                    raise LayerUnavailable(message) from error
            await asyncio.sleep(PAUSE_SECONDS)
        self.connected = True
        self._tick()

    async def close(self) -> None:
        """Hang up. Idempotent."""
        self.trouble = "closed"
        self.connected = False
        if self._ticker is not None:
            self._ticker.cancel()
        await self._background.end()
        topology, self._topology = self._topology, None
        if topology is not None:
            self.news.end()
            await topology.close()

    def forked(self) -> None:
        self.trouble = "left behind by a fork"
        self.connected = False
        topology, self._topology = self._topology, None
        if topology is not None:
            for shard in topology.shards():
                shard.forked()

    def request_id(self) -> bytes:
        """No other request of any process has it."""
        return b"%b.%x" % (self.process, next(self._count))

    def candidate(self) -> bytes:
        """What makes an epoch unique, should a stream begin now. Short: clients carry it."""
        return b"%b%x" % (self._short, next(self._count))

    def packed_ids(self) -> bytes:
        """A `candidate` and a `request_id`, as two packed arguments."""
        count = b"%x" % next(self._count)
        short, process = self._short, self.process
        return b"$%d\r\n%b%b\r\n$%d\r\n%b.%b\r\n" % (
            len(short) + len(count), short, count, len(process) + 1 + len(count), process, count,
        )  # fmt: skip

    def opened(self) -> Topology:
        """:raises LayerUnavailable: it is not started, or closed."""
        if self._topology is None:
            raise LayerUnavailable(f"The layer is {self.trouble}.")
        return self._topology

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(TICK_SECONDS, self._tick)
        now = self.loop.time()
        for shard in self.opened().shards():
            shard.tick(now)
        self.news.tick(now)

    # What shards do (shard.Listener) -------------------------------------------------------------

    def told(self, channel: bytes, data: bytes) -> None:
        self.news.told(channel, data)

    def dropped(self, shard: Shard, channel: bytes) -> None:
        self.news.dropped(shard, channel)

    def news_up(self, shard: Shard) -> None:
        self.news.up(shard)

    def commands_up(self, shard: Shard) -> None:
        if self.connected:
            logger.info("connected to %s", shard.name)
            self._reconnected()

    def down(self, shard: Shard, trouble: str) -> None:
        logger.warning("lost %s: %s; reconnecting", shard.name, trouble)
        if self._topology is not None:
            self._topology.suspect_slots()

    def _slots_moved(self) -> None:
        self.news.reconcile()
        self._reconnected()

    # Scripts -------------------------------------------------------------------------------------

    def run(
        self,
        name: str,
        keys_: Sequence[bytes],
        *arguments: bytes,
        orphaned: Callable[[Any], None] | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """The answer of a script.

        :param orphaned: called with the answer when the caller was cancelled meanwhile.
        :raises LayerUnavailable: not in time. :raises LayerError: the server refuses.
        """
        script = SCRIPTS[name]
        frame = pack((b"EVALSHA", script.sha, b"%d" % len(keys_), *keys_, *arguments, b"0"))
        return self.run_packed(script, keys.slot(keys_[0]), frame, orphaned)

    async def run_packed(
        self,
        script: Script,
        slot: int,
        frame: bytes,
        orphaned: Callable[[Any], None] | None = None,
    ) -> Any:
        """As `run`.

        :param slot: of the script's keys.
        :param frame: the whole command, packed, with "0" as its last part.
        """
        shard = self.opened().shard(slot)
        deadline = self.loop.time() + self.timeout
        asking = False
        while True:
            answer = None
            if shard is not None:
                future: asyncio.Future[Any] = self.loop.create_future()
                shard.commands.ask(Request(frame, future, deadline, orphaned, asking))
                try:
                    answer = await future
                except Rerouted:  # the server was relieved of the slot
                    pass
                except asyncio.CancelledError:
                    _hand_over(future, orphaned)
                    raise
                if answer is not None and not failed(answer):
                    return answer
            frame = asked_again(frame)
            if self.loop.time() >= deadline:
                raise LayerUnavailable(self._unserved(answer))
            shard, asking = await self._remedy(shard, slot, script, answer)

    async def _remedy(
        self, shard: Shard | None, slot: int, script: Script, answer: Any
    ) -> tuple[Shard | None, bool]:
        """What to do after a refusal: whom to ask next, and whether with ASKING."""
        topology = self.opened()
        code, _, rest = str(answer if answer is not None else "CLUSTERDOWN").partition(" ")
        if code in ("MOVED", "ASK") and rest:
            where = rest.split(" ")[1]
            host, _, port = where.rpartition(":")
            topology.suspect_slots()
            if host:
                return topology.asked_elsewhere(Endpoint(host, int(port))), code == "ASK"
            await asyncio.sleep(PAUSE_SECONDS)
        elif code == "READONLY":
            topology.suspect()
            await asyncio.sleep(PAUSE_SECONDS)
        elif code in _PASSING:
            if code == "NOSCRIPT" and shard is not None:
                self._load(shard, script)
            else:
                await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise _refusal(script, str(answer))
        return self.opened().shard(slot), False

    def _load(self, shard: Shard, script: Script) -> None:
        """It was flushed; whatever is asked next comes behind this."""
        if shard.commands.link is not None:
            shard.commands.link.ask(lambda answer: None, b"SCRIPT", b"LOAD", script.text)

    def _unserved(self, answer: Any) -> str:
        where = self.address.describe()
        return f"The Redis at {where} could not serve it in time: {answer or 'slots unknown'}."


def _failed(error: BaseException) -> None:
    if isinstance(error, LayerError):
        logger.warning("the Redis engine: %s", error)
    else:
        logger.error("the Redis engine failed", exc_info=error)


def _hand_over(future: asyncio.Future[Any], orphaned: Callable[[Any], None] | None) -> None:
    """Who asked was cancelled after the answer had come."""
    answered = future.done() and not future.cancelled() and future.exception() is None
    if answered and orphaned is not None:
        orphaned(future.result())


def _refusal(script: Script, message: str) -> LayerError:
    code = message.partition(" ")[0]
    if code == "OOM":
        return LayerError(
            "The memory of the layer's Redis is full (maxmemory): nothing was stored. "
            f"({script.name})"
        )
    if code in ("NOAUTH", "NOPERM", "WRONGPASS"):
        return LayerUnavailable(f"The layer's Redis does not allow {script.name}: {message}")
    return LayerError(f"The layer's Redis failed at {script.name}: {message[:300]}")
