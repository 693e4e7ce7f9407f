"""Sealing and opening bytes: AES-256-GCM under keys that are derived and counted.

What lives here: `Cipher` and what a sealed text looks like. What must not: layers.

One sealed text: version 1 (1 byte), the key's id (4), salt (12), counter (8), then ciphertext and
tag (16). The key of a process is HKDF-SHA256(secret, salt, "seaway layer 1"), its nonce 4 zero
bytes and the counter: so none is used twice (NIST SP 800-38D section 8.2.1), however many processes
share a secret.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections import OrderedDict
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from seaway.exceptions import ConfigurationError

_VERSION = b"\x01"
_ID, _SALT, _COUNTER = 4, 12, 8
_HEAD = 1 + _ID + _SALT + _COUNTER
#: Bytes by which data grow.
OVERHEAD = _HEAD + 16
#: Characters of a secret: what `secrets.token_urlsafe` makes of 24 bytes.
SHORTEST = 32
#: Derived keys that are kept: more processes than any project has at a time.
DERIVED = 4096


class Unreadable(Exception):
    """Data that none of the keys opens: another secret's, damaged, or never encrypted.

    It never leaves `encryption`, which makes a gap or a dead letter of it.
    """


class Cipher:
    """Seals with the first secret, opens with any.

    :param secrets_: at least one; long and random, such as ``secrets.token_urlsafe(32)`` makes.
    :raises ConfigurationError: one is short.
    """

    def __init__(self, secrets_: Sequence[str]) -> None:
        if not secrets_ or any(len(secret) < SHORTEST for secret in secrets_):
            raise ConfigurationError(
                f"ENCRYPTION_KEYS have at least {SHORTEST} characters each; "
                'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one.'
            )
        self._secrets = {_key_id(secret): secret.encode() for secret in secrets_}
        self._derived: OrderedDict[bytes, AESGCM] = OrderedDict()
        self._counter = itertools.count()
        self._head = _VERSION + _key_id(secrets_[0]) + secrets.token_bytes(_SALT)
        self._key = self._derive(self._head[1:])

    def seal(self, data: bytes, bound_to: str) -> bytes:
        """Encrypt."""
        count = next(self._counter).to_bytes(_COUNTER, "big")
        sealed = self._key.encrypt(b"\0\0\0\0" + count, data, bound_to.encode())
        return self._head + count + sealed

    def open(self, data: bytes, bound_to: str) -> bytes:
        """Decrypt.

        :raises Unreadable: it was not sealed with one of the secrets, or for another name.
        """
        if data[:1] != _VERSION or len(data) < OVERHEAD:
            raise Unreadable(f"Data of {bound_to} are not encrypted as they should be.")
        key = self._derive(data[1 : 1 + _ID + _SALT])
        nonce = b"\0\0\0\0" + data[_HEAD - _COUNTER : _HEAD]
        try:
            return key.decrypt(nonce, data[_HEAD:], bound_to.encode())
        except InvalidTag:
            raise Unreadable(f"Data of {bound_to} do not open: damaged, or moved.") from None

    def _derive(self, id_and_salt: bytes) -> AESGCM:
        key = self._derived.get(id_and_salt)
        if key is not None:
            self._derived.move_to_end(id_and_salt)
            return key
        secret = self._secrets.get(id_and_salt[:_ID])
        if secret is None:
            raise Unreadable("Data were encrypted with a key that is not in ENCRYPTION_KEYS.")
        hkdf = HKDF(SHA256(), 32, salt=id_and_salt[_ID:], info=b"seaway layer 1")
        key = self._derived[id_and_salt] = AESGCM(hkdf.derive(secret))
        if len(self._derived) > DERIVED:
            self._derived.popitem(last=False)
        return key


def _key_id(secret: str) -> bytes:
    """Tells keys apart, and says nothing about them."""
    return hashlib.sha256(b"seaway key id " + secret.encode()).digest()[:_ID]
