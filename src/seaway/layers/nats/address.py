"""What the ``LAYER`` setting says about a NATS: where it is, who we are, and the options.

What lives here: `Address`, and reading one from a URL. What must not: connecting.
Errors name the part that is wrong and never show a password.
"""

from __future__ import annotations

import difflib
import ssl
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote

import msgspec

from seaway.exceptions import ConfigurationError

PORT = 4222
_FILES = ("ca", "cert", "key", "credentials")
_TLS_ONLY = ("ca", "cert", "key", "check_hostname", "handshake_first")


class Endpoint(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the query of the URL may say. Seconds, bytes, and paths of files.

    :param replicas: copies of everything stored; 0: three in a cluster, else one.
    :param max_age: seconds after which a topic that nobody publishes on is forgotten.
    :param max_events: messages that are kept of one topic at most, whatever its history says.
    :param max_bytes: that each of the three streams may have; 0: as the account allows.
    :param credentials: a file with a user's JWT and seed, as ``nsc`` makes them.
    :param domain: of JetStream.
    """

    timeout: float = 5.0
    lease: float = 10.0
    replicas: int = 0
    storage: Literal["file", "memory"] = "file"
    max_age: float = 7 * 86400.0
    max_events: int = 10_000
    max_bytes: int = 0
    credentials: str = ""
    domain: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    check_hostname: bool = True
    handshake_first: bool = False


_RANGES = {
    "timeout": (0.1, 60.0, "seconds"),
    "lease": (1.0, 3600.0, "seconds"),
    "replicas": (0, 5, "copies"),
    "max_age": (60.0, 3650 * 86400.0, "seconds"),
    "max_events": (10, 10_000_000, "messages"),
    "max_bytes": (0, 2**62, "bytes"),
}


class Address(msgspec.Struct, frozen=True):
    """One server, or some of a cluster's."""

    scheme: str
    endpoints: tuple[Endpoint, ...]
    options: Options
    username: str = ""
    password: str = ""
    token: str = ""

    @property
    def tls(self) -> bool:
        return self.scheme == "tls"

    def describe(self) -> str:
        """Without user names and passwords."""
        return f"{self.scheme}://{','.join(map(str, self.endpoints))}"

    def tls_context(self) -> ssl.SSLContext:
        """:raises ConfigurationError: a certificate cannot be read."""
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
    scheme = url.scheme
    userinfo, _, hosts = url.netloc.rpartition("@")
    endpoints = tuple(_endpoint(scheme, host) for host in hosts.split(","))
    if url.fragment:
        raise ConfigurationError(
            f"LAYER: {scheme}:// takes nothing after a #. In a password, write it as %23."
        )
    if url.path not in ("", "/"):
        raise ConfigurationError(f"LAYER: {scheme}:// takes no path.")
    first, colon, password = userinfo.partition(":")
    return Address(
        scheme=scheme,
        endpoints=endpoints,
        options=_options(url.query, tls=scheme == "tls"),
        username=unquote(first) if colon else "",
        password=unquote(password),
        token="" if colon else unquote(first),
    )


def endpoint(text: str) -> Endpoint | None:
    """Where a server of the cluster says that it is; None for what cannot be understood."""
    try:
        return _endpoint("nats", text)
    except ConfigurationError:
        return None


def _options(query: str, *, tls: bool) -> Options:
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        message = "LAYER: what follows the ? has to be options such as timeout=5&lease=10."
        raise ConfigurationError(message) from None
    known = [name for name in Options.__struct_fields__ if tls or name not in _TLS_ONLY]
    for name in given:
        if name not in known:
            raise ConfigurationError(_unknown_option(name, known))
    try:
        options = msgspec.convert(given, Options, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"LAYER: an option in its query is wrong: {error}.") from None
    for name, (least, most, unit) in _RANGES.items():
        if not least <= getattr(options, name) <= most:
            raise ConfigurationError(
                f"LAYER: the option {name} has to be from {least:,} to {most:,} {unit}."
            )
    for name in _FILES:
        path = getattr(options, name)
        if path and not Path(path).is_file():
            raise ConfigurationError(f"LAYER: the option {name} names no file: {path}.")
    return options


def _unknown_option(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."
    if name in Options.__struct_fields__:
        hint = " It belongs to tls://."
    # No value is repeated, and no name that is not one: a mistyped URL may have a secret here.
    shown = name if name.isidentifier() and len(name) <= 30 else "of that name"
    return f"LAYER has no option {shown}.{hint}"


def _endpoint(scheme: str, text: str) -> Endpoint:
    host, colon, number = text.rpartition(":")
    if text.endswith("]") or not colon:
        host, number = text, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise ConfigurationError(
            f"LAYER: {scheme}:// needs a host, as in {scheme}://localhost:{PORT}."
        )
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        # Not repeated: with a "/" or "#" in a password, it is a part of that.
        raise ConfigurationError(
            f"LAYER: the port after {scheme}://… has to be a number from 1 to 65535. If the "
            "password has one of / ? # @ : in it, write those as %2F %3F %23 %40 %3A."
        )
    return Endpoint(host, int(number))
