"""JetStream: storing on a condition, reading, deleting, and the streams themselves.

What lives here: `JetStream`, its interface over subjects, with refusals in words.
What must not: what is stored.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.nats import headers
from seaway.layers.nats.answers import (
    NAME_IN_USE,
    NOT_FOUND,
    TOO_MANY_CONSUMERS,
    Conflict,
    Passing,
    Refused,
    Stored,
    api_answer,
    sequence_of,
    stored,
    stream_trouble,
)
from seaway.layers.nats.engine import (
    ATTEMPT_SECONDS,
    Engine,
    Message,
    NoAnswer,
    NobodyThere,
)

logger = logging.getLogger("seaway.layers")

#: Seconds before something is tried again that could not be done at the moment.
PAUSE_SECONDS = 0.05
#: Seconds between two looks whether the streams are still there, when they seem not to be.
MEND_SECONDS = 1.0
#: How often, and after how many seconds, any server is asked that was a moment behind; then the one
#: that decides what is stored.
BEHIND, BEHIND_SECONDS = 20, 0.02
#: Room in a message for the subject, headers of ours and of the server's.
OVERHEAD = 8 * 1024


class Batch(NamedTuple):
    """``pending``: how many more there are."""

    messages: Sequence[Stored]
    pending: int


class Condition(NamedTuple):
    """The last sequence of a subject, which may have wildcards, is ``last`` (0: it has none).

    ``subject`` empty: the subject that is stored to.
    """

    last: int
    subject: str = ""


class JetStream:
    """What streams do for us. Every method waits, and tries again, until ``deadline`` (0: the
    engine's time-out) and raises `LayerUnavailable` then."""

    def __init__(self, engine: Engine, root: str) -> None:
        self.engine = engine
        self.replicas = 1
        self._root = root
        domain = engine.address.options.domain
        self.api = f"$JS.{domain}.API." if domain else "$JS.API."
        self._mended = 0.0
        self.streams: list[dict[str, Any]] = []

    # Storing -------------------------------------------------------------------------------------

    async def store(
        self,
        subject: str,
        data: bytes,
        values: Mapping[bytes, bytes],
        condition: Condition | None = None,
        *,
        mark: bytes = b"",
        again: Condition | None = None,
        deadline: float = 0.0,
    ) -> int:
        """Store a message; its sequence.

        :param again: the condition from the moment on at which it is not known whether it arrived.
        :param mark: part of its headers that no other message has. With it, a message of which it
            was not known whether it arrived is found again instead of `Conflict`.
        :raises Conflict: ``condition`` does not hold. :raises LayerError: it is full, or refused.
        """
        header = headers.block({**values, **condition_values(condition)})
        deadline = deadline or self.engine.loop.time() + self.engine.timeout
        doubtful = False
        while True:
            try:
                answer = await self.engine.ask(subject, data, header, deadline)
                return sequence_of(answer.data)
            except Conflict as conflict:
                if not doubtful or not mark:
                    raise
                found = await self._last_since(subject, conflict.last, deadline)
                if found is None or mark not in found.header:
                    raise conflict from None
                return found.sequence
            except NoAnswer as error:
                doubtful = True
                if again is not None:
                    header = headers.block({**values, **condition_values(again)})
                self.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self.pause(deadline, error)

    async def _last_since(self, subject: str, sequence: int, deadline: float) -> Stored | None:
        """The last message of a subject, from a server that has one as late as ``sequence``."""
        while True:
            found = await self.last(self._stream_of(subject), subject, deadline)
            if sequence <= 0 or (found is not None and found.sequence >= sequence):
                return found
            await self.pause(deadline, NoAnswer("a server is behind"))

    def _stream_of(self, subject: str) -> str:
        """By the first token after the namespace: see `subjects`."""
        kinds = {"t": 0, "anchor": 0, "p": 1, "h": 1, "o": 1, "q": 2}
        rest = subject[len(self._root) + 1 :]
        return str(self.streams[kinds[rest.split(".", 1)[0]]]["name"])

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

    # Asking --------------------------------------------------------------------------------------

    async def request(self, name: str, body: Mapping[str, Any], deadline: float = 0.0) -> Any:
        """A request of the JetStream API that may be repeated; its answer.

        :raises Refused: the server's answer is an error.
        """
        deadline = deadline or self.engine.loop.time() + self.engine.timeout
        data = msgspec.json.encode(body) if body else b""
        while True:
            try:
                answer = await self.engine.ask(self.api + name, data, b"", deadline)
                return api_answer(answer)
            except NoAnswer as error:
                self.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self.pause(deadline, error)

    # NATS promises neither that one reads what one has written nor that what was read is not older
    # than what was read before (its ADR-53 and ADR-56): a direct get is answered by any server that
    # has a copy, however far behind, and of those that were asked as leader, one that stood still
    # believes itself to be one until it hears of its successor. Only storing asks a majority. So
    # whoever knows better than an answer has to ask again.

    async def last(self, stream: str, subject: str, deadline: float = 0.0) -> Stored | None:
        """The last message of a subject, from the server that believes that it leads."""
        if self.replicas == 1:
            return await self._direct(stream, b'{"last_by_subj":"%s"}' % subject.encode(), deadline)
        return await self._get(stream, {"last_by_subj": subject}, deadline)

    async def get(self, stream: str, sequence: int, deadline: float = 0.0) -> Stored | None:
        """One message by its sequence, from the server that believes that it leads."""
        if self.replicas > 1:
            return await self._get(stream, {"seq": sequence}, deadline)
        return await self._direct(stream, b'{"seq":%d}' % sequence, deadline)

    async def _direct(self, stream: str, data: bytes, deadline: float) -> Stored | None:
        deadline = deadline or self.engine.loop.time() + self.engine.timeout
        while True:
            try:
                subject = f"{self.api}DIRECT.GET.{stream}"
                answer = await self.engine.ask(subject, data, b"", deadline)
                return stored(answer) if headers.status(answer.header)[0] == 0 else None
            except NoAnswer as error:
                self.check_time(deadline, error)
            except NobodyThere as error:
                await self.pause(deadline, error)

    async def _get(self, stream: str, body: Mapping[str, Any], deadline: float) -> Stored | None:
        try:
            answer = await self.request(f"STREAM.MSG.GET.{stream}", body, deadline)
        except Refused as error:
            if error.code == NOT_FOUND:
                return None
            raise
        message = answer["message"]
        return Stored(
            message["subject"],
            message["seq"],
            base64.b64decode(message.get("hdrs", "")),
            base64.b64decode(message.get("data", "")),
            headers.seconds(message["time"]),
        )

    async def batch(
        self, stream: str, subject: str, start: int, count: int, max_bytes: int = 0
    ) -> Batch:
        """Up to ``count`` messages of a subject, which may have wildcards, from a sequence on, in
        order; from any server, which may be a moment behind."""
        body: dict[str, Any] = {"seq": max(start, 1), "next_by_subj": subject, "batch": count}
        if max_bytes:
            body["max_bytes"] = max_bytes
        deadline = self.engine.loop.time() + self.engine.timeout
        data = msgspec.json.encode(body)
        while True:
            try:
                return await self._batch(f"{self.api}DIRECT.GET.{stream}", data, deadline)
            except NoAnswer as error:
                self.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self.pause(deadline, error)

    async def through(
        self, stream: str, subject: str, start: int, last: int, count: int, max_bytes: int = 0
    ) -> AsyncIterator[Sequence[Stored]]:
        """All messages of a subject from a sequence on up to ``last``, in pieces of ``count``: what
        servers that are behind do not have yet is waited for, and asked of the leader in the end.
        """
        behind = 0
        while start <= last:
            found: Sequence[Stored]
            if behind < BEHIND:
                found = (await self.batch(stream, subject, start, count, max_bytes)).messages
            else:
                one = await self._get(stream, {"seq": start, "next_by_subj": subject}, 0.0)
                if one is None:
                    return  # it was removed
                found = (one,)
            if found:
                start = found[-1].sequence + 1
                yield found
            else:
                behind += 1
                await asyncio.sleep(BEHIND_SECONDS)

    async def _batch(self, subject: str, data: bytes, deadline: float) -> Batch:
        engine = self.engine
        link = await engine.connected(deadline)
        news: asyncio.Queue[Message] = asyncio.Queue()
        inbox = engine.new_inbox()
        sid = engine.subscribe(inbox, news.put_nowait)
        messages: list[Stored] = []
        try:
            link.publish(subject, data, reply=inbox)
            while True:
                try:
                    async with asyncio.timeout(ATTEMPT_SECONDS):
                        message = await news.get()
                except TimeoutError:
                    raise NoAnswer("a batch ended amid") from None
                status, words = headers.status(message.header)
                if status == 0:
                    messages.append(stored(message))
                elif status == 204:
                    return Batch(messages, headers.number(message.header, b"Nats-Num-Pending"))
                elif status == 404:
                    return Batch(messages, 0)
                elif status == 503:
                    raise NobodyThere("nobody serves it")
                else:
                    raise LayerError(f"The layer's NATS refused to read: {status} {words}.")
        finally:
            engine.unsubscribe(sid)

    # Removing ------------------------------------------------------------------------------------

    async def delete(self, stream: str, sequence: int) -> bool:
        """Remove one message; False: it was gone."""
        try:
            body = {"seq": sequence, "no_erase": True}
            await self.request(f"STREAM.MSG.DELETE.{stream}", body)
        except Refused:
            return False
        return True

    async def purge(self, stream: str, subject: str, **more: int) -> int:
        """Remove messages of a subject: before the sequence ``seq``, or all but the last ``keep``;
        how many there were."""
        answer = await self.request(f"STREAM.PURGE.{stream}", {"filter": subject, **more})
        return int(answer.get("purged", 0))

    async def subjects(self, stream: str, filter_: str) -> dict[str, int]:
        """The subjects that have messages, and how many."""
        found: dict[str, int] = {}
        while True:
            body = {"subjects_filter": filter_, "offset": len(found)}
            answer = await self.request(f"STREAM.INFO.{stream}", body)
            page = answer["state"].get("subjects") or {}
            found.update(page)
            if not page or len(found) >= answer.get("total", 0):
                return found

    async def info(self, stream: str) -> dict[str, Any]:
        """A stream as it is; its time sets our idea of the servers' clock."""
        asked = self.engine.loop.time()
        answer: dict[str, Any] = await self.request(f"STREAM.INFO.{stream}", {})
        if "ts" in answer:
            self.engine.heard_time(headers.seconds(answer["ts"]), asked)
        return answer

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


def condition_values(condition: Condition | None) -> dict[bytes, bytes]:
    """The headers of a condition."""
    if condition is None:
        return {}
    values = {headers.EXPECTED: b"%d" % condition.last}
    if condition.subject:
        values[headers.EXPECTED_OF] = condition.subject.encode()
    return values
