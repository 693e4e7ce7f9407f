"""What ``make demo`` starts: a worker and the server, side by side; each can be run by itself.

Options are those of ``seaway serve``. Ctrl+C stops both, and when one of them ends, so does the
other. In production a service manager does this.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SERVER = str(Path(sys.executable).with_name("seaway"))
#: Seconds between two looks at whether both are still there.
LOOK = 0.2


class Both:
    """Processes that come and go together."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.told = False

    def start(self, *command: str) -> None:
        """In a session of its own: Ctrl+C comes to us alone, and each is told once."""
        process = subprocess.Popen(command, cwd=HERE, start_new_session=True)  # noqa: S603 - ours
        self.processes.append(process)

    def stop(self, *signal_and_frame: object) -> None:
        """Tell those that still run. Told again, they hurry."""
        self.told = True
        for process in self.processes:
            process.terminate()

    def wait(self) -> int:
        """Until both have ended; 0, or what the worse of them ended with."""
        while all(process.poll() is None for process in self.processes):
            time.sleep(LOOK)
        if not self.told:
            self.stop()
        return max(abs(process.wait()) for process in self.processes)


def main(options: list[str]) -> int:
    both = Both()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, both.stop)
    both.start(sys.executable, "manage.py", "runworker")
    both.start(SERVER, "serve", "config.asgi:application", *options)
    return both.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
