"""One connection, on which many questions are under way at a time.

What lives here: libpq's pipeline mode on the event loop: questions out, answers and notifications
in, each at the moment that it is read. Each question is a transaction of its own.
What must not: reconnecting (`line`), or what a question means.

psycopg makes the connection (addresses, passwords, TLS); its cursors cost more than the questions
that are asked here, so the rest speaks with libpq through `psycopg.pq`.
https://www.postgresql.org/docs/current/libpq-pipeline-mode.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from seaway.layers.postgres.statements import Statement


class Refused(Exception):
    """The server answered with an error.

    :ivar state: its SQLSTATE, five characters.
    """

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


Answer = PGresult | Refused


class Question:
    """A statement on its way.

    :param done: called once, with the answer or with None when it was given up.
    """

    __slots__ = ("answer", "done", "repeat", "repeats", "statement", "values")

    def __init__(
        self, statement: Statement, values: Sequence[Any], done: Callable[[Answer | None], None]
    ) -> None:
        self.statement = statement
        self.values = values
        self.done = done
        self.answer: Answer | None = None
        #: What to ask instead after the connection was lost; None: do not ask again.
        self.repeat: Sequence[Any] | None = values
        self.repeats = 0


class Link:
    """A connection in pipeline mode. Owned by the running loop.

    :param notified: told of notifications: NOTIFY channel and payload.
    :param answered: told of each question whose answer has come; it calls ``done``.
    :param lost: told once when the connection is gone, with a sentence.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        schema: str,
        *,
        notified: Callable[[bytes, bytes], None],
        answered: Callable[[Question], None],
        lost: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._schema = schema
        self._notified = notified
        self._answered = answered
        self._lost = lost
        self._prepared: dict[str, bytes] = {}
        self._writing = False
        self.pending: deque[Question] = deque()
        #: The loop's time when something was last heard.
        self.heard = self._loop.time()
        self._pgconn: PGconn = connection.pgconn
        self._socket = self._pgconn.socket
        self.open = True
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    def ask(self, question: Question) -> None:
        """Send it; answers come in the order of the questions."""
        if not self.pending:
            self.heard = self._loop.time()
        self.pending.append(question)
        statement = question.statement
        pgconn = self._pgconn
        try:
            name = self._prepared.get(statement.function)
            if name is None:
                name = self._prepared[statement.function] = statement.function.encode()
                pgconn.send_prepare(name, statement.sql(self._schema), statement.types)
            pgconn.send_query_prepared(
                name, statement.parameters(question.values), statement.formats, result_format=1
            )
            pgconn.pipeline_sync()
            self._flush()
        except psycopg.Error as error:
            self._end(str(error))

    def close(self) -> deque[Question]:
        """Give the connection up; the questions without an answer."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()
        pending, self.pending = self.pending, deque()
        return pending

    def forked(self) -> None:
        """In a forked child: the number stays taken by /dev/null, so that a goodbye of libpq does
        not reach the parent's server process."""
        if self.open:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, self._socket)
            os.close(null)

    # Inside --------------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._pgconn.flush():
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._socket, self._writable)
        elif self._writing:
            self._writing = False
            self._loop.remove_writer(self._socket)

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._end(str(error))

    def _readable(self) -> None:
        pgconn = self._pgconn
        self.heard = self._loop.time()
        try:
            pgconn.consume_input()
            if self._writing:
                self._flush()
            while self.pending and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is not None:
                    self._take(result)
                if not self.open:
                    return
            while (news := pgconn.notifies()) is not None:
                self._notified(news.relname, news.extra)
                if not self.open:
                    return
        except psycopg.Error as error:
            self._end(str(error))

    def _take(self, result: PGresult) -> None:
        status = result.status
        if status == ExecStatus.PIPELINE_SYNC:
            # Only now is the question's transaction committed.
            self._answered(self.pending.popleft())
        elif status == ExecStatus.FATAL_ERROR:
            state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
            message = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or result.error_message
            self.pending[0].answer = Refused(state, message.decode(errors="replace").strip())
        elif status == ExecStatus.TUPLES_OK:
            self.pending[0].answer = result

    def _end(self, reason: str) -> None:
        if self.open:
            with contextlib.suppress(psycopg.Error):
                self._lost(" ".join(reason.split()) or "the connection was closed")
