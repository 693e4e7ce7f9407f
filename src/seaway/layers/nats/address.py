"""What the ``LAYER`` setting says about a NATS: where it is, who we are, and the options.

What lives here: `Address`, and reading one from a URL. What must not: connecting.
Errors name the part that is wrong and never show a password.
"""

from __future__ import annotations

import ssl
from typing import Literal
from urllib.parse import SplitResult, unquote

import msgspec

from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint, Rules, read_endpoint, read_options, tls_context

PORT = 4222
_FILES = ("ca", "cert", "key", "credentials")
_TLS_ONLY = ("ca", "cert", "key", "check_hostname", "handshake_first")


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
        return tls_context(self.options)


def parse(url: SplitResult) -> Address:
    """Read an address.

    :raises ConfigurationError: says which part is wrong.
    """
    scheme = url.scheme
    userinfo, _, hosts = url.netloc.rpartition("@")
    endpoints = tuple(read_endpoint(scheme, host, PORT) for host in hosts.split(","))
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
        return read_endpoint("nats", text, PORT)
    except ConfigurationError:
        return None


def _options(query: str, *, tls: bool) -> Options:
    known = [name for name in Options.__struct_fields__ if tls or name not in _TLS_ONLY]
    return read_options(query, Options, Rules(known, "It belongs to tls://.", _RANGES, _FILES))
