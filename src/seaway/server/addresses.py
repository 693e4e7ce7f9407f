"""Addresses: from ``--bind`` to bound sockets and back to URLs.

What lives here: parsing, binding, and how an address is shown to people.
What must not: accepting connections (`listener`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

from seaway.exceptions import ConfigurationError
from seaway.server.config import ServerConfig
from seaway.server.systemd import PassedSocket, passed_sockets

UNIX_PREFIX = "unix:"
#: In place of an address: sockets that systemd has bound.
SYSTEMD = "systemd"


def bind_all(config: ServerConfig) -> list[socket.socket]:
    """Bind every address of ``config``: all of them, or `ConfigurationError` and none."""
    bound: list[socket.socket] = []
    try:
        for text in config.bind:
            if text == SYSTEMD:
                bound.extend(passed_sockets())
            else:
                bound.append(bind(text, mode=config.unix_mode))
    except BaseException:
        files = unix_files(bound)
        close_all(bound)
        remove_files(files)
        raise
    return bound


def bind(text: str, *, mode: str = "") -> socket.socket:
    """A bound, non-blocking stream socket for one ``--bind``; `ConfigurationError` if it fails."""
    if text.startswith(UNIX_PREFIX):
        return _bind_unix(text.removeprefix(UNIX_PREFIX), mode)
    host, port = parse_host_port(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {text}: {error.strerror}.") from error
    # A name such as localhost often leads to both families: IPv4 is the one that always works.
    family, kind, proto, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, proto)
    sock.setblocking(False)
    if os.name == "posix":
        # On Windows this option would let two servers share a port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return _bound(sock, address, text)


def parse_host_port(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT`` in its two parts; `ConfigurationError` if it is neither."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or not host or (":" in host) is not bracketed:
        raise ConfigurationError(f"{text!r} is not HOST:PORT, [IPV6]:PORT or unix:/path.")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"{text!r} has no port from 0 to 65535.")
    return host, int(port)


def _bind_unix(path: str, mode: str) -> socket.socket:
    if not path:
        raise ConfigurationError("unix: needs a path.")
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError("There are no Unix sockets on this system.")
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    return _bound(sock, path, UNIX_PREFIX + path, mode)


def _remove_stale(path: str) -> None:
    """Remove the file of a Unix socket on which nobody answers any more."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - the path is a socket's address, kept as text
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on unix:{path}: {error.strerror}.") from error
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"Cannot listen on unix:{path}: a file is in the way.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except OSError as error:
            raise ConfigurationError(f"Cannot listen on unix:{path}: {error}.") from error
    raise ConfigurationError(f"Cannot listen on unix:{path}: another server answers on it.")


def _bound(sock: socket.socket, address: Any, text: str, mode: str = "") -> socket.socket:
    try:
        sock.bind(address)
        if mode:
            # Before it listens: nobody can connect with other rights meanwhile.
            Path(address).chmod(int(mode, 8))
        # Some systems report a taken port only here.
        sock.listen(2048)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "the address is already in use"
        raise ConfigurationError(f"Cannot listen on {text}: {reason}.") from error
    except (ValueError, OverflowError) as error:
        sock.close()
        raise ConfigurationError(f"Cannot listen on {text}: {error}.") from error
    return sock


def close_all(sockets: list[socket.socket]) -> None:
    """Close listening sockets. Their files stay: see `unix_files`."""
    for sock in sockets:
        sock.close()


def unix_files(sockets: list[socket.socket]) -> list[tuple[Path, int]]:
    """Path and inode of each Unix socket's file, for `remove_files` once they are closed."""
    ours = [sock for sock in sockets if is_unix(sock) and not isinstance(sock, PassedSocket)]
    paths = [Path(sock.getsockname()) for sock in ours]
    return [(path, path.stat().st_ino) for path in paths]


def remove_files(files: list[tuple[Path, int]]) -> None:
    """Remove the files of Unix sockets, unless another server has put its own there meanwhile."""
    for path, inode in files:
        with contextlib.suppress(OSError):
            if path.stat().st_ino == inode:
                path.unlink()


def is_unix(sock: socket.socket) -> bool:
    """Whether this is a Unix socket; False where there are none."""
    return sock.family == getattr(socket, "AF_UNIX", None)


def url(sock: socket.socket, *, tls: bool) -> str:
    """The address of a listening socket as people type it."""
    address = sock.getsockname()
    if is_unix(sock):
        return f"{UNIX_PREFIX}{address}"
    host, port = address[0], address[1]
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host}:{port}"


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """The TLS settings, or None without a certificate. `ConfigurationError` if it does not load."""
    if config.certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.certfile, config.keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"The TLS certificate does not load: {error}.") from error
    context.set_alpn_protocols(["h2", "http/1.1"] if config.http2 else ["http/1.1"])
    return context
