"""Whether a connection pooler is in between that shares the server's connections.

What lives here: finding that out before anything is set on a connection. What must not: the rest of
what is done with a new one (`schema`).

A pooler in transaction mode gives each transaction whichever connection of the server is free: what
LISTEN asks for is told to somebody else or nobody, and what SET sets is set for other clients of
the pooler. Neither is an error, so it has to be looked for. In session mode all is well.

A pooler makes up the number of the server's process that it tells to its clients, since that is
also what they cancel by; so a number that is the server's own needs no further look.
"""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from seaway.exceptions import ConfigurationError
from seaway.layers.postgres.address import Address

#: Seconds to wait for a connection of the server that somebody else may have.
PATIENCE = 2.0


async def refuse_shared(connection: psycopg.AsyncConnection[Any], address: Address) -> None:
    """Look through the pooler, if there is one.

    :raises ConfigurationError: it shares the server's connections between transactions.
    """
    server = await _server_of(connection)
    if server == connection.info.backend_pid:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            other = await psycopg.AsyncConnection.connect(address.conninfo, autocommit=True)
    except (psycopg.Error, TimeoutError):
        return  # in session mode with all its connections taken, say: the next user will be told
    try:
        shared = await _shares(connection, server, other)
    except (psycopg.OperationalError, TimeoutError):
        return
    finally:
        other.pgconn.finish()
    if shared:
        raise ConfigurationError(
            f"What answers at {address.where} is a connection pooler in transaction mode: LISTEN "
            "does not work through it. Name PostgreSQL itself, or a pool in session mode."
        )


async def _shares(
    connection: psycopg.AsyncConnection[Any], server: int, other: psycopg.AsyncConnection[Any]
) -> bool:
    """Whether another client's transaction takes the server's process away from the first one.

    :raises TimeoutError: there is none for the other one.
    """
    async with asyncio.timeout(PATIENCE):
        await other.execute("BEGIN")
        taken = await _server_of(other)
    if taken == server:
        return True
    try:
        async with asyncio.timeout(PATIENCE):
            return await _server_of(connection) != server
    except TimeoutError:
        return True


async def _server_of(connection: psycopg.AsyncConnection[Any]) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    return 0 if row is None else int(row[0])
