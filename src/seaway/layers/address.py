"""What the URLs of the ``LAYER`` setting have in common: servers, options, certificates.

What lives here: reading those parts, for the engines that do it themselves.
What must not: what any one engine's URL may say (its own `address`), or connecting.
Errors name the part that is wrong and never show a secret.
"""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from seaway.exceptions import ConfigurationError

T = TypeVar("T", bound=msgspec.Struct)


class Endpoint(NamedTuple):
    """Where one server listens: a host and a port, or the path of a Unix socket and 0."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Certificates(Protocol):
    """Options of a connection by TLS: paths of PEM files, or nothing."""

    @property
    def ca(self) -> str: ...
    @property
    def cert(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def check_hostname(self) -> bool: ...


def tls_context(options: Certificates) -> ssl.SSLContext:
    """:raises ConfigurationError: a certificate cannot be read."""
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


def read_endpoint(scheme: str, text: str, port: int) -> Endpoint:
    """One host of a URL, with ``port`` where it names none.

    :raises ConfigurationError: says which part is wrong.
    """
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


class Rules(NamedTuple):
    """What the options of a URL have to keep to.

    :param known: their names, with this scheme. :param elsewhere: the hint at one of another.
    :param ranges: least, most, and the unit of the numbers. :param files: which name files.
    """

    known: Sequence[str]
    elsewhere: str
    ranges: Mapping[str, tuple[float, float, str]]
    files: Sequence[str]


def read_options(query: str, kind: type[T], rules: Rules, ignored: Collection[str] = ()) -> T:
    """What the query of a URL says.

    :param ignored: names that are read elsewhere.
    :raises ConfigurationError: says which option is wrong.
    """
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        message = "LAYER: what follows the ? has to be options such as timeout=5&lease=10."
        raise ConfigurationError(message) from None
    for name in ignored:
        given.pop(name, None)
    for name in given:
        if name not in rules.known:
            raise ConfigurationError(_unknown(name, kind, rules))
    try:
        options = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"LAYER: an option in its query is wrong: {error}.") from None
    for name, (least, most, unit) in rules.ranges.items():
        if not least <= getattr(options, name) <= most:
            raise ConfigurationError(
                f"LAYER: the option {name} has to be from {least:,} to {most:,} {unit}."
            )
    for name in rules.files:
        path = getattr(options, name)
        if path and not Path(path).is_file():
            raise ConfigurationError(f"LAYER: the option {name} names no file: {path}.")
    return options


def _unknown(name: str, kind: type[msgspec.Struct], rules: Rules) -> str:
    known = ", ".join(rules.known)
    close = difflib.get_close_matches(name, rules.known, n=1)
    hint = f" Did you mean {close[0]}?" if close else f" Known: {known}."
    if name in kind.__struct_fields__:
        hint = f" {rules.elsewhere}"
    # No value is repeated, and no name that is not one: a mistyped URL may have a secret here.
    shown = name if name.isidentifier() and len(name) <= 30 else "of that name"
    return f"LAYER has no option {shown}.{hint}"
