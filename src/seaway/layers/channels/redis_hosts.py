"""What channels_redis calls ``hosts``, as the address of a layer.

What lives here: `layer_address`.
What must not: connecting to anything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from seaway.exceptions import ConfigurationError

logger = logging.getLogger("seaway.channels")

_DEFAULT = "redis://localhost:6379"
#: Options of redis-py's connections → those of an address.
_OPTIONS = {
    "ssl_ca_certs": "ca",
    "ssl_certfile": "cert",
    "ssl_keyfile": "key",
    "ssl_check_hostname": "check_hostname",
}


def layer_address(hosts: Any = None) -> str:
    """The ``LAYER`` of the first host.

    Each may be an address, a pair of host and port, or a dict: with ``address``, with ``host``,
    ``port``, ``db``, ``username``, ``password``, ``ssl``, or with ``sentinels``, ``master_name``
    and ``sentinel_kwargs``; and with the options of TLS.

    :raises ConfigurationError: a host is in none of these forms, or asks for what there is not.
    """
    if not hosts:
        hosts = [_DEFAULT]
    if isinstance(hosts, (str, bytes)):
        raise ConfigurationError("hosts has to be a list of hosts, not one string.")
    addresses = [_address(host) for host in hosts]
    if len(set(addresses)) > 1:
        logger.warning(
            "Of %d hosts only the first is used: Seaway does not spread a layer over servers that "
            "know nothing of each other. Use Redis Cluster, and name one of its nodes.",
            len(addresses),
        )
    return addresses[0]


def _address(host: Any) -> str:
    if isinstance(host, str):
        return _from_url(host)
    if isinstance(host, Mapping):
        return _from_dict(host)
    if isinstance(host, Sequence) and len(host) == 2:
        return f"redis://{_at(host[0], host[1])}"
    raise ConfigurationError(f"A host of type {type(host).__name__} is not an address of Redis.")


def _from_url(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme == "unix":
        return "redis+unix" + url.removeprefix("unix")
    if scheme.startswith("redis"):
        return url
    # Not the address itself: it may hold a password.
    raise ConfigurationError(
        f"{scheme or 'No scheme'!r}: a host is redis://, rediss:// or unix://."
    )


def _from_dict(host: Mapping[str, Any]) -> str:
    rest = dict(host)
    if "ssl_cert_reqs" in rest and rest.pop("ssl_cert_reqs") not in ("required", 2):
        raise ConfigurationError(
            "ssl_cert_reqs: Seaway always verifies certificates. Name the file of the authority "
            "that signed the server's as ssl_ca_certs."
        )
    query = {
        option: str(value).lower() if isinstance(value, bool) else str(value)
        for name, option in _OPTIONS.items()
        if (value := rest.pop(name, None)) is not None
    }
    for name, value in (rest.pop("sentinel_kwargs", None) or {}).items():
        query[f"sentinel_{name}"] = _text(value)
    if "address" in rest:
        address, _, given = _from_url(_text(rest.pop("address"))).partition("?")
        options = "&".join(filter(None, (given, urlencode(query))))
        address += f"?{options}" if options else ""
    else:
        address = _made(rest, query)
    if rest:
        raise ConfigurationError(f"Seaway's Redis engine has no option {min(rest)!r}.")
    return address


def _made(rest: dict[str, Any], query: Mapping[str, str]) -> str:
    database = rest.pop("db", 0)
    user = quote(_text(rest.pop("username", None) or ""), safe="")
    password = quote(_text(rest.pop("password", None) or ""), safe="")
    login = f"{user}:{password}@" if user or password else ""
    tls = "s" if rest.pop("ssl", False) else ""
    sentinels = rest.pop("sentinels", None)
    if sentinels is not None:
        name = quote(_text(rest.pop("master_name", "")), safe="")
        if not name:
            raise ConfigurationError("A host with sentinels needs a master_name.")
        where = ",".join(_at(*one) for one in sentinels)
        address = f"redis{tls}+sentinel://{login}{where}/{name}/{database}"
    elif "path" in rest:
        address = f"redis+unix://{login}{_text(rest.pop('path'))}"
        query = {"db": str(database), **query}
    else:
        where = _at(rest.pop("host", "localhost"), rest.pop("port", 6379))
        address = f"redis{tls}://{login}{where}/{database}"
    return f"{address}?{urlencode(query)}" if query else address


def _at(host: Any, port: Any) -> str:
    name = _text(host)
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
