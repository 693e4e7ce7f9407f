"""The durable broker's file: what it writes there, and how it is read again.

What lives here: `Database`, plain blocking SQLite. Its statements are in ``sql/``.
What must not: what is to be written (`journal`), threads, or times by any clock but the wall's.

The journal is a write-ahead log, so a commit is one append. With ``synchronous=NORMAL`` it has been
handed to the system when `write` returns: the end of this process loses nothing, the end of the
machine may lose the last commits, and leaves the file sound. With FULL it is on the disk.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seaway.exceptions import LayerUnavailable

#: Part of the file, so that another version is not misread.
SCHEMA = 1
#: Marks the file as ours: "SEAW".
APPLICATION_ID = 0x53454157

_SQL = Path(__file__).with_name("sql")


def _statements() -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)$", (_SQL / "statements.sql").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


@dataclass(slots=True)
class Changes:
    """What one commit writes: rows for the statements of these names, in this order."""

    rows: dict[str, list[Sequence[Any]]] = field(default_factory=dict)

    def add(self, statement: str, row: Sequence[Any]) -> None:
        self.rows.setdefault(statement, []).append(row)

    def __bool__(self) -> bool:
        return bool(self.rows)


#: Rows go before those that may stand in their way come.
_ORDER = (
    "forget_epoch", "write_epoch", "forget_stream", "trim_events", "write_stream", "write_event",
    "forget_message", "new_message", "change_message", "close_channel", "open_channel",
    "write_once", "forget_once",
)  # fmt: skip


class Database:
    """An open database that nobody else has open. One thread at a time.

    :raises LayerUnavailable: it cannot be used; says why in one line.
    """

    def __init__(self, path: Path, *, full: bool = False) -> None:
        self._path = path
        self._sql = _statements()
        try:
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=2.0
            )
        except (sqlite3.Error, OSError) as error:
            raise LayerUnavailable(f"{path} cannot be used: {error}.") from error
        try:
            self._prepare(full)
        except sqlite3.Error as error:
            self.close()
            raise LayerUnavailable(f"{path} cannot be used: {error}.") from error
        except LayerUnavailable:
            self.close()
            raise

    def _prepare(self, full: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        [[version]] = execute("PRAGMA user_version").fetchall()
        [[tables]] = execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if version == 0 and tables == 0:
            schema = (_SQL / "schema.sql").read_text()
            self._connection.executescript(
                f"BEGIN; {schema}; PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {SCHEMA}; COMMIT;"
            )
            return
        [[application]] = execute("PRAGMA application_id").fetchall()
        if application != APPLICATION_ID or version != SCHEMA:
            raise LayerUnavailable(
                f"{self._path} is not a journal of this version of Seaway: move it away."
            )

    def check(self) -> None:
        """Look at all of it.

        :raises LayerUnavailable: it is damaged.
        """
        try:
            [[found]] = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        if found != "ok":
            raise self._damaged(found)

    def load(self, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement.

        :raises LayerUnavailable: they cannot be read.
        """
        try:
            with closing(self._connection.execute(self._sql[name], values)) as rows:
                yield from rows
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, why: object) -> LayerUnavailable:
        words = " ".join(str(why).split())[:200]
        return LayerUnavailable(
            f"{self._path} is damaged ({words}): repair it, put back a copy, or move it away to "
            "begin without what it kept."
        )

    def write(self, changes: Changes) -> None:
        """Write all of it or nothing.

        :raises sqlite3.Error: it cannot be written; nothing was.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for name in _ORDER:
                rows: Iterable[Sequence[Any]] | None = changes.rows.get(name)
                if rows is not None:
                    connection.executemany(self._sql[name], rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()
