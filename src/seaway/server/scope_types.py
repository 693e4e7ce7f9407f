"""Peers: who is at the other end of a connection, in ASGI's form.

What lives here: one name, so that what is asked of peers need not import what is made of them.
"""

Peer = tuple[str, int | None] | None
"""Host and port; None for the peer of a Unix socket."""
