"""Which server has a slot: one always, whichever the Sentinels name, or a cluster's masters.

What lives here: `Single` (with or without Sentinels), `Cluster`. What must not: requests.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.address import Endpoint
from seaway.layers.redis.dial import Dialer, Unreachable
from seaway.layers.redis.link import Link, LinkOwner, failed, pack
from seaway.layers.redis.pipe import Request, Rerouted
from seaway.layers.redis.shard import Listener, Shard

logger = logging.getLogger("seaway.layers")

#: Seconds between looks at a cluster's slots: while something is wrong, and to be sure.
SUSPICIOUS_SECONDS, CALM_SECONDS = 0.3, 10.0
#: Seconds that a Sentinel or a node gets to say where the masters are.
LOOK_SECONDS = 1.0


class Topology(Protocol):
    """What the engine asks about servers."""

    async def start(self) -> None:
        """:raises Unreachable, ConfigurationError: none can be used."""

    async def close(self) -> None:
        """Hang up."""

    def shards(self) -> Iterable[Shard]:
        """All masters."""

    def shard(self, slot: int) -> Shard | None:
        """Who has a slot; None while nobody knows."""

    def suspect(self) -> None:
        """An answer showed that a server is no master."""

    def suspect_slots(self) -> None:
        """Slots may have moved: look soon."""

    def asked_elsewhere(self, endpoint: Endpoint) -> Shard:
        """The shard at an endpoint that a redirection named."""


class _Nobody:
    """Owner of a connection that is only asked one thing."""

    def told(self, channel: bytes, data: bytes) -> None:
        """LinkOwner."""

    def dropped(self, channel: bytes) -> None:
        """LinkOwner."""

    def lost(self, link: Link) -> None:
        """LinkOwner."""


class Single:
    """One master: the given server, or the one that the Sentinels name at each connecting."""

    def __init__(self, dialer: Dialer, listener: Listener) -> None:
        self._dialer = dialer
        self._address = dialer.address
        self._shard = Shard(self._dial, listener, f"Redis at {self._address.describe()}")

    async def start(self) -> None:
        await self._shard.connect()

    async def close(self) -> None:
        await self._shard.close()

    def shards(self) -> Iterable[Shard]:
        return (self._shard,)

    def shard(self, slot: int) -> Shard | None:
        return self._shard

    def suspect(self) -> None:
        """It is no master now: find the one that is."""
        for pipe in (self._shard.commands, self._shard.news):
            if pipe.link is not None:
                pipe.link.abort("it is no longer the master")

    def suspect_slots(self) -> None:
        """Topology: there is one place for all."""

    def asked_elsewhere(self, endpoint: Endpoint) -> Shard:
        return self._shard

    async def _dial(self, owner: LinkOwner) -> Link:
        if self._address.kind != "sentinel":
            return await self._dialer.dial(owner, self._address.endpoints[0])
        trouble = "no Sentinel answers"
        for sentinel in self._address.endpoints:
            try:
                master = await self._master_of(sentinel)
                return await self._dialer.dial(owner, master)
            except Unreachable as error:
                trouble = str(error)
        raise Unreachable(trouble)

    async def _master_of(self, sentinel: Endpoint) -> Endpoint:
        link = await self._dialer.dial_sentinel(_Nobody(), sentinel)
        try:
            answer = await _ask_once(
                link, b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._address.master.encode()
            )
        finally:
            link.close()
        if failed(answer):
            raise Unreachable(f"the Sentinel at {sentinel} refuses: {answer}")
        if not answer:
            raise ConfigurationError(
                f"The Sentinel at {sentinel} knows no master named {self._address.master!r}."
            )
        return Endpoint(answer[0].decode(), int(answer[1]))


class Cluster:
    """The masters of a cluster, looked up now and then, and whenever something is wrong.

    :param changed: called when slots have moved.
    """

    def __init__(self, dialer: Dialer, listener: Listener, changed: Callable[[], None]) -> None:
        self._dialer = dialer
        self._listener = listener
        self._changed = changed
        self._shards: dict[Endpoint, Shard] = {}
        #: Sorted by the first slot: (first, last, shard).
        self._ranges: list[tuple[int, int, Shard]] = []
        self._looking: asyncio.Task[None] | None = None
        self._suspicion = asyncio.Event()

    async def start(self) -> None:
        await self._look()
        await asyncio.gather(*(shard.connect() for shard in self._shards.values()))
        self._looking = asyncio.create_task(self._keep_looking())

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await asyncio.gather(*(shard.close() for shard in self._shards.values()))

    def shards(self) -> Iterable[Shard]:
        return list(self._shards.values())

    def shard(self, slot: int) -> Shard | None:
        at = bisect_right(self._ranges, slot, key=lambda entry: entry[0]) - 1
        if at >= 0 and self._ranges[at][1] >= slot:
            return self._ranges[at][2]
        return None

    def suspect(self) -> None:
        self._suspicion.set()

    def suspect_slots(self) -> None:
        self._suspicion.set()

    def asked_elsewhere(self, endpoint: Endpoint) -> Shard:
        shard = self._shards.get(endpoint)
        if shard is None:
            shard = self._begin(endpoint)
            shard.mend()
        return shard

    # Looking -------------------------------------------------------------------------------------

    async def _keep_looking(self) -> None:
        while True:
            troubled = any(shard.commands.link is None for shard in self._shards.values())
            pause = SUSPICIOUS_SECONDS if troubled else CALM_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._suspicion.wait()
                    self._suspicion.clear()
            except TimeoutError:
                pass
            try:
                await self._look()
            except (Unreachable, ConfigurationError) as error:
                logger.debug("the slots of the cluster are not known: %s", error)
            except Exception:
                logger.exception("looking at the cluster's slots failed")
            await asyncio.sleep(SUSPICIOUS_SECONDS / 3)

    async def _look(self) -> None:
        """Ask one node after the other for the slots."""
        trouble: Exception = Unreachable("the cluster has no nodes")
        for shard in list(self._shards.values()):
            if shard.commands.link is not None:
                request = _request(b"CLUSTER", b"SLOTS")
                shard.commands.ask(request)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        answer = await request.future
                    self._learn(answer, next(iter(self._endpoints_of(shard))))
                    return
                except (TimeoutError, Rerouted, Unreachable, LayerUnavailable) as error:
                    trouble = error
        for endpoint in dict.fromkeys((*self._shards, *self._dialer.address.endpoints)):
            try:
                self._learn(await self._ask_seed(endpoint), endpoint)
                return
            except Unreachable as error:
                trouble = error
        raise Unreachable(str(trouble) or "no node says who has which slots")

    def _endpoints_of(self, shard: Shard) -> Iterable[Endpoint]:
        return (endpoint for endpoint, one in self._shards.items() if one is shard)

    async def _ask_seed(self, endpoint: Endpoint) -> Any:
        # As a Sentinel is greeted: a replica, or a node that is not in order yet, may know, too.
        link = await self._dialer.dial_node(_Nobody(), endpoint)
        try:
            return await _ask_once(link, b"CLUSTER", b"SLOTS")
        finally:
            link.close()

    def _learn(self, answer: Any, asked: Endpoint) -> None:
        if failed(answer):
            if "cluster support disabled" in str(answer):
                raise ConfigurationError(
                    f"The server at {asked} is no cluster: use redis://, not redis+cluster://."
                )
            raise Unreachable(f"{asked} refuses: {answer}")
        ranges = [(first, last, _endpoint(master, asked)) for first, last, master, *_ in answer]
        if not ranges:
            raise Unreachable(f"the cluster at {asked} serves no slots")
        before = [(first, last, shard.name) for first, last, shard in self._ranges]
        masters = {endpoint for _, _, endpoint in ranges}
        for endpoint in masters - self._shards.keys():
            shard = self._begin(endpoint)
            if self._looking is not None:
                shard.mend()
        self._ranges = sorted(
            ((first, last, self._shards[endpoint]) for first, last, endpoint in ranges),
            key=lambda entry: entry[0],
        )
        for endpoint in self._shards.keys() - masters:
            self._shards.pop(endpoint).retire(Rerouted())
        if before and before != [(first, last, shard.name) for first, last, shard in self._ranges]:
            logger.warning("the slots of %s have moved", self._dialer.address.describe())
            self._changed()

    def _begin(self, endpoint: Endpoint) -> Shard:
        async def dial(owner: LinkOwner) -> Link:
            return await self._dialer.dial(owner, endpoint)

        name = f"Redis at {self._dialer.address.scheme}://{endpoint}"
        shard = self._shards[endpoint] = Shard(dial, self._listener, name)
        return shard


def _request(*parts: bytes) -> Request:
    loop = asyncio.get_running_loop()
    # Asked again it would have another end; it is not, since nobody waits for so long.
    return Request(pack(parts), loop.create_future(), loop.time() + LOOK_SECONDS)


def _endpoint(node: Any, asked: Endpoint) -> Endpoint:
    """A node as CLUSTER SLOTS names it; without a name it is on the host that was asked."""
    host = node[0].decode() if node[0] else ""
    return Endpoint(host if host not in ("", "?") else asked.host, int(node[1]))


async def _ask_once(link: Link, *parts: bytes) -> Any:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answered(answer: Any) -> None:
        if not future.done():
            future.set_result(answer)

    link.ask(answered, *parts)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await future
    except TimeoutError:
        raise Unreachable("no answer in time") from None
