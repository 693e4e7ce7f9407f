"""The topics that subscribers follow."""

from seaway import History, Topic


class Feed(Topic):
    route = "feed"
    history = History(size=10_000, seconds=600)

    async def join(self) -> None:
        """Everybody may."""


class NumberedFeed(Topic):
    """One of several, published to by processes that know no Django."""

    route = "feed/<int:number>"
    history = History(size=20_000, seconds=600)

    async def join(self, number: int) -> None:
        """Everybody may."""
