"""Bodies that come part by part: from where they are made to the client, until either ends.

What lives here: the two loops that send parts, and what happens when the client goes.
What must not: heads and messages (`response`), making parts (`stream`, or the view's iterator).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from seaway.http.response import StreamSender
from seaway.http.stream import Stream
from seaway.http.watch import Watch


async def send_iterated(response: Any, watch: Watch, sender: StreamSender) -> None:
    """Send what a response's asynchronous iterator yields, and close it whatever happens.

    Raises what the iterator raises, and `ClientGone`, by which the iterator is cancelled.
    """
    iterator: AsyncIterator[bytes] = aiter(response.streaming_content)
    try:
        while True:
            try:
                part = await watch.run(_next(iterator))
            except StopAsyncIteration:
                break
            await sender.part(part)
        await sender.part(b"", more=False)
    finally:
        # Django wraps the view's own iterator; closing the outer one would leave the inner one to
        # the garbage collector.
        for each in (iterator, getattr(response, "_iterator", None)):
            close: Callable[[], Any] | None = getattr(each, "aclose", None)
            if close is not None:
                await close()


async def send_streamed(stream: Stream, watch: Watch, sender: StreamSender) -> None:
    """Send what a thread puts into ``stream``, and tell it if nobody wants more.

    Raises what the thread's iterable raises, and `ClientGone`.
    """
    try:
        while (part := await watch.run(stream.take())) is not None:
            await sender.part(part)
        await sender.part(b"", more=False)
    finally:
        stream.abandon()


async def _next(iterator: AsyncIterator[bytes]) -> bytes:
    return await anext(iterator)
