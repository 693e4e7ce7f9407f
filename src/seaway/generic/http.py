"""The names of ``channels.generic.http``; they live in `seaway.consumers`."""

from seaway.consumers import AsyncHttpConsumer

__all__ = ["AsyncHttpConsumer"]
