"""The worker processes of a server, and what they share.

What lives here: starting workers on the listening sockets, hearing them, letting them go, and their
seats on the board.
What must not: decisions about when to do which (`supervisor`).
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

from seaway.server.addresses import close_all
from seaway.server.board import Board
from seaway.server.config import ServerConfig
from seaway.server.worker import Order, Report
from seaway.server.worker_process import READY, STARTING, WorkerProcess

#: Seconds that a worker has, beyond the drain timeout, for its application's shutdown.
_SHUTDOWN_GRACE = 10.0


class Crew:
    """Workers of ``application`` on ``sockets``. ``selector`` wakes when one has something to say:
    its key's data is the worker."""

    def __init__(
        self,
        application: str,
        config: ServerConfig,
        sockets: list[socket.socket],
        selector: selectors.BaseSelector,
    ) -> None:
        self.sockets = sockets
        self.workers: list[WorkerProcess] = []
        self._application = application
        self._config = config
        self._selector = selector
        # Two generations, and as many again that are still leaving.
        self._board = Board.make(4 * config.workers + 4)

    def __iter__(self) -> Iterator[WorkerProcess]:
        """Those that are there now; some may go meanwhile."""
        return iter(list(self.workers))

    def of(self, generation: int) -> list[WorkerProcess]:
        """The workers that serve, or are to serve, the same code."""
        return [worker for worker in self.workers if worker.generation == generation]

    def spawn(self, generation: int, replaces: WorkerProcess | None = None) -> None:
        """Start one; it has ``start_timeout`` seconds to be ready."""
        fds = [sock.fileno() for sock in self.sockets]
        order = Order(self._application, self._config, fds, *self._seat())
        worker = WorkerProcess(order, generation)
        worker.replaces = replaces
        worker.kill_at = worker.started_at + self._config.start_timeout
        self.workers.append(worker)
        self._selector.register(worker.control, selectors.EVENT_READ, worker)

    def _seat(self) -> tuple[int, int]:
        """The board and a free slot on it; no board for a worker that has no company."""
        taken = {worker.slot for worker in self.workers}
        free = next((slot for slot in range(self._board.slots) if slot not in taken), -1)
        # The one worker's successor takes all that comes while the old one still accepts.
        alone = self._config.workers == 1 or free < 0
        return (-1 if alone else self._board.fd, free)

    def reports(self, worker: WorkerProcess) -> Iterator[Report]:
        """What a worker has reported; one that can say no more is not listened to any longer."""
        yield from worker.reports()
        if worker.silent:
            self._ignore(worker)

    def dismiss(self, worker: WorkerProcess, *, replaced: bool = False) -> None:
        """Let a worker finish and go. One that is starting has nothing to finish."""
        if worker.state == READY:
            config = self._config
            patience = config.drain_delay + config.drain_timeout + _SHUTDOWN_GRACE
            worker.leave(time.monotonic() + patience, replaced=replaced)
        elif worker.state == STARTING:
            worker.leave(time.monotonic() + _SHUTDOWN_GRACE, replaced=False)

    def dismiss_all(self) -> None:
        """The same for all, and nobody is to be started or accepted any more."""
        # The workers close theirs as well, so that nobody is accepted and then left alone.
        close_all(self.sockets)
        for worker in self.workers:
            self.dismiss(worker)

    def remove(self, worker: WorkerProcess) -> None:
        """Its process has ended."""
        self.workers.remove(worker)
        self._ignore(worker)
        worker.control.close()
        self._board.leave(worker.slot)

    def _ignore(self, worker: WorkerProcess) -> None:
        if worker.control in self._selector.get_map():
            self._selector.unregister(worker.control)

    def kill(self) -> None:
        """End all of them at once."""
        for worker in self.workers:
            worker.kill()

    def close(self) -> None:
        """`kill`, and give back what they shared."""
        self.kill()
        close_all(self.sockets)
        self._board.close()
