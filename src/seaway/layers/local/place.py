"""Where the broker of a project is found: one directory per user and namespace.

What lives here: the paths, and the checks that make the directory safe to trust.
What must not: connecting to a broker or starting one.

The default is below the system's directory for temporary files and not ``$XDG_RUNTIME_DIR``: that
variable is set in a login shell but not for a cron job or a system service of the same user, which
would then quietly talk to different brokers, and the directory is deleted at the last logout.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from seaway.exceptions import ConfigurationError
from seaway.layers.local.wire import WIRE_VERSION

#: Bytes of ``sun_path`` without its final zero: 107 on Linux, 103 on macOS and the BSDs.
SOCKET_PATH_BYTES = 107 if os.uname().sysname == "Linux" else 103


class Durable(IntEnum):
    """What queues and history outlive."""

    NOT = 0
    PROCESS = 1  # the broker's
    MACHINE = 2  # a loss of power, too


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one broker. The wire version is in their names: two versions of Seaway on one
    machine have two brokers instead of one misunderstanding."""

    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / f"v{WIRE_VERSION}.sock"

    @property
    def journal(self) -> Path:
        """Where a durable broker keeps what has to outlive it, whatever the wire's version."""
        return self.directory / "journal.sqlite3"

    @property
    def log(self) -> Path:
        return self.directory / f"v{WIRE_VERSION}.log"

    @property
    def launch_lock(self) -> Path:
        """Held by whoever is starting a broker."""
        return self.directory / f"v{WIRE_VERSION}.launch"

    def prepare(self) -> None:
        """Make the directory if it is not there, and check that nobody else can reach into it.

        :raises ConfigurationError: it is not a directory of ours with mode 0700, or the socket's
            path would be too long for the system.
        """
        length = len(os.fsencode(self.socket))
        if length > SOCKET_PATH_BYTES:
            raise ConfigurationError(
                f"The broker's socket path has {length} bytes and the system allows "
                f"{SOCKET_PATH_BYTES}: {self.socket}. Name a shorter directory, as in "
                '"local:///run/name".'
            )
        try:
            self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700, exist_ok=True)
            _check_parent(self.directory.parent)
            _check_own(self.directory)
        except OSError as error:
            raise ConfigurationError(
                f"The broker's directory {self.directory} cannot be used: {error.strerror}."
            ) from error


def lock_of(socket: Path) -> Path:
    """The file that a broker keeps locked as long as it lives; holds its process id."""
    return socket.with_suffix(".lock")


def find_place(namespace: str, root: str | os.PathLike[str] | None = None) -> Place:
    """The place of a namespace: a directory named by its hash, below ``root`` or the default.

    :param namespace: any string; processes that give the same one meet at the same broker.
    :param root: an absolute directory, for instance one on which systemd's PrivateTmp and a
        different TMPDIR have no influence.
    """
    name = hashlib.sha256(namespace.encode()).hexdigest()[:16]
    if root is None:
        root = Path(tempfile.gettempdir()) / f"seaway-{os.getuid()}"
    return Place(Path(root) / name)


def _check_parent(parent: Path) -> None:
    """Nobody but us and root may be able to replace what is in it (sticky: not ours)."""
    found = parent.stat()
    loose = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid not in (os.getuid(), 0) or loose:
        raise ConfigurationError(
            f"{parent} must belong to this user or to root and must not be writable by others: "
            "the broker's socket is to be placed below it."
        )


def _check_own(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{directory} must be a directory, and not a symbolic link.")
    if found.st_uid != os.getuid():
        raise ConfigurationError(
            f"{directory} belongs to user {found.st_uid}, not to {os.getuid()} who runs this: "
            "somebody else could listen there. Remove it, or name another directory, as in "
            '"local:///run/name".'
        )
    if found.st_mode & 0o077:
        raise ConfigurationError(
            f"{directory} is open to other users (mode {stat.S_IMODE(found.st_mode):o}). "
            f"Seaway made it with 700: chmod 700 {directory}"
        )
