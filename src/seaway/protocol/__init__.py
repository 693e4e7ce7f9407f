"""Bytes to events and back: no sockets, no asyncio, no Django."""
