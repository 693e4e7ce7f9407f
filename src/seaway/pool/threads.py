"""A bounded number of persistent threads, fed by one queue.

What lives here: `Threads`, and `Hold`, by which a thread that is held up for long leaves its place
to another. What must not: Django, event loops.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

Job = Callable[[], object]

logger = logging.getLogger("seaway.pool")


class _Seat(threading.local):
    """What a thread knows of itself."""

    hold: Hold | None = None


_seat = _Seat()


class Hold:
    """One job's claim on its thread, for jobs that may last as long as a client likes.

    Made by the job itself with `Threads.hold`; `leave` may be called from any thread.
    """

    __slots__ = ("_ended", "_left", "_threads")

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._left = False
        self._ended = False

    def leave(self) -> bool:
        """Let another thread take this one's place until the job ends.

        Returns False where too many are away already: then the thread keeps its place. Idempotent.
        """
        threads = self._threads
        with threads.lock:
            if self._ended or self._left:
                return True
            if threads.away >= threads.spare:
                return False
            self._left = True
            threads.away += 1
            threads.present -= 1
        threads.fill()
        return True

    def end(self) -> bool:
        """The job has ended. Returns whether its thread still has, or again has, a place."""
        threads = self._threads
        with threads.lock:
            self._ended = True
            if not self._left:
                return True
            threads.away -= 1
            if threads.present >= threads.size:
                return False
            threads.present += 1
            return True


class Threads:
    """``size`` threads that run jobs in the order of their coming, started when first needed.

    :param spare: how many threads may be away (see `Hold`); ``size + spare`` is the most there are.
    :param on_exit: called in a thread before it ends.
    """

    def __init__(self, size: int, spare: int, name: str, on_exit: Job) -> None:
        self.size = size
        self.spare = spare
        #: Threads that take jobs, and threads whose job has left its place; guarded by `lock`.
        self.present = 0
        self.away = 0
        self.lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._name = name
        self._on_exit = on_exit
        self._closed = False
        self._started = 0
        self._all: set[threading.Thread] = set()

    def submit(self, job: Job) -> None:
        """Run ``job`` in one of the threads. It has to catch its own exceptions."""
        self._jobs.put(job)
        if self.present < self.size:
            self.fill()

    def hold(self) -> Hold:
        """The running job's `Hold`. Called in its thread."""
        if _seat.hold is None:
            _seat.hold = Hold(self)
        return _seat.hold

    def fill(self) -> None:
        """Start one more thread if there is a free place and something to do."""
        with self.lock:
            if self._closed or self.present >= self.size or self._jobs.empty():
                return
            self.present += 1
            # Daemons: a view that never ends must not keep the process from ending; `close` waits
            # for the others.
            self._started += 1
            name = f"{self._name}_{self._started}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._all.add(thread)
        thread.start()

    def close(self, seconds: float = 0.0) -> None:
        """Let every thread end after the jobs that were submitted; wait at most ``seconds``."""
        with self.lock:
            self._closed = True
            everyone = list(self._all)
        for _ in everyone:
            self._jobs.put(None)
        deadline = time.monotonic() + seconds
        for thread in everyone:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        get = self._jobs.get
        try:
            while (job := get()) is not None:
                try:
                    job()
                except BaseException:
                    logger.exception("a job of the pool has failed")
                # Nothing of a request may live until the next one comes.
                del job
                hold = _seat.hold
                if hold is not None:
                    _seat.hold = None
                    if not hold.end():
                        return
            with self.lock:
                self.present -= 1
        finally:
            with self.lock:
                self._all.discard(threading.current_thread())
            self._on_exit()
