"""Who we are at a NATS: what CONNECT says of it, signing the server's challenge where it has one.

What lives here: user and password, token, and files with a JWT and a seed.
What must not: asking a server.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from seaway.exceptions import ConfigurationError
from seaway.layers.nats.address import Address

_PART = re.compile(r"-{3,}BEGIN ([A-Z ]+)-{3,}\s+(\S+)\s+-{3,}END")
#: A seed: two bytes of kind, 32 of key, two of check sum.
_SEED_BYTES = 36


def introduce(address: Address, nonce: str) -> dict[str, str]:
    """The part of CONNECT that says who we are.

    :raises ConfigurationError: the file of credentials is none.
    """
    if address.options.credentials:
        return _sign(Path(address.options.credentials), nonce)
    if address.username:
        return {"user": address.username, "pass": address.password}
    if address.token:
        return {"auth_token": address.token}
    return {}


def _sign(path: Path, nonce: str) -> dict[str, str]:
    try:
        parts = dict(_PART.findall(path.read_text()))
        jwt, seed = parts["NATS USER JWT"], parts["USER NKEY SEED"]
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except (OSError, ValueError, KeyError, binascii.Error):
        raise ConfigurationError(
            f"LAYER: {path} is no file of NATS credentials with a user's JWT and seed."
        ) from None
    if len(raw) != _SEED_BYTES:
        raise ConfigurationError(f"LAYER: the seed in {path} has not the length of one.")
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ConfigurationError(
            "Files of NATS credentials need the extra nats: pip install 'seaway[nats]'."
        ) from error
    signature = Ed25519PrivateKey.from_private_bytes(raw[2:34]).sign(nonce.encode())
    return {"jwt": jwt, "sig": base64.urlsafe_b64encode(signature).decode().rstrip("=")}
