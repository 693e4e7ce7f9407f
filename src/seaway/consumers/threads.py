"""Sending from the thread of a synchronous consumer's method.

What lives here: `send_from_thread`. What must not: how methods get into threads (`run`).
"""

from __future__ import annotations

import asyncio

from asgiref.sync import async_to_sync

from seaway import pool
from seaway.consumers.layer import Message
from seaway.consumers.run import Run
from seaway.exceptions import SyncCallInLoop


def send_from_thread(run: Run, message: Message) -> None:
    """`Run.send` from any thread but the loop's.

    :raises SyncCallInLoop: it is the loop's.
    """
    if run.carrier.post(message):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise SyncCallInLoop(
            "A synchronous consumer's send was called on the event loop, which it would stop."
        )
    if pool.is_thread_sensitive():
        # asgiref's way: what the send needs of this very thread is done meanwhile.
        async_to_sync(run.send)(message)
    else:
        asyncio.run_coroutine_threadsafe(run.send(message), run.loop).result()
