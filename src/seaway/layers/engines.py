"""From the LAYER setting to a layer.

What lives here: the known engines by the scheme of their address. A new engine is one line.
What must not: the engines themselves, or importing one that is not asked for.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from seaway.exceptions import ConfigurationError
from seaway.layers.base import Layer


def _memory(url: SplitResult, namespace: str, place: str) -> Layer:
    from seaway.layers.memory import MemoryLayer

    if url.path not in ("", "/"):
        raise ConfigurationError(f"{url.geturl()!r}: memory:// takes no path.")
    return MemoryLayer()


def _local(url: SplitResult, namespace: str, place: str) -> Layer:
    if sys.platform == "win32":
        raise ConfigurationError("local:// needs Unix sockets, which Windows lacks: use memory://.")
    from seaway.layers.local.client import LocalLayer
    from seaway.layers.local.place import find_place

    root = url.path.rstrip("/") or None
    return LocalLayer(find_place(place, root))


def _nats(url: SplitResult, namespace: str, place: str) -> Layer:
    from seaway.layers.nats.address import parse
    from seaway.layers.nats.layer import NatsLayer

    return NatsLayer(parse(url), namespace)


_ENGINES: dict[str, Callable[[SplitResult, str, str], Layer]] = {
    "memory": _memory,
    "local": _local,
    "nats": _nats,
    "tls": _nats,
}


def make_layer(url: str, *, namespace: str, place: str) -> Layer:
    """The layer that an address means, not yet started.

    :param url: ``memory://`` (this process only), ``local://`` (the embedded broker),
        ``local:///directory`` (the same, its socket below that directory), or ``nats://`` and
        ``tls://`` (`seaway.layers.nats.address`).
    :param namespace: keeps projects apart that share an engine over the network.
    :param place: keeps projects apart that share this machine.
    :raises ConfigurationError: nothing is known under this address; says what is.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not an address: {error}.") from error
    scheme = parts.scheme
    engine = _ENGINES.get(scheme)
    if engine is None or not url.lower().startswith(f"{scheme}://"):
        raise ConfigurationError(_unknown(url, scheme or url))
    if scheme in ("memory", "local") and parts.netloc:
        message = f"{url!r}: {scheme}:// has no host."
        hint = f" Did you mean local:///{parts.netloc}{parts.path}?" if scheme == "local" else ""
        raise ConfigurationError(message + hint)
    if scheme in ("memory", "local") and (parts.query or parts.fragment):
        raise ConfigurationError(f"{url!r}: {scheme}:// takes no options.")
    return engine(parts, namespace, place)


def _unknown(url: str, scheme: str) -> str:
    # Only the scheme is repeated: the rest of an address may hold a password.
    known = ", ".join(f"{name}://" for name in sorted(_ENGINES))
    close = difflib.get_close_matches(scheme.partition(":")[0], _ENGINES, n=1)
    hint = f" Did you mean {close[0]}://?" if close else ""
    named = f"{scheme.partition(':')[0][:40]!r}"
    return f"No message layer is known under {named}.{hint} Known: {known}."
