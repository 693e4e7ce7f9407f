"""What the ``LAYER`` setting says about a Redis: where it is, who we are, and the options.

What lives here: `Address`, and reading one from a URL. What must not: connecting.
Errors name the part that is wrong and never show the password.
"""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote

import msgspec

from seaway.exceptions import ConfigurationError

PORT, SENTINEL_PORT = 6379, 26379

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


class Endpoint(NamedTuple):
    """Where one server listens: a host and a port, or the path of a Unix socket and 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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
        if not self.tls:
            return None
        options = self.options
        try:
            context = ssl.create_default_context(cafile=options.ca or None)
            if options.cert:
                context.load_cert_chain(options.cert, options.key or None)
        except (OSError, ssl.SSLError) as error:
            names = [name for name in ("ca", "cert", "key") if getattr(options, name)]
            raise ConfigurationError(
                f"LAYER: the certificates ({', '.join(names)}) cannot be used: {error}."
            ) from error
        context.check_hostname = options.check_hostname
        return context


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
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        message = "LAYER: what follows the ? has to be options such as timeout=5&lease=10."
        raise ConfigurationError(message) from None
    if kind == "unix":
        given.pop("db", None)
    known = [
        name
        for name in Options.__struct_fields__
        if (tls or name not in ("ca", "cert", "key", "check_hostname"))
        and (kind == "sentinel" or not name.startswith("sentinel_"))
    ]
    for name in given:
        if name not in known:
            raise ConfigurationError(_unknown_option(name, known))
    try:
        options = msgspec.convert(given, Options, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"LAYER: an option in its query is wrong: {error}.") from None
    if not 0.1 <= options.timeout <= 15:
        # A repeated publish is known again for at least 16 s.
        raise ConfigurationError("LAYER: the option timeout has to be from 0.1 to 15 seconds.")
    if not 1 <= options.lease <= 3600:
        raise ConfigurationError("LAYER: the option lease has to be from 1 to 3600 seconds.")
    for name in ("ca", "cert", "key"):
        path = getattr(options, name)
        if path and not Path(path).is_file():
            raise ConfigurationError(f"LAYER: the option {name} names no file: {path}.")
    return options


def _unknown_option(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."
    if name in Options.__struct_fields__:
        hint = f" It belongs to another scheme; here are known: {', '.join(known)}."
    # No value is repeated, and no name that is not one: a mistyped URL may have a secret here.
    shown = name if name.isidentifier() and len(name) <= 30 else "of that name"
    return f"LAYER has no option {shown}.{hint}"


def _endpoints(scheme: str, hosts: str, port: int, *, several: bool) -> tuple[Endpoint, ...]:
    found = [_endpoint(scheme, host, port) for host in hosts.split(",")]
    if len(found) > 1 and not several:
        raise ConfigurationError(
            f"LAYER: {scheme}:// takes one host. For several there are redis+sentinel:// and "
            "redis+cluster://."
        )
    return tuple(found)


def _endpoint(scheme: str, text: str, port: int) -> Endpoint:
    host, colon, number = text.rpartition(":")
    if text.endswith("]") or not colon:
        host, number = text, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        # Not repeated: with a "/" or "#" in a password, it is a part of that.
        raise ConfigurationError(
            f"LAYER: the port after {scheme}://… has to be a number from 1 to 65535. If the "
            "password has one of / ? # @ : in it, write those as %2F %3F %23 %40 %3A."
        )
    if not host:
        raise ConfigurationError(
            f"LAYER: {scheme}:// needs a host, as in {scheme}://localhost:{port}."
        )
    return Endpoint(host, int(number))


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
