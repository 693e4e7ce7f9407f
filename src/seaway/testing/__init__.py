"""What projects test their realtime code with: the public names are imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seaway.testing.topic_client import TopicClient as TopicClient

__all__ = ["TopicClient"]


def __getattr__(name: str) -> Any:
    # Engines are tested without Django (`layer_contract`), so it is not imported before its use.
    if name == "TopicClient":
        from seaway.testing.topic_client import TopicClient

        return TopicClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
