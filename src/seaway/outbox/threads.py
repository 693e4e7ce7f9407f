"""The relays of one process: a thread for each database.

What lives here: `RelayThreads`. What must not: relaying; and at import, models, since the
application is imported before Django is set up.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence


class RelayThreads:
    """Relays that run until `end`.

    :param aliases: the databases; none, and there are no threads.
    """

    def __init__(self, aliases: Sequence[str]) -> None:
        if aliases:
            from seaway.outbox.relay import Relay

            self._relays = [Relay(alias) for alias in aliases]
        else:
            self._relays = []
        self._threads = [
            threading.Thread(target=relay.run, name=f"seaway-outbox-{relay.alias}", daemon=True)
            for relay in self._relays
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Tell them; each ends when what it is doing is done."""
        for relay in self._relays:
            relay.end()

    def join(self, seconds: float) -> None:
        """Wait for their end, so long for each."""
        for thread in self._threads:
            thread.join(seconds)
