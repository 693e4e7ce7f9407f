"""The tables of the engine: made and migrated by whoever connects first, and checked by all.

What lives here: what happens on a connection before the engine uses it.
What must not: what the engine does afterwards.

One mechanism for every database, Django's own included: a process that finds no tables, or those of
an older version, makes or migrates them in one transaction under an advisory lock; the others wait.
So a role without the right to do so is enough for all processes but the first.
"""

from __future__ import annotations

import logging
from importlib import resources
from typing import Any

import psycopg
from psycopg import errors, sql

from seaway.exceptions import ConfigurationError
from seaway.layers.postgres.address import Address

logger = logging.getLogger("seaway.layers")

#: PostgreSQL 14 is the oldest that is still maintained, and has all that is used.
OLDEST_SERVER = 140000

#: The migrations in order; the version of the tables is how many there are.
MIGRATIONS = ("0001_tables", "0002_unsafe", "0003_packs", "0004_requests")
#: Functions and triggers, which a migration makes anew.
FUNCTIONS = (
    "life", "publishing", "streams", "presence",
    "queues", "queue_sending", "queue_receiving", "queue_keeping",
)  # fmt: skip
#: Grows with every change of a function; `MIGRATIONS` count too.
REVISION = 5
VERSION = len(MIGRATIONS) * 1000 + REVISION

#: Just-in-time compilation costs more than any of the engine's statements.
SESSION = """
SELECT set_config('jit', 'off', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('search_path', 'pg_catalog', false),
       set_config('lock_timeout', '0', false),
       set_config('statement_timeout', '0', false)
"""


def source(name: str, address: Address) -> bytes:
    """A file of ``sql/`` for one schema."""
    text = resources.files(__package__).joinpath("sql", f"{name}.sql").read_text("utf-8")
    text = text.replace("{schema}", address.quoted_schema).replace("{namespace}", address.schema)
    return text.encode()


async def prepare(connection: psycopg.AsyncConnection[Any], address: Address, known: str) -> bool:
    """Make a connection ready; the tables are there and of this version afterwards.

    :param known: a write position seen before, or nothing.
    :returns: whether all topics have begun a new epoch, because history may have been lost.
    :raises ConfigurationError: the server is too old, a right is missing, or the tables are newer.
    """
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise ConfigurationError(
            f"PostgreSQL {version // 10000} at {address.where} is too old: Seaway needs "
            "14 or newer."
        )
    try:
        await _settle_session(connection)
        found = await _version(connection, address)
        if found < VERSION:
            await _migrate(connection, address)
        elif found > VERSION:
            raise ConfigurationError(
                f"The tables in schema {address.schema} at {address.where} were made by a newer "
                "version of Seaway: upgrade this one."
            )
        return await _incarnate(connection, address, known)
    except errors.InsufficientPrivilege as error:
        raise _without_right(connection, address, error) from None
    except errors.ReadOnlySqlTransaction:
        raise ConfigurationError(
            f"PostgreSQL at {address.where} can only be read: it is a standby, or its default is "
            "read-only. Name the primary."
        ) from None


async def _settle_session(connection: psycopg.AsyncConnection[Any]) -> None:
    await connection.execute(SESSION)
    row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
    if row == ("off",):
        # What was answered must be safe. Stronger settings than "on" stay.
        await connection.execute("SET synchronous_commit = on")


async def _version(connection: psycopg.AsyncConnection[Any], address: Address) -> int:
    """0 where there are no tables yet."""
    # Not to_regclass(): while one waits for the lock, what it once did not find is not looked up
    # again.
    cursor = await connection.execute(
        "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = 'meta'",
        (address.schema,),
    )
    if cursor.rowcount < 1:
        return 0
    query = sql.SQL("SELECT version FROM {}.meta").format(sql.Identifier(address.schema))
    row = await (await connection.execute(query)).fetchone()
    return 0 if row is None else int(row[0])


async def _migrate(connection: psycopg.AsyncConnection[Any], address: Address) -> None:
    schema = sql.Identifier(address.schema)
    async with connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"seaway schema {address.schema}",),
        )
        found = await _version(connection, address)
        if found >= VERSION:
            return  # somebody else was first
        if found == 0:
            await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        for name in MIGRATIONS[found // 1000 :]:
            await connection.execute(source(name, address))
        for name in FUNCTIONS:
            await connection.execute(source(name, address))
        if found == 0:
            await connection.execute(
                sql.SQL(
                    "INSERT INTO {0}.meta (version, epoch, incarnation) "
                    "SELECT %s, {0}.new_epoch(), {0}.incarnation()"
                ).format(schema),
                (VERSION,),
            )
        else:
            query = sql.SQL("UPDATE {}.meta SET version = %s").format(schema)
            await connection.execute(query, (VERSION,))
    logger.info("PostgreSQL tables made schema=%s version=%d", address.schema, VERSION)


async def _incarnate(
    connection: psycopg.AsyncConnection[Any], address: Address, known: str
) -> bool:
    query = sql.SQL("SELECT {0}.revive(), {0}.incarnate(%s)").format(sql.Identifier(address.schema))
    row = await (await connection.execute(query, (known,))).fetchone()
    revived, renewed = row if row is not None else (False, False)
    if revived:
        logger.warning(
            "PostgreSQL has crashed: topics without history begin a new epoch schema=%s",
            address.schema,
        )
    if renewed:
        logger.warning(
            "PostgreSQL is another copy than before: all topics begin a new epoch schema=%s",
            address.schema,
        )
    return bool(renewed)


def _without_right(
    connection: psycopg.AsyncConnection[Any], address: Address, error: errors.InsufficientPrivilege
) -> ConfigurationError:
    user, database = connection.info.user, connection.info.dbname
    return ConfigurationError(
        f"PostgreSQL's user {user} lacks a right at {address.where}: "
        f"{error.diag.message_primary}. Grant it, as in: GRANT CREATE ON DATABASE {database} "
        f"TO {user}; or, where others made the tables: GRANT USAGE ON SCHEMA {address.schema}, "
        f"and on all tables and functions in it, TO {user}."
    )
