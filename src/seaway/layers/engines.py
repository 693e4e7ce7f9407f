"""From the LAYER setting to a layer.

What lives here: the known engines by the scheme of their address. A new engine is one line.
What must not: the engines themselves, or importing one that is not asked for.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, parse_qsl, urlsplit

from seaway.exceptions import ConfigurationError
from seaway.layers.base import Layer

#: The first part of every key, subject and row: it needs no escaping in any of them.
LEGAL_NAMESPACE = r"\A[a-z0-9][a-z0-9_-]{0,39}\Z"


def _memory(url: SplitResult, namespace: str, place: str) -> Layer:
    from seaway.layers.memory.layer import MemoryLayer

    if url.path not in ("", "/"):
        raise ConfigurationError(f"{url.geturl()!r}: memory:// takes no path.")
    return MemoryLayer()


def _local(url: SplitResult, namespace: str, place: str) -> Layer:
    if sys.platform == "win32":
        raise ConfigurationError("local:// needs Unix sockets, which Windows lacks: use memory://.")
    from seaway.layers.local.client import LocalLayer
    from seaway.layers.local.place import Durable, find_place

    root = url.path.rstrip("/") or None
    levels = {"": Durable.NOT, "1": Durable.PROCESS, "full": Durable.MACHINE}
    durable = levels.get(_option(url, "durable"))
    if durable is None:
        raise ConfigurationError(f"local://{url.path}?{url.query}: durable is 1 or full.")
    return LocalLayer(find_place(place, root), durable=durable)


def _option(url: SplitResult, name: str) -> str:
    """The value of the one option that an address may have."""
    options = parse_qsl(url.query, keep_blank_values=True)
    if not url.fragment and [known for known, _ in options] in ([], [name]):
        return options[0][1] or "?" if options else ""
    said = f"{url.scheme}://{url.path}?{url.query}"
    raise ConfigurationError(f"{said}: the only option of {url.scheme}:// is {name}.")


def _postgres(url: SplitResult, namespace: str, place: str) -> Layer:
    try:
        from seaway.layers.postgres.address import read_address
        from seaway.layers.postgres.layer import PostgresLayer
    except ImportError as error:
        raise ConfigurationError(
            f"{url.scheme}:// needs psycopg 3: pip install seaway[postgres] ({error})."
        ) from error
    if url.fragment:
        raise ConfigurationError(
            f"LAYER: {url.scheme}:// takes nothing after a #. In a password, write it as %23."
        )
    # Not geturl(), which forgets the slashes where there is no host.
    query = f"?{url.query}" if url.query else ""
    address = f"{url.scheme}://{url.netloc}{url.path}{query}"
    return PostgresLayer(read_address(address, namespace))


def _django(url: SplitResult, namespace: str, place: str) -> Layer:
    raise ConfigurationError(
        "django:// means a database of Django's settings: it is known where Django is only."
    )


def _redis(url: SplitResult, namespace: str, place: str) -> Layer:
    try:
        import hiredis  # noqa: F401  so that only its absence is taken for its absence
    except ImportError as error:
        raise ConfigurationError(
            f"{url.scheme}:// needs the extra redis: pip install 'seaway[redis]'."
        ) from error
    from seaway.layers.redis.address import parse
    from seaway.layers.redis.layer import RedisLayer

    return RedisLayer(parse(url), namespace)


def _nats(url: SplitResult, namespace: str, place: str) -> Layer:
    from seaway.layers.nats.address import parse
    from seaway.layers.nats.layer import NatsLayer

    return NatsLayer(parse(url), namespace)


_ENGINES: dict[str, Callable[[SplitResult, str, str], Layer]] = {
    "django": _django,
    "memory": _memory,
    "local": _local,
    "nats": _nats,
    "postgres": _postgres,
    "postgresql": _postgres,
    "redis": _redis,
    "rediss": _redis,
    "valkey": _redis,
    "valkeys": _redis,
    "redis+unix": _redis,
    "redis+sentinel": _redis,
    "rediss+sentinel": _redis,
    "redis+cluster": _redis,
    "rediss+cluster": _redis,
    "tls": _nats,
}


def make_layer(url: str, *, namespace: str, place: str) -> Layer:
    """The layer that an address means, not yet started.

    :param url: ``memory://`` (this process only), ``local://`` (the embedded broker) or
        ``local:///directory`` (the same, its socket below that directory); with ``?durable=1`` or
        ``?durable=full`` the broker's queues and history outlive it; or
        ``postgres://user:password@host/database``; or one of the Redis engine's
        (`seaway.layers.redis.address`), or ``nats://`` and ``tls://``
        (`seaway.layers.nats.address`).
    :param namespace: keeps projects apart that share an engine over the network.
    :param place: keeps projects apart that share this machine.
    :raises ConfigurationError: nothing is known under this address; says what is.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        # Neither the address nor what is wrong with it is repeated: a password may be in both.
        raise ConfigurationError(
            "LAYER is not an address that can be read. In a password, write [ as %5B and ] as %5D."
        ) from error
    scheme = parts.scheme
    engine = _ENGINES.get(scheme)
    if engine is None or not url.lower().startswith(f"{scheme}://"):
        raise ConfigurationError(_unknown(url, scheme or url))
    if scheme in ("memory", "local") and parts.netloc:
        message = f"{url!r}: {scheme}:// has no host."
        hint = f" Did you mean local:///{parts.netloc}{parts.path}?" if scheme == "local" else ""
        raise ConfigurationError(message + hint)
    if scheme == "memory" and (parts.query or parts.fragment):
        raise ConfigurationError(f"{url!r}: {scheme}:// takes no options.")
    return engine(parts, namespace, place)


def encrypted(layer: Layer, keys: Sequence[str]) -> Layer:
    """A layer whose engine cannot read the data; not yet started.

    :param keys: secrets: the first one encrypts, all of them decrypt.
    :raises ConfigurationError: a secret is too short, or the extra is missing.
    """
    try:
        import cryptography  # noqa: F401  so that only its absence is taken for its absence
    except ImportError as error:
        raise ConfigurationError(
            "ENCRYPTION_KEYS need the extra encryption: pip install 'seaway[encryption]'."
        ) from error
    from seaway.layers.encryption import EncryptedLayer

    return EncryptedLayer(layer, keys)


def _unknown(url: str, scheme: str) -> str:
    # Only the scheme is repeated: the rest of an address may hold a password.
    known = ", ".join(f"{name}://" for name in sorted(_ENGINES))
    close = difflib.get_close_matches(scheme.partition(":")[0], _ENGINES, n=1)
    hint = f" Did you mean {close[0]}://?" if close else ""
    named = f"{scheme.partition(':')[0][:40]!r}"
    return f"No message layer is known under {named}.{hint} Known: {known}."
