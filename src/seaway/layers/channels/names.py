"""The names under which a channel layer keeps its things at the engine.

What lives here: `Names`. The reference documents them for programs in other languages.
What must not: which names are legal for users; that is `base`'s.

All begin with ``~``, which no topic's route does: so no client can join them.
"""

from __future__ import annotations

import re
import secrets

from seaway.exceptions import ConfigurationError

_LEGAL_PREFIX = re.compile(r"[a-zA-Z0-9._-]{1,40}")


class Names:
    """The names of one layer in one process.

    :param prefix: tells apart channel layers on one engine.
    :ivar process: this process's own name: 72 random bits, renewed by a fork.
    """

    def __init__(self, prefix: str) -> None:
        if not _LEGAL_PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"{prefix[:60]!r} cannot be a channel layer's prefix: use 1 to 40 letters, digits, "
                "periods, hyphens and underscores."
            )
        self.prefix = prefix
        self._root = f"~channels/{prefix}/"
        self.process = ""
        self.renew()

    def renew(self) -> None:
        """Be another process: at the start, and after a fork."""
        # Letters and digits only: the name stands between periods and the mark in a channel's.
        self.process = secrets.token_hex(9)

    # At the engine -------------------------------------------------------------------------------

    def group(self, group: str) -> str:
        """The stream of a group."""
        return f"{self._root}g/{group}"

    def stream(self, process: str) -> str:
        """The stream of a process; of "", the one of all."""
        return f"{self._root}p/{process}" if process else f"{self._root}all"

    def queue(self, channel: str) -> str:
        """The queue of a plain channel."""
        return f"{self._root}q/{channel}"

    def is_queue(self, name: str) -> bool:
        return name.startswith(f"{self._root}q/")

    # Channels ------------------------------------------------------------------------------------

    def new_channel(self, prefix: str) -> str:
        """``specific.PROCESS!random``."""
        return f"{prefix.rstrip('.')}.{self.process}!{secrets.token_urlsafe(12)}"

    @staticmethod
    def is_plain(channel: str) -> bool:
        return "!" not in channel

    def is_mine(self, channel: str) -> bool:
        """Whether a channel lives in this process."""
        return self.process_of(channel) == self.process

    @staticmethod
    def process_of(channel: str) -> str:
        """The process in which a channel lives; empty for a plain one."""
        head, mark, _ = channel.partition("!")
        return head.rpartition(".")[2] if mark else ""
