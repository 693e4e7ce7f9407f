"""The supervisor: decides when workers start, are replaced, and go.

What lives here: plain synchronous code: one select loop over the workers' sockets and the signals.
What must not: asyncio, the application (only workers import it), how a worker is started and let
go (`crew`), the delays between crashes (`restarts`).

A worker's life is STARTING, READY, LEAVING. Workers of one generation serve the same code; SIGHUP
starts the next generation, and the old one leaves only when every new worker is ready. A worker
that says it is spent is replaced in the same way, one at a time.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from collections.abc import Callable

from seaway.server import logs
from seaway.server.addresses import bind_all, remove_files, tls_context, unix_files, url
from seaway.server.application import (
    Announce,
    Announcement,
    StartupFailed,
    print_announcement,
)
from seaway.server.config import ServerConfig
from seaway.server.crew import Crew
from seaway.server.logs import log_event, server_log
from seaway.server.process_signals import Signals, pid_file
from seaway.server.restarts import Restarts
from seaway.server.server import loop_factory
from seaway.server.systemd import Notifier
from seaway.server.worker import Report
from seaway.server.worker_process import LEAVING, READY, STARTING, WorkerProcess

#: Seconds until a replacement that did not start is tried again.
_RECYCLE_DELAY = 30.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """Serves ``application`` ("module:attribute") with ``config.workers`` processes."""

    def __init__(
        self, application: str, config: ServerConfig, announce: Announce = print_announcement
    ) -> None:
        self._application = application
        self._config = config
        self._announce = announce
        self._selector = selectors.DefaultSelector()
        self._restarts = Restarts()
        self._crew: Crew
        #: Before this time no spent worker is replaced.
        self._recycle_at = 0.0
        self._generation = 0
        #: The generation that is to replace the current one, while it starts.
        self._next: int | None = None
        self._announced = False
        self._stopping = False
        self._failure: StartupFailed | None = None
        self._signals: Signals
        #: Whether SIGHUP has come while a reload was under way: the code may be newer still.
        self._reload_again = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `ConfigurationError` if it cannot start."""
        tls_context(self._config)
        loop_factory(self._config.loop)
        logs.configure(self._config)
        sockets = bind_all(self._config)
        self._crew = Crew(self._application, self._config, sockets, self._selector)
        self._notifier = Notifier()
        files = unix_files(sockets)
        try:
            with Signals(_SIGNALS) as self._signals, pid_file(self._config.pid_file):
                self._selector.register(self._signals.wake, selectors.EVENT_READ)
                self._spawn_generation(0)
                while self._crew.workers or self._restarts.due:
                    self._turn()
        finally:
            self._crew.close()
            remove_files(files)
            self._notifier.close()
            self._selector.close()
        if self._failure is not None:
            raise self._failure

    # One turn of the loop ------------------------------------------------------------------------

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, WorkerProcess):
                self._listen(key.data)
        for number in self._signals.take():
            _ON_SIGNAL[number](self)
        for worker in self._crew:
            if worker.has_ended():
                self._listen(worker)
                self._bury(worker)
        if self._reload_again and self._next is None:
            self._reload()
        self._meet_deadlines()

    def _patience(self) -> float | None:
        times = [*self._restarts.due, *(worker.kill_at for worker in self._crew if worker.kill_at)]
        if self._notifier.due:
            times.append(self._notifier.due)
        if any(worker.spent for worker in self._crew) and self._recycle_at > time.monotonic():
            times.append(self._recycle_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _meet_deadlines(self) -> None:
        now = time.monotonic()
        for worker in self._crew:
            if worker.kill_at and worker.kill_at <= now:
                if worker.state == STARTING:
                    self._hangs(worker)
                    continue
                log_event(server_log, logging.WARNING, "worker_killed", pid=worker.pid)
                worker.kill()
        for _ in range(self._restarts.take(now)):
            self._crew.spawn(self._generation)
        self._notifier.live(now)
        if now >= self._recycle_at:
            self._recycle()

    # Starting ------------------------------------------------------------------------------------

    def _spawn_generation(self, generation: int) -> None:
        for _ in range(self._config.workers):
            self._crew.spawn(generation)

    def _hangs(self, worker: WorkerProcess) -> None:
        """It was not ready in time."""
        reason = f"not ready within {self._config.start_timeout:g} s (start_timeout)"
        self._failed(worker, Report(failed=f"A worker was {reason}."))
        worker.kill()

    def _listen(self, worker: WorkerProcess) -> None:
        """Take in what a worker reports."""
        for report in self._crew.reports(worker):
            if report.failed:
                self._failed(worker, report)
            elif report.spent:
                worker.spent = report.spent
            else:
                self._ready(worker, report)

    def _ready(self, worker: WorkerProcess, report: Report) -> None:
        if worker.state != STARTING:
            return
        worker.state = READY
        worker.kill_at = None
        if worker.replaces is not None:
            self._replaced(worker, worker.replaces)
        generation = self._crew.of(worker.generation)
        if len(generation) < self._config.workers or any(e.state != READY for e in generation):
            return
        if not self._announced:
            self._announced = True
            urls = [url(sock, tls=self._config.tls) for sock in self._crew.sockets]
            count = self._config.workers
            self._announce(
                Announcement(urls, count, report.loop, self._application, report.details)
            )
            self._say_ready()
        if worker.generation == self._next:
            self._promote(worker.generation)

    def _promote(self, generation: int) -> None:
        """The new generation serves: the old one may leave."""
        self._generation, self._next = generation, None
        self._restarts.clear()
        log_event(server_log, logging.INFO, "reloaded", generation=generation)
        for worker in self._crew:
            if worker.generation != generation:
                self._crew.dismiss(worker, replaced=True)
        self._say_ready()

    def _say_ready(self) -> None:
        workers = self._config.workers
        self._notifier.ready(f"{workers} worker{'s' if workers > 1 else ''} ready")

    def _failed(self, worker: WorkerProcess, report: Report) -> None:
        if self._stopping or worker.state == LEAVING:
            return
        worker.state = LEAVING
        if not self._announced:
            self._failure = self._failure or StartupFailed(report.failed, report.traceback)
            self._stop()
        elif worker.generation == self._next:
            self._abandon_reload(report.failed, report.traceback)
        elif worker.replaces is not None:
            self._put_off_recycling(worker, report.failed)
        else:
            self._replace(worker, reason=report.failed)

    def _abandon_reload(self, reason: str, traceback: str = "") -> None:
        """A new worker does not start: the old generation stays."""
        abandoned, self._next = self._next, None
        if abandoned is not None:
            for worker in self._crew.of(abandoned):
                self._crew.dismiss(worker)
        fields = {"traceback": traceback} if traceback else {}
        log_event(server_log, logging.ERROR, "reload_failed", reason=reason, **fields)
        self._say_ready()

    # Recycling -----------------------------------------------------------------------------------

    def _recycle(self) -> None:
        """Start a successor of a spent worker, unless one of any worker is on its way."""
        if self._stopping or self._next is not None:
            return
        if self._restarts.due or any(worker.state == STARTING for worker in self._crew):
            return
        worker = next((each for each in self._crew if each.spent and each.state == READY), None)
        if worker is not None:
            fields = {"pid": worker.pid, "reason": worker.spent}
            log_event(server_log, logging.INFO, "recycling", **fields)
            self._crew.spawn(worker.generation, replaces=worker)

    def _replaced(self, worker: WorkerProcess, old: WorkerProcess) -> None:
        worker.replaces = None
        if old.state == READY:
            self._crew.dismiss(old, replaced=True)

    def _put_off_recycling(self, worker: WorkerProcess, reason: str) -> None:
        """A successor does not start: the spent worker stays for now."""
        worker.replaces = None
        self._recycle_at = time.monotonic() + _RECYCLE_DELAY
        log_event(server_log, logging.ERROR, "recycling_failed", reason=reason)

    # Ending --------------------------------------------------------------------------------------

    def _bury(self, worker: WorkerProcess) -> None:
        """A process has ended: decide what that means."""
        self._crew.remove(worker)
        if worker.state == LEAVING or self._stopping:
            return
        reason = worker.cause_of_death()
        if not self._announced:
            message = f"A worker has ended before it was ready: {reason}."
            self._failure = self._failure or StartupFailed(message)
            self._stop()
        elif worker.generation == self._next:
            self._abandon_reload(reason)
        elif worker.replaces is not None:
            self._put_off_recycling(worker, reason)
        elif not self._inherited(worker):
            self._replace(worker, reason=reason)

    def _inherited(self, worker: WorkerProcess) -> bool:
        """Whether a successor of a worker that has died is on its way already."""
        heir = next((each for each in self._crew if each.replaces is worker), None)
        if heir is not None:
            heir.replaces = None
        return heir is not None

    def _replace(self, worker: WorkerProcess, *, reason: str) -> None:
        """Start another worker in place of this one, after a delay that grows with the crashes."""
        now = time.monotonic()
        delay = self._restarts.after(now - worker.started_at, now)
        log_event(
            server_log,
            logging.ERROR,
            "worker_died",
            pid=worker.pid,
            reason=reason,
            restart_in=round(delay, 1),
        )

    def _stop(self) -> None:
        """Let every worker finish and go; asked again, end them at once."""
        if self._stopping:
            self._crew.kill()
            return
        self._stopping = True
        self._notifier.stopping()
        self._restarts.clear()
        self._crew.dismiss_all()

    def _reload(self) -> None:
        if self._stopping or not self._announced:
            return
        self._reload_again = self._next is not None
        if self._reload_again:
            return
        self._next = self._generation + 1
        log_event(server_log, logging.INFO, "reloading", generation=self._next)
        self._notifier.reloading()
        self._spawn_generation(self._next)

    def _reap(self) -> None:
        """SIGCHLD: every turn looks for ended workers anyway."""


_ON_SIGNAL: dict[int, Callable[[Supervisor], None]] = {
    signal.SIGTERM: Supervisor._stop,
    signal.SIGINT: Supervisor._stop,
    signal.SIGHUP: Supervisor._reload,
    signal.SIGCHLD: Supervisor._reap,
}
