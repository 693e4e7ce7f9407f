"""Sockets to protocol to ASGI."""
