"""The names of ``channels.consumer``; they live in `seaway.consumers`."""

from seaway.consumers import AsyncConsumer, SyncConsumer, get_handler_name

__all__ = ["AsyncConsumer", "SyncConsumer", "get_handler_name"]
