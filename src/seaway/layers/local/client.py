"""The layer over the embedded broker: one Unix connection per process.

What lives here: requests and their answers, and what happens when the broker is lost.
What must not: state of topics; the broker has it, and the hub.

After a loss the layer reconnects at once, starting a broker if there is none, and then, in this
order on the new connection: enters its members again, watches its topics again (each answer
becomes `Receiver.restored`, before any event that follows it), and sends what is still waiting.
Reads, watches and entries are simply asked again. A publish that had been written to the lost
connection is not, since it would count twice if it had arrived: it raises.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from functools import partial

from seaway.exceptions import ConfigurationError, LayerError, LayerUnavailable
from seaway.layers.base import (
    Gap,
    History,
    Layer,
    Page,
    Position,
    PresenceChange,
    Publication,
    Receiver,
    check_limit,
    check_name,
    check_size,
)
from seaway.layers.local import wire
from seaway.layers.local.broker import LINGER
from seaway.layers.local.launch import ensure_broker
from seaway.layers.local.link import Link
from seaway.layers.local.place import Place
from seaway.layers.local.requests import Requests

logger = logging.getLogger("seaway.layers")

#: Seconds between attempts to reconnect: the first wait and the longest.
FIRST_DELAY, LAST_DELAY = 0.05, 1.0
#: Bytes of members that one `Enter` carries when they are entered again.
ENTER_BYTES = 1024 * 1024


class LocalLayer(Layer):
    """Streams and presence of all processes of one user and namespace on this machine.

    :param place: where the broker is found.
    :param linger: seconds that a broker started by this layer outlives its last client.
    """

    def __init__(self, place: Place, *, linger: float = LINGER) -> None:
        self._place = place
        self._linger = linger
        self._receiver: Receiver | None = None
        self._requests: Requests | None = None
        self._watched: set[str] = set()
        self._entered: dict[str, dict[str, bytes]] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._mending: asyncio.Task[None] | None = None
        self._next_renewal = 0.0
        self._trouble = "not started"

    def describe(self) -> str:
        return f"local broker at {self._place.socket}"

    @property
    def connected(self) -> bool:
        """Whether a broker has been reached and not been lost since."""
        return self._requests is not None and self._requests.link is not None

    # Life ----------------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = Requests()
        self._receiver = receiver
        try:
            async with asyncio.timeout(self.timeout):
                await self._connect_at_last(stubborn=False)
        except BaseException as error:
            self._receiver = None
            if isinstance(error, TimeoutError):
                raise LayerUnavailable(self._unreachable()) from error
            raise
        self._tick()

    async def close(self) -> None:
        self._receiver = None
        self._trouble = "closed"
        if self._ticker is not None:
            self._ticker.cancel()
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        if self._requests is not None:
            link = self._requests.end("The layer was closed meanwhile.")
            if link is not None:
                await link.close(self.timeout)

    def forked(self) -> None:
        self._receiver = None
        self._trouble = "left behind by a fork"
        if self._requests is not None and self._requests.link is not None:
            self._requests.link.forked()

    # Streams -------------------------------------------------------------------------------------

    async def publish(self, topic: str, data: bytes, history: History | None = None) -> Position:
        check_name(topic)
        check_size(data, self.max_data)
        size, seconds = (history.size, history.seconds) if history is not None else (0, 1.0)
        requests = self._started()
        question = wire.Publish(requests.next_id(), topic, data, size, seconds)
        return _position(await requests.ask(question, self.timeout, again=False))

    async def watch(self, topic: str) -> Position:
        requests = self._started()
        question = wire.Watch(requests.next_id(), check_name(topic))

        def watched(_: wire.Answer) -> None:
            # At the moment that the answer is read: events may be right behind it.
            self._watched.add(topic)

        try:
            return _position(await requests.ask(question, self.timeout, then=watched))
        except BaseException:
            self._watched.discard(topic)
            requests.tell(wire.Unwatch(requests.next_id(), topic), self.timeout)
            raise

    async def unwatch(self, topic: str) -> None:
        self._watched.discard(check_name(topic))
        if self.connected:
            requests = self._started()
            await requests.ask(wire.Unwatch(requests.next_id(), topic), self.timeout)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        check_name(topic)
        check_limit(limit)
        requests = self._started()
        question = wire.Read(requests.next_id(), topic, since.epoch, since.offset, limit)
        answer = await requests.ask(question, self.timeout)
        if isinstance(answer, wire.Missed):
            return Gap(Position(answer.epoch, answer.offset))
        if not isinstance(answer, wire.Events):
            raise _unexpected(answer)
        epoch = answer.epoch
        publications = [
            Publication(Position(epoch, offset), data)
            for offset, data in enumerate(answer.events, answer.first)
        ]
        return Page(publications, Position(epoch, answer.offset))

    async def position(self, topic: str) -> Position:
        requests = self._started()
        question = wire.Where(requests.next_id(), check_name(topic))
        return _position(await requests.ask(question, self.timeout))

    # Presence ------------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes) -> None:
        check_name(topic)
        check_name(member, "member name")
        check_size(info, self.max_data)
        requests = self._started()
        entered = self._entered.setdefault(topic, {})
        before = entered.get(member)
        entered[member] = info
        try:
            question = wire.Enter(requests.next_id(), topic, {member: info})
            await requests.ask(question, self.timeout)
        except BaseException:
            self._undo_enter(requests, topic, member, info, before)
            raise

    async def leave(self, topic: str, member: str) -> None:
        check_name(topic)
        check_name(member, "member name")
        self._forget_member(topic, member)
        if self.connected:
            requests = self._started()
            await requests.ask(wire.Leave(requests.next_id(), topic, member), self.timeout)

    async def members(self, topic: str) -> dict[str, bytes]:
        requests = self._started()
        question = wire.Members(requests.next_id(), check_name(topic))
        answer = await requests.ask(question, self.timeout)
        if not isinstance(answer, wire.Present):
            raise _unexpected(answer)
        return dict(answer.members)

    def _forget_member(self, topic: str, member: str) -> None:
        entered = self._entered.get(topic)
        if entered is not None:
            entered.pop(member, None)
            if not entered:
                del self._entered[topic]

    def _undo_enter(
        self, requests: Requests, topic: str, member: str, info: bytes, before: bytes | None
    ) -> None:
        """The caller was told that it failed: the broker must not believe otherwise."""
        if self._entered.get(topic, {}).get(member) is not info:
            return
        if before is None:
            self._forget_member(topic, member)
            requests.tell(wire.Leave(requests.next_id(), topic, member), self.timeout)
        else:
            self._entered[topic][member] = before
            question = wire.Enter(requests.next_id(), topic, {member: before})
            requests.tell(question, self.timeout)

    def _started(self) -> Requests:
        if self._receiver is None or self._requests is None:
            raise LayerUnavailable(f"The layer is {self._trouble}.")
        return self._requests

    # What the broker says (link.LinkOwner) -------------------------------------------------------

    def replied(self, reply: wire.Answer | wire.Published | wire.Changed) -> None:
        """LinkOwner: an event, a change of presence, or an answer."""
        if isinstance(reply, wire.Published | wire.Changed):
            # An event of a topic that is unwatched, or about to be watched anew, is of no interest.
            if reply.topic in self._watched:
                self._announce(reply)
        elif self._requests is not None:
            self._requests.answered(reply)

    def _announce(self, news: wire.Published | wire.Changed) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        try:
            if isinstance(news, wire.Published):
                position = Position(news.epoch, news.offset)
                receiver.published(news.topic, Publication(position, news.data))
            else:
                change = PresenceChange(entered=news.entered, left=news.left)
                receiver.presence_changed(news.topic, change)
        except Exception:
            logger.exception("the receiver failed on news of %s", news.topic)

    def lost(self, link: Link) -> None:
        """LinkOwner: reconnect, unless it was never in use or we hung up ourselves."""
        requests = self._requests
        if requests is None or link is not requests.link:
            return
        self._trouble = "the connection was lost"
        logger.warning("lost the %s; reconnecting", self.describe())
        requests.lost()
        self._mending = self._loop.create_task(self._mend())

    # Connecting ----------------------------------------------------------------------------------

    async def _connect_at_last(self, *, stubborn: bool) -> None:
        """Try until it works. Only a ``stubborn`` one goes on when no broker can be started."""
        delay = FIRST_DELAY
        while True:
            try:
                await self._connect()
            except OSError as error:
                self._trouble = str(error) or "it does not answer"
            except (LayerUnavailable, ConfigurationError) as error:
                if not stubborn:
                    raise
                self._trouble = str(error)
                logger.warning("no broker yet: %s", error)
            else:
                return
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  spreads attempts
            delay = min(LAST_DELAY, delay * 2)

    async def _mend(self) -> None:
        await self._connect_at_last(stubborn=True)
        logger.info("back at the %s", self.describe())

    async def _connect(self) -> None:
        requests = self._started()
        self._place.prepare()
        try:
            link = await self._dial()
        except (FileNotFoundError, ConnectionRefusedError):
            await self._launch()
            link = await self._dial()
        requests.resume(link, lambda: self._tell_again(requests))

    async def _launch(self) -> None:
        launch = partial(ensure_broker, self._place, timeout=self.timeout, linger=self._linger)
        try:
            await self._loop.run_in_executor(None, launch)
        except RuntimeError as error:  # no thread can be had: the interpreter is about to exit
            raise LayerUnavailable(str(error)) from error

    async def _dial(self) -> Link:
        link = Link(self, self.lease)
        try:
            await self._loop.create_unix_connection(lambda: link, str(self._place.socket))
            async with asyncio.timeout(self.timeout):
                await link.welcomed
        except BaseException:
            link.abort()
            raise
        if not link.open:
            raise ConnectionResetError("The broker hung up after the greeting.")
        return link

    def _tell_again(self, requests: Requests) -> None:
        """What a broker that knows nothing of us has to know, before anything else is asked."""
        self._enter_again(requests)
        for topic in self._watched:
            question = wire.Watch(requests.next_id(), topic)
            requests.tell(question, self.timeout, partial(self._watched_again, topic))

    def _watched_again(self, topic: str, answer: wire.Answer) -> None:
        if topic in self._watched and self._receiver is not None:
            try:
                self._receiver.restored(topic, _position(answer))
            except Exception:
                logger.exception("the receiver failed on the restored %s", topic)

    def _enter_again(self, requests: Requests) -> None:
        for topic, members in self._entered.items():
            for part in _portions(members):
                requests.tell(wire.Enter(requests.next_id(), topic, part), self.timeout)

    # Time ----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """One timer for all time-outs and for the signs of life."""
        self._ticker = self._loop.call_later(min(self.timeout / 5, self.lease / 6), self._tick)
        requests = self._started()
        requests.time_out(self._unreachable())
        now = self._loop.time()
        if self.connected and now >= self._next_renewal:
            self._next_renewal = now + self.lease / 3
            requests.tell(wire.Renew(requests.next_id()), self.timeout, self._renewed)

    def _renewed(self, answer: wire.Answer) -> None:
        if isinstance(answer, wire.Renewed) and not answer.kept:
            logger.warning("this process was silent for too long; its members enter again")
            self._enter_again(self._started())

    def _unreachable(self) -> str:
        if self.connected:
            return f"The {self.describe()} did not answer within {self.timeout:g} s."
        return f"The {self.describe()} cannot be reached: {self._trouble.rstrip('.')}."


def _position(answer: wire.Answer) -> Position:
    if not isinstance(answer, wire.At):
        raise _unexpected(answer)
    return Position(answer.epoch, answer.offset)


def _unexpected(answer: wire.Answer) -> LayerError:
    return LayerError(f"The broker gave an answer to another question: {type(answer).__name__}.")


def _portions(members: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Cut so that each stays well below a frame's limit."""
    part: dict[str, bytes] = {}
    size = 0
    for member, info in members.items():
        part[member] = info
        size += len(info) + 200
        if size > ENTER_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
