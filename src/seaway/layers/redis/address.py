"""What the ``LAYER`` setting says about a Redis: where it is, who we are, and the options.

What lives here: `Address`, and reading one from a URL. What must not: connecting.
Errors name the part that is wrong and never show the password.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote

import msgspec

from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint, Rules, read_endpoint, read_options, tls_context

PORT, SENTINEL_PORT = 6379, 26379
_FILES = ("ca", "cert", "key")
_TLS_ONLY = (*_FILES, "check_hostname")
_RANGES = {
    # A repeated publish is known again for at least 16 s.
    "timeout": (0.1, 15, "seconds"),
    "lease": (1, 3600, "seconds"),
}

#: Scheme → (how nodes are found, whether by TLS).
SCHEMES = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "valkey": ("single", False),
    "valkeys": ("single", True),
    "redis+unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the query of the URL may say. Seconds, and paths of PEM files."""

    timeout: float = 5.0
    lease: float = 10.0
    ca: str = ""
    cert: str = ""
    key: str = ""
    check_hostname: bool = True
    sentinel_username: str = ""
    sentinel_password: str = ""


class Address(msgspec.Struct, frozen=True):
    """One Redis, Sentinel group or Cluster.

    :param kind: ``single``, ``unix``, ``sentinel`` or ``cluster``.
    :param endpoints: servers, Sentinels, or some of the cluster's nodes.
    :param master: by which name the Sentinels know it.
    """

    kind: str
    scheme: str
    endpoints: tuple[Endpoint, ...]
    options: Options
    username: str = ""
    password: str = ""
    database: int = 0
    master: str = ""
    tls: bool = False

    def describe(self) -> str:
        """Without user names and passwords."""
        where = ",".join(map(str, self.endpoints))
        tail = f"/{self.master}" if self.master else ""
        number = f"/{self.database}" if self.database else ""
        return f"{self.scheme}://{where}{tail}{number}"

    def tls_context(self) -> ssl.SSLContext | None:
        """:raises ConfigurationError: a certificate cannot be read."""
        return tls_context(self.options) if self.tls else None


def parse(url: SplitResult) -> Address:
    """Read an address.

    :raises ConfigurationError: says which part is wrong.
    """
    kind, tls = SCHEMES[url.scheme]
    options = _options(url.query, kind, tls=tls)
    if url.fragment:
        raise ConfigurationError(
            f"LAYER: {url.scheme}:// takes nothing after a #. In a password, write it as %23."
        )
    userinfo, at, hosts = url.netloc.rpartition("@")
    username, _, password = userinfo.partition(":") if at else ("", "", "")
    endpoints: tuple[Endpoint, ...]
    if kind == "unix":
        endpoints, master, database = _socket(url, hosts, dict(parse_qsl(url.query)))
    else:
        port = SENTINEL_PORT if kind == "sentinel" else PORT
        endpoints = _endpoints(url.scheme, hosts, port, several=kind != "single")
        master, database = _path(url, kind)
    return Address(
        kind=kind,
        scheme=url.scheme,
        endpoints=endpoints,
        options=options,
        username=unquote(username),
        password=unquote(password),
        database=database,
        master=master,
        tls=tls,
    )


def _options(query: str, kind: str, *, tls: bool) -> Options:
    known = [
        name
        for name in Options.__struct_fields__
        if (tls or name not in _TLS_ONLY)
        and (kind == "sentinel" or not name.startswith("sentinel_"))
    ]
    elsewhere = f"It belongs to another scheme; here are known: {', '.join(known)}."
    ignored = ("db",) if kind == "unix" else ()
    return read_options(query, Options, Rules(known, elsewhere, _RANGES, _FILES), ignored)


def _endpoints(scheme: str, hosts: str, port: int, *, several: bool) -> tuple[Endpoint, ...]:
    found = [read_endpoint(scheme, host, port) for host in hosts.split(",")]
    if len(found) > 1 and not several:
        raise ConfigurationError(
            f"LAYER: {scheme}:// takes one host. For several there are redis+sentinel:// and "
            "redis+cluster://."
        )
    return tuple(found)


def _socket(
    url: SplitResult, hosts: str, given: Mapping[str, str]
) -> tuple[tuple[Endpoint, ...], str, int]:
    if hosts or len(url.path) < 2:
        raise ConfigurationError(
            f"LAYER: {url.scheme}:// needs the path of a socket after three slashes, as in "
            "redis+unix:///run/redis.sock?db=0."
        )
    return (Endpoint(unquote(url.path), 0),), "", _database(given.get("db", ""))


def _path(url: SplitResult, kind: str) -> tuple[str, int]:
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    if kind == "sentinel":
        if not parts[0] or len(parts) > 2:
            raise ConfigurationError(
                f"LAYER: {url.scheme}:// needs the master's name, as in "
                f"{url.scheme}://host:26379,host2:26379/mymaster/0."
            )
        return parts[0], _database(parts[1] if len(parts) > 1 else "")
    if len(parts) > 1:
        raise ConfigurationError(f"LAYER: {url.scheme}:// takes only a database's number as path.")
    database = _database(parts[0])
    if kind == "cluster" and database:
        raise ConfigurationError("LAYER: a cluster has database 0 only.")
    return "", database


def _database(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ConfigurationError(f"LAYER: a database is a number, not {text[:20]!r}.")
    return int(text)
