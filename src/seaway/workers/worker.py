"""A worker process: its runners, from start to a graceful stop.

What lives here: `Worker`. What must not: the command line (`management/commands/runworker`).
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from seaway.conf import layer_home
from seaway.layers.base import Layer
from seaway.workers.runner import Runner
from seaway.workers.start_block import Work, start_block

logger = logging.getLogger("seaway.workers")

#: Seconds that what had to be abandoned gets to give its messages back.
GIVE_BACK = 5.0

#: Makes the runners once the layer is there.
MakeRunners = Callable[[Layer], Sequence[Runner]]


class Worker:
    """All runners of one process, on one event loop.

    :param grace: seconds that running handlers get to end after a stop.
    :param say: takes each line that is for the person who started it.
    """

    def __init__(self, make: MakeRunners, *, grace: float, say: Callable[[str], object]) -> None:
        self._make = make
        self._grace = grace
        self._say = say
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin a graceful stop. Called again: nothing."""
        self._stop.set()

    async def run(self) -> None:
        """Work until SIGTERM, SIGINT or `stop`.

        :raises LayerUnavailable, ConfigurationError: the layer cannot be started.
        """
        home = layer_home()
        await home.adopt()
        try:
            runners = self._make(home.layer)
            work = map(_work, runners)
            self._say(start_block(home.layer.describe(), work, self._grace))
            self._listen_to_signals()
            await self._work(runners)
        finally:
            await home.release()

    async def _work(self, runners: Sequence[Runner]) -> None:
        running = [asyncio.create_task(runner.run()) for runner in runners]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
            for runner in runners:
                runner.stop()
            _, late = await asyncio.wait(running, timeout=self._grace)
            if late:
                logger.warning("stopping what did not end in %g s", self._grace)
                for runner in runners:
                    runner.abandon()
                await asyncio.wait(late, timeout=GIVE_BACK)
                for runner in runners:
                    runner.say_what_is_left()
        finally:
            stopped.cancel()
        handled, failed = sum(one.handled for one in runners), sum(one.failed for one in runners)
        self._say(f"Stopped: {handled:,} messages handled, {failed:,} given back.")
        for task in running:
            if task.done():
                task.result()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)


def _work(runner: Runner) -> Work:
    handler, how = runner.handler, f"up to {runner.concurrency} at a time"
    if handler.queue:
        return Work("tasks", handler.queue, "@task functions, urgent ones first", how)
    return Work("channel", handler.channel.name, str(handler), how)
