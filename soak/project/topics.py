"""The one topic that all subscribers follow."""

from seaway import History, Topic


class Feed(Topic):
    route = "feed"
    history = History(size=10_000, seconds=600)

    async def join(self) -> None:
        """Everybody may."""
