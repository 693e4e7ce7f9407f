"""The server of a soak: started, reloaded with new code, ended.

What lives here: the processes and their log. What must not: load.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Seconds that a start or a reload may take on a busy machine.
PATIENCE = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class SoakServer:
    """``seaway serve`` on the soak's project, in ``folder``.

    :param host: where it listens. :param command: what its command begins with.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        host: str = "127.0.0.1",
        command: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.host = host
        self._command = command
        self.port = 0
        self.generation = 0
        self.log: list[str] = []
        self._options = options
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]
        self._changed = asyncio.Event()

    async def start(self) -> None:
        self._write_version()
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "SOAK_FOLDER": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "soak.project.settings",
        }
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            sys.executable,
            *("-m", "seaway.server.cli", "serve", "soak.project.asgi:application"),
            *("--bind", f"{self.host}:0", *self._options),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=_die_with_parent,
        )
        self._reader = asyncio.create_task(self._read())
        line = await self._says(
            lambda text: re.search(rf"http://{re.escape(self.host)}:(\d+)", text)
        )
        self.port = int(line[1])

    async def reload(self) -> None:
        """Serve new code: returns when every new worker is ready and the old ones leave."""
        self.generation += 1
        self._write_version()
        self._process.send_signal(signal.SIGHUP)
        done = f"reloaded generation={self.generation}"
        await self._says(lambda text: re.search(re.escape(done) + "$", text))

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), PATIENCE)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._reader

    def _write_version(self) -> None:
        (self.folder / "version").write_text(str(self.generation), encoding="utf-8")

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        async for line in self._process.stdout:
            self.log.append(line.decode(errors="replace").rstrip())
            self._changed.set()
        self._changed.set()

    async def _says(self, found: Callable[[str], re.Match[str] | None]) -> re.Match[str]:
        """Wait for a line of the log."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.log[seen:]:
                    if match := found(line):
                        return match
                seen = len(self.log)
                if self._process.returncode is not None:
                    raise RuntimeError("the server has ended:\n" + "\n".join(self.log[-40:]))
                self._changed.clear()
                await self._changed.wait()
