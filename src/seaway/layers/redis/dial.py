"""Opening a connection: reach the server, say who we are, look at what it is.

What lives here: `Dialer`, and the words for what can go wrong. What must not: trying again.

:class:`ConfigurationError` is what trying again cannot mend; everything else is `Unreachable`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from functools import partial
from typing import Any

from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint
from seaway.layers.redis.address import Address
from seaway.layers.redis.link import Link, LinkOwner, failed
from seaway.layers.redis.scripts import SCRIPTS

logger = logging.getLogger("seaway.layers")

#: Seconds for one attempt, all of it.
DIAL_SECONDS = 3.0
#: The first versions with what the scripts need: sharded pub/sub, and replication of effects.
OLDEST = {"redis": 7, "valkey": 8}


class Unreachable(Exception):
    """A server that cannot be used now; the message is for the log, and for `LayerUnavailable`."""


class Dialer:
    """How to open connections to the servers of one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._tls = address.tls_context()
        self._warned: set[Endpoint] = set()

    async def dial(self, owner: LinkOwner, endpoint: Endpoint) -> Link:
        """A connection to a master, ready for commands.

        :raises Unreachable: it may be better later.
        :raises ConfigurationError: it will not.
        """
        address = self.address
        return await self._within(
            endpoint, self._master(owner, endpoint, address.username, address.password)
        )

    async def dial_sentinel(self, owner: LinkOwner, endpoint: Endpoint) -> Link:
        """A connection to a Sentinel, which has its own password and no databases."""
        options = self.address.options
        return await self._within(
            endpoint,
            self._greeted(owner, endpoint, options.sentinel_username, options.sentinel_password),
        )

    async def dial_node(self, owner: LinkOwner, endpoint: Endpoint) -> Link:
        """A connection to any node of a cluster, to ask who has which slots."""
        address = self.address
        return await self._within(
            endpoint, self._greeted(owner, endpoint, address.username, address.password)
        )

    async def _within(self, endpoint: Endpoint, attempt: Any) -> Link:
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                link: Link = await attempt
                return link
        except TimeoutError:
            by_tls = " by TLS" if self._tls is not None else ""
            raise Unreachable(f"{endpoint} does not answer{by_tls}") from None
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"TLS with Redis at {endpoint} failed: {_tls_words(error)}."
            ) from error
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise Unreachable(f"{endpoint}: {reason}") from error

    # Greeting ------------------------------------------------------------------------------------

    async def _greeted(
        self, owner: LinkOwner, endpoint: Endpoint, username: str, password: str
    ) -> Link:
        link = Link(owner)
        loop = asyncio.get_running_loop()
        if endpoint.port:
            name = endpoint.host if self._tls is not None else None
            await loop.create_connection(
                lambda: link, endpoint.host, endpoint.port, ssl=self._tls, server_hostname=name
            )
        else:
            await loop.create_unix_connection(lambda: link, endpoint.host)
        try:
            who = [b"AUTH", (username or "default").encode(), password.encode()] if password else []
            hello = await _ask(link, b"HELLO", b"3", *who, b"SETNAME", b"seaway")
            if failed(hello):
                raise _refusal(endpoint, str(hello), with_password=bool(password))
        except BaseException:
            link.close()
            raise
        return link

    async def _master(
        self, owner: LinkOwner, endpoint: Endpoint, username: str, password: str
    ) -> Link:
        link = await self._greeted(owner, endpoint, username, password)
        try:
            if self.address.database:
                selected = await _ask(link, b"SELECT", str(self.address.database).encode())
                if failed(selected):
                    raise ConfigurationError(
                        f"Redis at {endpoint} has no database {self.address.database}: {selected}."
                    )
            facts = [_facts(await _ask(link, b"INFO", part)) for part in _SECTIONS]
            self._inspect(endpoint, {key: value for part in facts for key, value in part.items()})
            await self._load_scripts(link, endpoint)
        except BaseException:
            link.close()
            raise
        return link

    async def _load_scripts(self, link: Link, endpoint: Endpoint) -> None:
        loading = [_asked(link, b"SCRIPT", b"LOAD", one.text) for one in SCRIPTS.values()]
        for answer in await asyncio.gather(*loading):
            if failed(answer):
                raise _refusal(endpoint, str(answer), with_password=True)

    def _inspect(self, endpoint: Endpoint, facts: dict[str, str]) -> None:
        if not facts:
            raise Unreachable(f"{endpoint} is not ready")
        kind = "valkey" if facts.get("server_name") == "valkey" else "redis"
        version = facts.get(f"{kind}_version", "0")
        found = re.match(r"\d+", version)
        if found is None or int(found[0]) < OLDEST[kind]:
            raise ConfigurationError(
                f"The server at {endpoint} is {kind.title()} {version}; Seaway needs Redis 7 or "
                "Valkey 8, or later."
            )
        if facts.get("role", "master") != "master":
            raise Unreachable(f"{endpoint} is a replica, not a master")
        if facts.get("loading", "0") != "0":
            raise Unreachable(f"{endpoint} is still loading its data")
        self._warn_of_eviction(endpoint, facts)

    def _warn_of_eviction(self, endpoint: Endpoint, facts: dict[str, str]) -> None:
        policy = facts.get("maxmemory_policy", "noeviction")
        if policy != "noeviction" and endpoint not in self._warned:
            self._warned.add(endpoint)
            logger.warning(
                "The server at %s has maxmemory-policy %s: when its memory is full it may delete "
                "queued messages and history. Set it to noeviction.",
                endpoint,
                policy,
            )


_SECTIONS = (b"server", b"replication", b"persistence", b"memory")


def _asked(link: Link, *parts: bytes) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if not link.open:
        future.set_exception(ConnectionResetError(link.trouble))
        return future
    link.ask(partial(_answer, future), *parts)
    return future


async def _ask(link: Link, *parts: bytes) -> Any:
    """Ask on a link that nobody else uses yet; a hang-up is an OSError, found by looking."""
    future = _asked(link, *parts)
    while not future.done():
        await asyncio.wait([future], timeout=0.05)
        if not link.open and not future.done():
            raise ConnectionResetError(link.trouble)
    return future.result()


def _answer(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)


def _facts(info: Any) -> dict[str, str]:
    """What INFO says; empty when it says no."""
    if not isinstance(info, bytes):
        return {}
    lines = info.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _refusal(endpoint: Endpoint, message: str, *, with_password: bool) -> Exception:
    code = message.partition(" ")[0]
    if code in ("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN"):
        return Unreachable(f"{endpoint} is not ready: {message}")
    if code == "WRONGPASS" or ("AUTH" in message and "without any password" in message):
        return ConfigurationError(f"Redis at {endpoint} refuses the user name or password.")
    if code == "NOAUTH":
        return ConfigurationError(
            f"Redis at {endpoint} refuses the user name or password."
            if with_password
            else f"Redis at {endpoint} wants a password: redis://:PASSWORD@…"
        )
    if code == "NOPERM":
        return ConfigurationError(f"Redis at {endpoint} forbids what Seaway needs: {message}")
    if "unknown command" in message.lower() or code == "NOPROTO":
        return ConfigurationError(
            f"The server at {endpoint} is too old; Seaway needs Redis 7 or Valkey 8, or later."
        )
    return Unreachable(f"{endpoint} refuses: {message}")


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS there; redis:// is without TLS"
    return (error.reason or str(error)).replace("_", " ").lower()
