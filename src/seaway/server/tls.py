"""What an application may know of a TLS connection: ASGI's extension ``tls``, version 0.2.

What lives here: that dictionary, from what Python's ssl module gives.
What must not: the server's own TLS settings (`addresses`).
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
#: ``ssl_object.version()`` as the number on the wire (RFC 8446 section 4.2.1).
_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
#: Attribute types with short names in a distinguished name (RFC 4514 section 3).
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED = str.maketrans({character: f"\\{character}" for character in '\\",+;<>'})


def leaf_certificate(certfile: str | None) -> str | None:
    """The server's certificate (PEM): the first of its chain."""
    if certfile is None:
        return None
    text = Path(certfile).read_text(encoding="ascii", errors="replace")
    start, end = text.find(_BEGIN), text.find(_END)
    return text[start : end + len(_END)] + "\n" if 0 <= start < end else None


def tls_extension(connection: ssl.SSLObject, certificate: str | None) -> dict[str, Any]:
    """``scope["extensions"]["tls"]``. One dictionary serves all requests of a connection."""
    cipher = connection.cipher()
    der = connection.getpeercert(binary_form=True)
    return {
        "server_cert": certificate,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "client_cert_name": _name(connection.getpeercert()) if der else None,
        # A client certificate that does not verify ends the handshake: there is nothing to report.
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": _cipher_suites().get(cipher[0]) if cipher else None,
    }


@lru_cache(maxsize=1)
def _cipher_suites() -> dict[str, int]:
    """OpenSSL's names of cipher suites, and their numbers in the IANA registry."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}


def _name(certificate: Any) -> str | None:
    """The subject as a string, last component first (RFC 4514 section 2.1)."""
    if not certificate:
        return None
    parts = [
        "+".join(f"{_SHORT.get(kind, kind)}={value.translate(_ESCAPED)}" for kind, value in group)
        for group in reversed(certificate["subject"])
    ]
    return ",".join(parts)
