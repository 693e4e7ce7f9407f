"""From an error of PostgreSQL to one line for the operator, without secrets.

What lives here: which errors are whose fault, and the words.
What must not: raising, or deciding what to do.
"""

from __future__ import annotations

import re

import psycopg

from seaway.exceptions import ConfigurationError, LayerUnavailable, SeawayError

#: SQLSTATEs after which the same statement may succeed at once: serialization failure, deadlock,
#: and a request that was answered to a connection that had been lost (unique violation).
AGAIN_AT_ONCE = frozenset({"40001", "40P01", "23505"})

#: SQLSTATEs that say that this connection is of no more use: shutdowns, a server that has become a
#: standby, and tables that went away under it. A new connection looks after all of these.
RECONNECT = frozenset(
    {"57P01", "57P02", "57P03", "57P05", "25006", "42P01", "3F000", "42883", "42703", "26000"}
)

_SECRET = re.compile(
    r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)|(://[^:/@\s]*:)[^@\s]*@", re.IGNORECASE
)

#: What a server says when it is not connected to: libpq gives no SQLSTATE for these.
_FAULTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"password authentication failed|no password supplied"),
     "PostgreSQL refuses the user or the password."),
    (re.compile(r'database "?(?P<name>[^"]*)"? does not exist'),
     "PostgreSQL has no database {name}. Create it, or correct the address."),
    (re.compile(r'role "?(?P<name>[^"]*)"? does not exist'),
     "PostgreSQL has no user {name}. Create it, or correct the address."),
    (re.compile(r"no pg_hba\.conf entry|not permitted to log in|rejects connection"),
     "PostgreSQL does not let this user in from here: see its pg_hba.conf."),
    (re.compile(r"permission denied for database"),
     "This user of PostgreSQL may not connect to the database: GRANT CONNECT to it."),
    (re.compile(r"could not translate host name|Name or service not known|failed to resolve host"),
     "The host of PostgreSQL is not known: correct the address."),
    (re.compile(r"(?P<words>invalid (?:integer |port |[a-z_]+ )*(?:value|number).*)"),
     "LAYER: PostgreSQL's address is wrong: {words}"),
    (re.compile(r"server does not support SSL|root certificate|certificate verify failed"),
     "PostgreSQL and this process do not agree on TLS: see sslmode and sslrootcert."),
)  # fmt: skip


def one_line(error: BaseException | str) -> str:
    """What libpq says, without passwords and line breaks."""
    text = " ".join(str(error).split())
    text = _SECRET.sub(lambda found: (found[1] or found[3]) + ("***" if found[1] else "***@"), text)
    return text[:300]


def start_error(error: psycopg.Error, where: str) -> SeawayError:
    """What to raise when a first connection failed: whose fault it is, in one line."""
    text = one_line(error)
    for pattern, words in _FAULTS:
        found = pattern.search(text)
        if found is not None:
            return ConfigurationError(f"{words.format(**found.groupdict())} ({where})")
    return LayerUnavailable(f"PostgreSQL does not answer at {where}: {text}")
