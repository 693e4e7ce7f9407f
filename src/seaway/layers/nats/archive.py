"""What is stored, and reading it.

What lives here: `Archive`, which gets messages by subject and sequence.
What must not: storing them (`jetstream`), or what they mean.

NATS promises neither that one reads what one has written nor that what was read is not older than
what was read before (its ADR-53 and ADR-56): a direct get is answered by any server that has a
copy, however far behind, and of those that were asked as leader, one that stood still believes
itself to be one until it hears of its successor. Only storing asks a majority. So whoever knows
better than an answer has to ask again.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from seaway.exceptions import LayerError
from seaway.layers.nats import headers
from seaway.layers.nats.answers import NOT_FOUND, Passing, Refused, Stored, stored
from seaway.layers.nats.api import Api
from seaway.layers.nats.requests import ATTEMPT_SECONDS, Message, NoAnswer, NobodyThere

#: How often, and after how many seconds, any server is asked that was a moment behind; then the one
#: that decides what is stored.
BEHIND, BEHIND_SECONDS = 20, 0.02


class Batch(NamedTuple):
    """``pending``: how many more there are."""

    messages: Sequence[Stored]
    pending: int


class Archive:
    """The messages of all streams. Every method waits, and tries again, until ``deadline`` (0: the
    engine's time-out) and raises `LayerUnavailable` then."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._engine = api.engine

    async def last(self, stream: str, subject: str, deadline: float = 0.0) -> Stored | None:
        """The last message of a subject, from the server that believes that it leads."""
        if self._api.replicas == 1:
            return await self._direct(stream, b'{"last_by_subj":"%s"}' % subject.encode(), deadline)
        return await self._get(stream, {"last_by_subj": subject}, deadline)

    async def get(self, stream: str, sequence: int, deadline: float = 0.0) -> Stored | None:
        """One message by its sequence, from the server that believes that it leads."""
        if self._api.replicas > 1:
            return await self._get(stream, {"seq": sequence}, deadline)
        return await self._direct(stream, b'{"seq":%d}' % sequence, deadline)

    async def _direct(self, stream: str, data: bytes, deadline: float) -> Stored | None:
        deadline = deadline or self._engine.loop.time() + self._engine.timeout
        while True:
            try:
                subject = f"{self._api.prefix}DIRECT.GET.{stream}"
                answer = await self._engine.ask(subject, data, b"", deadline)
                return stored(answer) if headers.status(answer.header)[0] == 0 else None
            except NoAnswer as error:
                self._api.check_time(deadline, error)
            except NobodyThere as error:
                await self._api.pause(deadline, error)

    async def _get(self, stream: str, body: Mapping[str, Any], deadline: float) -> Stored | None:
        try:
            answer = await self._api.request(f"STREAM.MSG.GET.{stream}", body, deadline)
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
        deadline = self._engine.loop.time() + self._engine.timeout
        data = msgspec.json.encode(body)
        while True:
            try:
                return await self._batch(f"{self._api.prefix}DIRECT.GET.{stream}", data, deadline)
            except NoAnswer as error:
                self._api.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self._api.pause(deadline, error)

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
        engine = self._engine
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

    async def subjects(self, stream: str, filter_: str) -> dict[str, int]:
        """The subjects that have messages, and how many."""
        found: dict[str, int] = {}
        while True:
            body = {"subjects_filter": filter_, "offset": len(found)}
            answer = await self._api.request(f"STREAM.INFO.{stream}", body)
            page = answer["state"].get("subjects") or {}
            found.update(page)
            if not page or len(found) >= answer.get("total", 0):
                return found
