"""A topic, its hub over a memory layer with a bad line, and subscribers as the hub sees them."""

from collections.abc import Sequence

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, Headcount, History, Page, Position, PresenceChange, Publication
from seaway.layers.hub import Hub
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.store import Store
from seaway.layers.stream import Subscription

TOPIC = "halls/1"
KEPT = History(size=1000, seconds=60)


class Words:
    """An encoding that a person can read."""

    def __init__(self) -> None:
        self.encoded = 0

    def event(self, topic: str, publication: Publication) -> bytes:
        self.encoded += 1
        return b"%d:%b " % (publication.position.offset, publication.data)

    def gap(self, topic: str) -> bytes:
        return b"gap "

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        return b"+%b-%b " % (
            b",".join(sorted(change.entered.values())),
            ",".join(sorted(change.left)).encode(),
        )

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        return b"=%b " % b",".join(sorted(members))

    def headcount(self, topic: str, count: Headcount) -> bytes:
        return b"#%d/%d " % (count.members, count.people)


class Outlet:
    """A connection as the hub sees it: it keeps what was written, and can be stuck."""

    def __init__(self, room: int | None = None, lane: "Line | None" = None) -> None:
        self.writable = True
        self.room = room
        self.lane = lane
        self.batches = 0
        self.writes: list[bytes] = []
        self.closed_with: int | None = None

    def write(self, frame: bytes) -> None:
        self.writes.append(frame)
        if self.room is not None:
            self.room -= 1
            self.writable = self.room > 0

    def close(self, code: int, reason: str = "") -> None:
        self.closed_with = code
        self.writable = False

    def drain(self, room: int | None = None) -> None:
        self.room = room
        self.writable = True

    @property
    def said(self) -> list[str]:
        return b"".join(self.writes).decode().split()


class Line:
    """A lane that takes what it is told to, and leaves the rest to the hub."""

    def __init__(self, *, leaves: Sequence["Outlet"] = ()) -> None:
        self.leaves = leaves
        self.sizes: list[int] = []

    def batch(self, sinks: Sequence[Outlet]) -> "Together":
        return Together(self, sinks)


class Together:
    def __init__(self, line: Line, sinks: Sequence[Outlet]) -> None:
        self.line, self.sinks = line, sinks

    def write(self, frame: bytes) -> Sequence[int]:
        self.line.sizes.append(len(self.sinks))
        left = [n for n, sink in enumerate(self.sinks) if self._is_left(sink)]
        for sink in self.sinks:
            if not self._is_left(sink):
                sink.write(frame)
                sink.batches += 1
        return left

    def _is_left(self, sink: Outlet) -> bool:
        return sink in self.line.leaves or not sink.writable


class LossyLayer(MemoryLayer):
    """The memory layer behind a bad line: it can lose announcements and stop answering."""

    losing = False
    answers = True

    def forget_everything(self) -> None:
        self._store = Store()
        self._store.attach(self)

    def announce_through(self, hub: Hub) -> "LossyReceiver":
        return LossyReceiver(self, hub)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        if not self.answers:
            raise LayerUnavailable("the line is cut")
        return await super().read(topic, since, limit)


class LossyReceiver:
    def __init__(self, layer: LossyLayer, hub: Hub) -> None:
        self.layer, self.hub = layer, hub

    def published(self, topic: str, publication: Publication) -> None:
        if not self.layer.losing:
            self.hub.published(topic, publication)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.hub.presence_changed(topic, change)

    def restored(self, topic: str, position: Position) -> None:
        self.hub.restored(topic, position)


class Hall:
    def __init__(self, layer: LossyLayer, hub: Hub) -> None:
        self.layer, self.hub, self.words = layer, hub, Words()

    async def join(self, outlet: Outlet, *, replayable: bool = True) -> Subscription:
        subscription = await self.hub.subscribe(TOPIC, outlet, self.words, replayable=replayable)
        self.hub.activate(subscription)
        return subscription

    async def publish(self, *events: str, history: History | None = KEPT) -> None:
        for event in events:
            await self.layer.publish(TOPIC, event.encode(), history)


def state_of(subscription: Subscription) -> str:
    return subscription.state.name
