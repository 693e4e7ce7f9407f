"""Where a server is: from the address in the settings to what libpq takes.

What lives here: reading and checking an address, and saying it without secrets.
What must not: connecting.
"""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from seaway.exceptions import ConfigurationError
from seaway.layers.postgres.troubles import one_line

#: What an address may override. A server that went away without a word is noticed after about ten
#: seconds, and of several hosts the one that can be written to is taken.
DEFAULTS: dict[str, str] = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
}

RESERVED_SCHEMAS = frozenset({"public", "information_schema"})


class Address(msgspec.Struct, frozen=True):
    """A database and the schema in it.

    :param conninfo: libpq's connection string, with secrets. :param where: without.
    """

    conninfo: str
    where: str
    schema: str

    @property
    def quoted_schema(self) -> str:
        """The schema as an SQL identifier: the rules for NAMESPACE leave nothing to escape."""
        return f'"{self.schema}"'


def read_address(url: str, namespace: str) -> Address:
    """An address such as ``postgres://user:password@host:5432/database?sslmode=require``.

    Everything that libpq's connection URIs may say is good:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

    :raises ConfigurationError: libpq cannot read it, it names no database, or a namespace cannot
        be the name of a schema.
    """
    if namespace in RESERVED_SCHEMAS or namespace.startswith("pg_"):
        raise ConfigurationError(
            f"NAMESPACE {namespace!r} is a schema of PostgreSQL's own: choose another."
        )
    try:
        given: dict[str, Any] = conninfo_to_dict(url)
        named = bool(given.get("dbname") or given.get("service"))
        conninfo = make_conninfo(**{**DEFAULTS, "application_name": f"seaway {namespace}", **given})
    except psycopg.Error as error:
        words = f"LAYER: PostgreSQL's address is wrong: {one_line(error)}"
        raise ConfigurationError(words) from None
    if not named:
        raise ConfigurationError(
            "LAYER: the address of PostgreSQL names no database, as in postgres://host/database."
        )
    return Address(conninfo, _where(given), namespace)


def _where(given: dict[str, Any]) -> str:
    hosts = str(given.get("host") or given.get("hostaddr") or "localhost").split(",")
    ports = str(given.get("port") or "5432").split(",")
    ports = ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    return f"{places}/{given.get('dbname') or given.get('service')}"
