"""Every option of the server, in one place.

What lives here: `ServerConfig`, its defaults, help texts and checks. The command line and the
environment variables are derived from it: a new option is one more line in this class.
What must not: parsing of command lines (`cli`), sockets (`addresses`).
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seaway.exceptions import ConfigurationError

#: Prefix of the environment variables: ``max_connections`` is read from SEAWAY_MAX_CONNECTIONS.
ENVIRONMENT_PREFIX = "SEAWAY_"

_OCTAL = re.compile("0?[0-7]{3}")

KIB = 1024
MIB = 1024 * KIB

_LOOPS = ("auto", "uvloop", "asyncio")
_TRI = ("auto", "on", "off")
_FORWARDED = ("off", "x-forwarded", "forwarded")
_LEVELS = ("debug", "info", "warning", "error", "critical")


def option(
    default: Any, text: str, *, choices: Sequence[str] = (), least: float | None = None
) -> Any:
    """A field of `ServerConfig`.

    :param text: what ``--help`` says.
    :param choices: the only values that are legal.
    :param least: the smallest number that is legal.
    """
    metadata = {"help": text, "choices": tuple(choices), "least": least}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True)
class ServerConfig:
    """Options of one server. Sizes are bytes, times are seconds.

    Raises `ConfigurationError` for a value that is not legal.
    """

    bind: tuple[str, ...] = option(
        ("127.0.0.1:8000",),
        "Where to listen: HOST:PORT, [IPV6]:PORT, unix:/path, or systemd; repeatable.",
    )
    unix_mode: str = option("", "Mode of Unix sockets' files in octal, as 660; else by the umask.")
    workers: int = option(1, "Worker processes; one per core is a good start.", least=1)
    certfile: str | None = option(None, "TLS certificate chain (PEM).")
    keyfile: str | None = option(None, "TLS private key (PEM); default: in the certificate file.")
    root_path: str = option("", "Path prefix that the proxy in front strips, as in ASGI.")
    trusted_proxies: tuple[str, ...] = option(
        (), "Networks (CIDR), or unix, whose word about clients counts; repeatable."
    )
    proxy_protocol: bool = option(False, "Trusted proxies begin with a PROXY header (v1, v2).")
    forwarded: str = option("off", "Header by which they name the client.", choices=_FORWARDED)
    loop: str = option("auto", "Event loop; auto: uvloop if there.", choices=_LOOPS)
    lifespan: str = option("auto", "ASGI lifespan; auto: if the application has it.", choices=_TRI)
    http2: bool = option(True, "Speak HTTP/2 too: by ALPN over TLS, by its preface in the clear.")
    max_streams: int = option(128, "Requests at once on an HTTP/2 connection.", least=1)
    max_connections: int = option(10_000, "Open connections per worker.", least=1)
    peer_connections: int = option(0, "Of these, from one address; 0: any number.", least=0)
    peer_rate: float = option(0.0, "New ones from one address in a second; 0: any.", least=0)
    max_header_bytes: int = option(64 * KIB, "Size of a request's head.", least=256)
    max_headers: int = option(128, "Header fields of a request.", least=1)
    body_buffer: int = option(64 * KIB, "Request body held for the application.", least=1)
    max_message_bytes: int = option(16 * MIB, "Size of a WebSocket message.", least=1)
    write_buffer: int = option(64 * KIB, "Unsent bytes after which writers must wait.", least=1)
    batch_writes: str = option(
        "auto",
        "Write one event to many WebSockets by one system call; auto: if the kernel has io_uring.",
        choices=("auto", "off"),
    )
    websocket_compression: bool = option(True, "Agree to permessage-deflate (RFC 7692).")
    header_timeout: float = option(10.0, "Time for a request's head to arrive.", least=0.05)
    body_timeout: float = option(10.0, "Time for each KB of a request's body.", least=0.05)
    idle_timeout: float = option(75.0, "Keep-alive, and clients that take nothing.", least=0.05)
    ping_interval: float = option(20.0, "Silence before a WebSocket ping.", least=0.05)
    ping_misses: int = option(2, "Unanswered pings before a WebSocket is dropped.", least=1)
    close_timeout: float = option(5.0, "Time for a peer to answer a close.", least=0.05)
    start_timeout: float = option(60.0, "Time for a worker to become ready.", least=0.05)
    drain_delay: float = option(0.0, "Accept that long after health_path says 503.", least=0)
    drain_spread: float = option(1.0, "Time over which WebSockets are told to go.", least=0)
    drain_timeout: float = option(30.0, "Time for connections to finish on a stop.", least=0)
    reconnect_window: float = option(5.0, "Time over which clients then come back.", least=0)
    recycle_age: float = option(0.0, "Replace a worker after that time; 0: never.", least=0)
    recycle_requests: int = option(0, "And after so many requests and WebSockets.", least=0)
    recycle_memory: int = option(0, "And once it is larger than that.", least=0)
    recycle_jitter: float = option(0.2, "Part of these that each worker takes off by chance.")
    health_path: str = option("", "Path that answers 200, and 503 once the server is stopping.")
    server_header: bool = option(False, "Send a Server header.")
    access_log: bool = option(False, "Log each request and each closed WebSocket.")
    access_format: str = option("fields", "Form of its lines.", choices=("fields", "combined"))
    log_format: str = option("text", "Form of the log lines.", choices=("text", "json"))
    log_level: str = option("info", "Least severity that is logged.", choices=_LEVELS)
    pid_file: str | None = option(None, "File for the supervisor's process id.")

    def __post_init__(self) -> None:
        if isinstance(self.bind, str) or not self.bind:
            raise ConfigurationError("bind needs a list of at least one address.")
        object.__setattr__(self, "bind", tuple(self.bind))
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))
        if self.keyfile and not self.certfile:
            raise ConfigurationError("keyfile is of no use without certfile.")
        for name in ("certfile", "keyfile"):
            value = getattr(self, name)
            if value and not Path(value).is_file():
                raise ConfigurationError(f"{name}: there is no file {value}.")
        if self.root_path and (self.root_path[0] != "/" or self.root_path[-1] == "/"):
            raise ConfigurationError('root_path starts with "/" and does not end with it.')

        self._check_proxies()
        if self.health_path and self.health_path[0] != "/":
            raise ConfigurationError('health_path starts with "/".')
        if self.unix_mode and not _OCTAL.fullmatch(self.unix_mode):
            raise ConfigurationError(f"unix_mode is octal, as 660; not {self.unix_mode!r}.")
        if not 0 <= self.recycle_jitter < 1:
            raise ConfigurationError("recycle_jitter is from 0 to less than 1.")

    def _check_proxies(self) -> None:
        if isinstance(self.trusted_proxies, str):
            raise ConfigurationError("trusted_proxies needs a list of networks.")
        object.__setattr__(self, "trusted_proxies", tuple(self.trusted_proxies))
        for name, wanted in (("proxy_protocol", self.proxy_protocol),
                             ("forwarded", self.forwarded != "off")):  # fmt: skip
            if wanted and not self.trusted_proxies:
                raise ConfigurationError(f"{name} needs trusted_proxies: whose word is to count?")

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.certfile is not None

    @property
    def level(self) -> int:
        """``log_level`` as a number of the logging module."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise ConfigurationError(f"{field.name} is one of {', '.join(choices)}; not {value!r}.")
    least = field.metadata["least"]
    if least is not None and not value >= least:
        raise ConfigurationError(f"{field.name} is at least {least}; not {value!r}.")
