"""How the processes of one channel layer reach each other: an inbox stream each, and one for all.

What lives here: `Peers`: what comes from other processes, and questions to them.
What must not: groups and mailboxes themselves; the node says what is done with what comes.

A process that only sends has neither and costs the engine nothing. Who is there is known from the
presence on the stream for all, so that nobody waits for the answer of a process that is gone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from seaway.exceptions import LayerError
from seaway.layers.channels.feed import HISTORY, Feed
from seaway.layers.channels.local import Tally
from seaway.layers.hub import Hub

logger = logging.getLogger("seaway.channels")


class Parcel(msgspec.Struct, frozen=True, array_like=True, tag="send"):
    """A message for one of the receiving process's channels."""

    channel: str
    delay: float
    data: bytes


class Ask(msgspec.Struct, frozen=True, array_like=True, tag="ask"):
    """A question from process ``sender``: what to do (one of `node.ANSWERS`) with which names."""

    sender: str
    number: int
    what: str
    group: str = ""
    channel: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """The answer to it."""

    sender: str
    number: int
    body: Any = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Parcel | Ask | Answer).decode


class _Question:
    """One of ours: whose answers have come, and whose are still awaited."""

    def __init__(self, awaited: set[str]) -> None:
        self.awaited = awaited
        self.answers: dict[str, Any] = {}
        self.done = asyncio.Event()

    def answered(self, answer: Answer) -> None:
        self.answers[answer.sender] = answer.body
        self.awaited.discard(answer.sender)
        if not self.awaited:
            self.done.set()


class Peers:
    """This process's place among the others. Belongs on the hub's loop.

    :param me: the name of this process.
    :param topic: the stream of a process, by its name; of "" the one for all.
    :param deliver: takes what was sent to a channel of this process.
    :param answer: answers a question of another process.
    :param missed: told how many messages to this process were missed; None: unknown.
    :param spawn: runs a coroutine in the background.
    """

    def __init__(
        self,
        hub: Hub,
        me: str,
        topic: Callable[[str], str],
        deliver: Callable[[Parcel], None],
        answer: Callable[[Ask], Any],
        missed: Callable[[int | None], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        tally: Tally,
    ) -> None:
        self.present = False
        self._hub = hub
        self._me = me
        self._topic = topic
        self._deliver = deliver
        self._answer = answer
        self._missed = missed
        self._spawn = spawn
        self._tally = tally
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}
        self._feeds: list[Feed] = []
        self._opening = asyncio.Lock()

    async def appear(self) -> None:
        """Be there for the others: follow both streams, and be listed. Again: nothing."""
        if self.present:
            return
        async with self._opening:
            if self.present:
                return
            feeds = [Feed(self._hub, self._topic(name), self._take, self._missed)
                     for name in (self._me, "")]  # fmt: skip
            try:
                for feed in feeds:
                    await feed.open()
                await self._hub.layer.enter(self._topic(""), self._me, b"{}")
            except BaseException:
                for feed in feeds:
                    feed.release()
                raise
            self._feeds = feeds
            self.present = True

    async def disappear(self) -> None:
        """Undo that."""
        self.release()
        if self.present:
            self.present = False
            await self._hub.layer.leave(self._topic(""), self._me)

    def release(self) -> None:
        """Let go of the streams, without a word to the engine."""
        for feed in self._feeds:
            feed.release()

    # To others -----------------------------------------------------------------------------------

    async def send(self, process: str, parcel: Parcel) -> None:
        """Send a message to a channel of another process."""
        await self._hub.layer.publish(self._topic(process), _encode(parcel), HISTORY)

    async def others(self) -> set[str]:
        """The names of the processes that are there, but for this one."""
        return set(await self._hub.layer.members(self._topic(""))) - {self._me}

    async def ask(
        self, what: str, *, group: str = "", channel: str = "", process: str = ""
    ) -> dict[str, Any]:
        """The answers of one process or, without ``process``, of all others, by process.

        One that is not there has none; one that does not answer in the layer's ``timeout`` is
        logged, and has none.
        """
        others = await self.others()
        awaited = others & {process} if process else others
        if not awaited:
            return {}
        await self.appear()
        number = next(self._numbers)
        question = self._questions[number] = _Question(set(awaited))
        try:
            ask = Ask(self._me, number, what, group, channel)
            await self._hub.layer.publish(self._topic(process), _encode(ask), HISTORY)
            async with asyncio.timeout(self._hub.layer.timeout):
                await question.done.wait()
        except TimeoutError:
            silent = ", ".join(sorted(question.awaited))
            logger.warning("no answer to %r from the processes %s", what, silent)
        finally:
            del self._questions[number]
        return question.answers

    # From others ---------------------------------------------------------------------------------

    def _take(self, epoch: str, offset: int, data: bytes) -> None:
        try:
            letter = _decode(data)
        except msgspec.MsgspecError as error:
            self._tally.lost("undelivered", f"a letter between processes cannot be read: {error}")
            return
        if isinstance(letter, Parcel):
            self._deliver(letter)
        elif isinstance(letter, Answer):
            question = self._questions.get(letter.number)
            if question is not None:
                question.answered(letter)
        elif letter.sender != self._me:
            self._spawn(self._reply(letter))

    async def _reply(self, ask: Ask) -> None:
        body = self._answer(ask)
        if asyncio.iscoroutine(body):
            body = await body
        answer = Answer(self._me, ask.number, body)
        try:
            await self._hub.layer.publish(self._topic(ask.sender), _encode(answer), HISTORY)
        except LayerError as error:
            logger.warning("cannot answer %r of process %s: %s", ask.what, ask.sender, error)
