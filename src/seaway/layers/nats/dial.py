"""Making a connection: greeting, TLS, credentials, and what is wrong in words.

What lives here: `dial`. What must not: what happens on a connection afterwards (`engine`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from typing import Any

from seaway import __version__
from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint
from seaway.layers.nats.address import Address
from seaway.layers.nats.credentials import introduce
from seaway.layers.nats.link import Link, LinkOwner

#: The first with all of: a time to live per message, reading in batches, and conditions on the last
#: sequence of other subjects.
OLDEST = (2, 12)


class Unreachable(Exception):
    """This server cannot be used now; the message says why."""


class _Greeting(LinkOwner):
    """Listens to a server until it is agreed who is who."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.info: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.agreed: asyncio.Future[None] = loop.create_future()
        self.refusal = ""

    def told(self, sid: int, subject: bytes, reply: bytes, header: bytes, data: bytes) -> None:
        """Nothing was subscribed to."""

    def informed(self, link: Link, info: dict[str, Any]) -> None:
        if not self.info.done():
            self.info.set_result(info)

    def refused(self, link: Link, reason: str) -> None:
        self.refusal = reason
        link.hang_up(reason)

    def lost(self, link: Link) -> None:
        for future in (self.info, self.agreed):
            if not future.done():
                future.set_exception(Unreachable(link.trouble))
                future.exception()  # which of the two is awaited is not known here

    def agree(self) -> None:
        if not self.agreed.done():
            self.agreed.set_result(None)


async def dial(
    address: Address, where: Endpoint, owner: LinkOwner, timeout: float
) -> tuple[Link, dict[str, Any]]:
    """A connection that the server has agreed to, and what the server says it is.

    :raises Unreachable: try again, or another server.
    :raises ConfigurationError: trying again will not help.
    """
    greeting = _Greeting()
    link: Link | None = None
    try:
        async with asyncio.timeout(timeout):
            link = await _connect(address, where, greeting)
            info = await greeting.info
            _check_version(where, info)
            if not address.options.handshake_first:
                await _start_tls(link, address, where, info)
            _say_connect(link, address, info)
            link.ping(greeting.agree)
            await greeting.agreed
    except TimeoutError:
        _drop(link)
        raise Unreachable(f"{where} did not answer in time") from None
    except Unreachable as error:
        if greeting.refusal:
            raise _refusal(where, greeting.refusal) from None
        raise Unreachable(f"{where}: {error}") from None
    except OSError as error:
        _drop(link)
        tls = isinstance(error, ssl.SSLError)
        words = os.strerror(error.errno) if error.errno and not tls else str(error)
        raise Unreachable(f"{where}: {words}") from error
    except BaseException:
        _drop(link)
        raise
    link.owner = owner
    return link, info


def _drop(link: Link | None) -> None:
    if link is not None:
        link.let_go()


async def _connect(address: Address, where: Endpoint, greeting: _Greeting) -> Link:
    loop = asyncio.get_running_loop()
    tls = address.tls_context() if address.tls and address.options.handshake_first else None
    _, link = await loop.create_connection(lambda: Link(greeting), where.host, where.port, ssl=tls)
    return link


async def _start_tls(link: Link, address: Address, where: Endpoint, info: dict[str, Any]) -> None:
    required = bool(info.get("tls_required"))
    if not address.tls:
        if required:
            raise ConfigurationError(f"{where} wants TLS: use tls:// in LAYER.")
        return
    if not required and not info.get("tls_available"):
        raise ConfigurationError(f"{where} has no TLS: use nats:// in LAYER, or configure it.")
    loop = asyncio.get_running_loop()
    transport = link.transport
    if transport is None:
        raise Unreachable(link.trouble)
    secured = await loop.start_tls(
        transport, link, address.tls_context(), server_hostname=where.host
    )
    if secured is None:
        raise Unreachable("the server hung up during the TLS handshake")
    link.transport = secured


def _say_connect(link: Link, address: Address, info: dict[str, Any]) -> None:
    connect = {
        "verbose": False,
        "pedantic": False,
        "lang": "python",
        "name": "seaway",
        "version": __version__,
        "protocol": 1,
        "echo": True,
        "headers": True,
        "no_responders": True,
        "tls_required": address.tls,
        **introduce(address, str(info.get("nonce", ""))),
    }
    link.write(b"CONNECT " + json.dumps(connect).encode() + b"\r\n")


def _check_version(where: Endpoint, info: dict[str, Any]) -> None:
    text = str(info.get("version", ""))
    found = re.match(r"v?(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ConfigurationError(
            f"The NATS server at {where} is version {text[:20] or 'unknown'}; Seaway needs "
            f"{oldest} or later."
        )
    if not info.get("headers"):
        raise ConfigurationError(f"The NATS server at {where} has headers switched off.")


def _refusal(where: Endpoint, reason: str) -> Exception:
    text = reason.lower()
    if "authorization" in text or "authentication" in text or "credentials" in text:
        return ConfigurationError(
            f"The NATS server at {where} refuses the user, password, token or credentials of "
            f"LAYER: {reason}."
        )
    return Unreachable(f"{where}: {reason}")
