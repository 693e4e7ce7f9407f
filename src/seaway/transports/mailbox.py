"""Questions from one process to another, over the layer: how any process answers any request.

What lives here: `Mailbox`, one per process.
What must not: what is asked; connections and HTTP; the form of `letters`.

A mailbox is a reserved topic without history that its process follows through the hub like any
subscriber: it works on every engine, and costs one watch per process, not one per connection. The
layer promises order, not that a letter is ever read. So who waits for an answer asks now and then
whether the question is still being worked on: a process that has died, has lost the letter, or
cannot be reached is noticed within seconds, however long the answer itself may take.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable

from seaway.exceptions import LayerError, SeawayError
from seaway.layers.hub import Hub
from seaway.layers.stream import Subscription
from seaway.transports.letters import (
    ENCODING,
    ENVELOPE,
    Kind,
    Letter,
    cut,
    decode_numbers,
    encode_letter,
    encode_numbers,
    letters_of,
    topic_of,
)

logger = logging.getLogger("seaway.transports")

#: Seconds of silence after which a process that owes an answer is asked whether it works on it;
#: after twice as many the answer is given up.
SILENCE_SECONDS = 2.0
#: Seconds between two attempts to follow the mailbox's topic again after it was lost.
RETRY_SECONDS = 0.5
Answer = Callable[[bytes], Awaitable[bytes]]


class NoAnswer(SeawayError):
    """The process asked is gone, or does not know the question: it may have acted on it or not."""


class _Question:
    """One of ours that has no answer yet."""

    __slots__ = ("address", "answer", "posted")

    def __init__(self, address: str, answer: asyncio.Future[bytes]) -> None:
        self.address = address
        self.answer = answer
        self.posted = False


class Mailbox:
    """This process's address among the others, and the questions that it waits on.

    :param answer: answers a question; what it raises is logged, and the asker gets `NoAnswer`.
    :ivar address: unguessable, and new with each process.
    :ivar writable: always; a mailbox is an `seaway.layers.stream.Outlet` that handles at once.
    """

    writable = True

    def __init__(self, hub: Hub, answer: Answer) -> None:
        self.address = secrets.token_urlsafe(12)
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._answer = answer
        self._subscription: Subscription | None = None
        self._opening: asyncio.Task[None] | None = None
        self._number = 0
        self._asked: dict[int, _Question] = {}
        #: When each process that owes us an answer was last asked for the first time, or heard.
        self._heard: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        #: Questions to us that are being worked on: (who asked, its number).
        self._working: dict[tuple[str, int], asyncio.Task[None]] = {}
        #: Letters of which more is to come.
        self._parts: defaultdict[tuple[Kind, str, int], list[bytes]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Follow our topic. Open already: nothing. Raises `LayerError`."""
        if self._subscription is None:
            if self._opening is None:
                self._opening = self._loop.create_task(self._open())
            await asyncio.shield(self._opening)

    async def _open(self) -> None:
        try:
            topic = topic_of(self.address)
            found = await self._hub.subscribe(topic, self, ENCODING, replayable=False)
            self._hub.activate(found)
            self._subscription = found
        finally:
            self._opening = None

    async def end(self) -> None:
        """Give up what is asked and what is worked on."""
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            self._hub.unsubscribe(self._subscription)
        for number in list(self._asked):
            self._give_up(number, "this process ends")
        tasks = [*self._tasks, *self._working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self, address: str, question: bytes) -> bytes:
        """Ask the process at ``address`` and wait for its answer, as long as it works on it.

        :raises NoAnswer: it is gone or has lost the question.
        :raises LayerError: the question could not be sent.
        """
        await self.open()
        self._number += 1
        number = self._number
        asked = self._asked[number] = _Question(address, self._loop.create_future())
        self._heard.setdefault(address, self._loop.time())
        self._watch()
        try:
            await self._post(address, Kind.QUESTION, number, question)
            asked.posted = True
            return await asked.answer
        finally:
            del self._asked[number]
            if not any(other.address == address for other in self._asked.values()):
                self._heard.pop(address, None)

    # Letters out ---------------------------------------------------------------------------------

    async def _post(self, address: str, kind: Kind, number: int, body: bytes) -> None:
        layer = self._hub.layer
        for part, more in cut(body, max(layer.max_data - ENVELOPE, ENVELOPE)):
            letter = Letter(kind, self.address, number, more, part)
            await layer.publish(topic_of(address), encode_letter(letter))

    # Letters in (layers.stream.Outlet) -----------------------------------------------------------

    def write(self, frame: bytes) -> None:
        for letter in letters_of(frame):
            if letter is not None:
                self._take(letter)
                continue
            # The hub has ended the subscription with it.
            self._subscription = None
            self._parts.clear()
            self._spawn(self._reopen())

    def close(self, code: int, reason: str = "") -> None:
        """For the slow, which a mailbox never is."""

    def _take(self, letter: Letter) -> None:
        if letter.sender in self._heard:
            self._heard[letter.sender] = self._loop.time()
        key = (letter.kind, letter.sender, letter.number)
        if letter.more:
            self._parts[key].append(letter.body)
            return
        parts = self._parts.pop(key, None)
        body = letter.body if parts is None else b"".join([*parts, letter.body])
        if letter.kind is Kind.QUESTION:
            work = self._loop.create_task(self._work(letter.sender, letter.number, body))
            self._working[letter.sender, letter.number] = work
        elif letter.kind is Kind.ANSWER:
            asked = self._asked.get(letter.number)
            if asked is not None and not asked.answer.done():
                asked.answer.set_result(body)
        elif letter.kind is Kind.PROBE:
            known = self._known_from(letter.sender)
            unknown = [number for number in decode_numbers(body) if number not in known]
            self._spawn(self._reply(letter.sender, Kind.UNKNOWN, 0, encode_numbers(unknown)))
        else:
            for number in decode_numbers(body):
                self._give_up(number, "the process asked does not know the question")

    def _known_from(self, sender: str) -> set[int]:
        """The numbers of a process's questions that are here, whole or in part."""
        working = {number for asker, number in self._working if asker == sender}
        question = (Kind.QUESTION, sender)
        return working | {key[2] for key in self._parts if key[:2] == question}

    async def _work(self, sender: str, number: int, question: bytes) -> None:
        try:
            answer = await self._answer(question)
            await self._reply(sender, Kind.ANSWER, number, answer)
        except Exception:
            # The asker learns of it by its next probe.
            logger.exception("a question from another process could not be answered")
        finally:
            self._working.pop((sender, number), None)

    async def _reply(self, address: str, kind: Kind, number: int, body: bytes) -> None:
        try:
            await self._post(address, kind, number, body)
        except LayerError as error:
            logger.warning("an answer to another process is lost: %s", error)

    async def _reopen(self) -> None:
        while self._subscription is None:
            try:
                await self.open()
            except LayerError as error:
                logger.warning("the mailbox of this process waits for the layer: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    # Those who owe an answer ---------------------------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(SILENCE_SECONDS / 2, self._look)

    def _look(self) -> None:
        """Probe who is silent, give up on who stays silent; go on while anything is asked."""
        self._timer = None
        now = self._loop.time()
        for address, heard in list(self._heard.items()):
            asked = {n: each for n, each in self._asked.items() if each.address == address}
            # One that is still being sent cannot be known there.
            posted = [number for number, each in asked.items() if each.posted]
            if now - heard >= 2 * SILENCE_SECONDS:
                for number in asked:
                    self._give_up(number, "the process asked is gone")
            elif now - heard >= SILENCE_SECONDS and posted:
                self._spawn(self._reply(address, Kind.PROBE, 0, encode_numbers(posted)))
        if self._asked:
            self._watch()

    def _give_up(self, number: int, why: str) -> None:
        asked = self._asked.get(number)
        if asked is not None and not asked.answer.done():
            asked.answer.set_exception(NoAnswer(why))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
