"""What the broker remembers of a client over its connections, so that nothing is done twice.

What lives here: `Client`: which requests were done and what was answered, what waits, and for how
long a client that is gone keeps what it holds. `Clients` has them all.
What must not: sockets (`session`), or what a request does.

A client asks again on a new connection what it had asked on the lost one, under the same growing
ids. So an id up to the last one that was done has been seen: its answer is given again, or, if it
is no longer remembered, the client is told that nobody knows (`wire.Cause.FORGOTTEN`).

What it holds stays its own for `RETURN_SECONDS` after its connection was lost: a live client is
back sooner, and another receiver beside it would do its work twice. A client that was killed is
not, and then others get it at once, without waiting for the lease. A client that says `wire.Bye`
gives everything back at that moment.

Memory is bounded: `ANSWERS` of about 100 bytes and `RECEIPTS` of about 60 for each client, and a
client that has been gone for `REMEMBER_SECONDS` is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seaway.layers.base import Position
from seaway.layers.memory.desk import Desk, Waiting

if TYPE_CHECKING:
    from seaway.layers.local.session import Session

#: Seconds for which a client that lost its connection keeps what it holds.
RETURN_SECONDS = 2.0
#: And after the restart of a durable broker: clients have to notice, and to find it.
RESTART_SECONDS = 5.0
#: Seconds for which its requests are remembered after that.
REMEMBER_SECONDS = 60.0
#: Answers that are remembered: more than a client has unanswered requests.
ANSWERS = 4096
#: Receipts of answers to receives that are remembered.
RECEIPTS = 20_000


class Client:
    """One process, whatever its connection.

    :ivar last: the highest id of a request that changes something and was taken up.
    """

    __slots__ = (
        "_answers", "_receipts", "_undone", "gone_at", "handed", "last", "name", "session",
        "timer", "waiting",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.session: Session | None = None
        self.last = 0
        self.gone_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        #: Sends and receives that wait, by their ids.
        self.waiting: dict[int, Waiting[Any]] = {}
        #: What receives were answered: (channel, receipts).
        self.handed: OrderedDict[int, tuple[str, list[str]]] = OrderedDict()
        self._receipts = 0
        #: Frames, and the positions of what was published.
        self._answers: OrderedDict[int, bytes | Position] = OrderedDict()
        self._undone: set[int] = set()

    def is_new(self, id_: int) -> bool:
        """Whether this request is to be done; it then counts as taken up."""
        if id_ > self.last:
            self.last = id_
            return True
        if id_ in self._undone:
            self._undone.discard(id_)
            return True
        return False

    def remember(self, id_: int, answer: bytes | Position) -> None:
        self._answers[id_] = answer
        if len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)

    def remember_placed(self, first_id: int, positions: Sequence[Position]) -> None:
        """`remember` for the events of requests whose ids count up."""
        answers = self._answers
        for id_, position in enumerate(positions, first_id):
            answers[id_] = position
        while len(answers) > ANSWERS:
            answers.popitem(last=False)

    def remember_handed(self, id_: int, channel: str, receipts: list[str]) -> None:
        self.handed[id_] = (channel, receipts)
        self._receipts += len(receipts)
        while len(self.handed) > ANSWERS or (self._receipts > RECEIPTS and len(self.handed) > 1):
            self.take_handed(next(iter(self.handed)))

    def take_handed(self, id_: int) -> tuple[str, list[str]]:
        """What a receive was answered, to be remembered no longer; nothing if it is not known."""
        channel, receipts = self.handed.pop(id_, ("", []))
        self._receipts -= len(receipts)
        return channel, receipts

    def cancel(self, id_: int) -> Waiting[Any] | None:
        """It will not be asked again; the waiting that is to end."""
        self._undone.discard(id_)
        return self.waiting.pop(id_, None)

    def answer(self, id_: int) -> bytes | Position | None:
        """What was answered to a request that is not new."""
        return self._answers.get(id_)

    def stop_waiting(self, desk: Desk) -> None:
        """The connection is lost: what waited was not done, and will be asked again."""
        for id_, waiting in self.waiting.items():
            desk.leave(waiting)
            self._undone.add(id_)
        self.waiting.clear()


class Clients:
    """All clients by their names. A returning one finds what it left."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name: dict[str, Client] = {}
        self._expected: set[str] = set()

    def come(self, name: str, session: Session) -> tuple[Client, Session | None, bool]:
        """A client greets: it, its earlier connection if the end of that was not seen yet, and
        whether it is known."""
        client = self._by_name.get(name)
        known = client is not None
        if client is None:
            client = self._by_name[name] = Client(name)
        self._expected.discard(name)
        before, client.session = client.session, session
        if before is not None:
            client.stop_waiting(self._desk)
        if client.timer is not None:
            client.timer.cancel()
            client.timer = None
        return client, before, known

    def go(self, client: Client, session: Session) -> None:
        """A connection is lost."""
        if client.session is not session:
            return
        loop = asyncio.get_running_loop()
        client.session = None
        client.gone_at = loop.time()
        client.stop_waiting(self._desk)
        client.timer = loop.call_later(RETURN_SECONDS, self.give_back, client.name)

    def give_back(self, name: str) -> None:
        """What a client holds goes to others."""
        for channel in self._desk.store.drop_holder(name):
            self._desk.stir(channel)

    def expect(self) -> None:
        """After the restart of a durable broker: those who hold something will be back soon, but
        for those that ended with it, or meanwhile."""
        self._expected = self._desk.store.holders()
        if self._expected:
            loop = asyncio.get_running_loop()
            loop.call_later(RESTART_SECONDS, self._expect_no_more)

    def _expect_no_more(self) -> None:
        expected, self._expected = self._expected, set()
        for name in expected:
            self.give_back(name)

    def sweep(self) -> None:
        """Forget those that will not come back; call it about once a second."""
        oldest = asyncio.get_running_loop().time() - REMEMBER_SECONDS
        for name, client in list(self._by_name.items()):
            if client.session is None and client.gone_at < oldest:
                del self._by_name[name]

    def __iter__(self) -> Iterator[Client]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)
