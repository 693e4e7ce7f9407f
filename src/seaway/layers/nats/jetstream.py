"""JetStream: storing on a condition, and removing.

What lives here: `JetStream`, and what it consists of: its API (`api`) and what is stored
(`archive`). What must not: what is stored there, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict, Passing, Refused, Stored, sequence_of
from seaway.layers.nats.api import Api
from seaway.layers.nats.archive import Archive
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.requests import NoAnswer, NobodyThere

#: Room in a message for the subject, headers of ours and of the server's.
OVERHEAD = 8 * 1024


class Condition(NamedTuple):
    """The last sequence of a subject, which may have wildcards, is ``last`` (0: it has none).

    ``subject`` empty: the subject that is stored to.
    """

    last: int
    subject: str = ""


class JetStream:
    """What streams do for us. Every method waits, and tries again, until ``deadline`` (0: the
    engine's time-out) and raises `LayerUnavailable` then.

    :param root: the first part of the subjects, see `subjects`.
    """

    def __init__(self, engine: Engine, root: str) -> None:
        self._engine = engine
        self._root = root
        self.api = Api(engine)
        self.archive = Archive(self.api)

    # Storing -------------------------------------------------------------------------------------

    async def store(
        self,
        subject: str,
        data: bytes,
        values: Mapping[bytes, bytes],
        condition: Condition | None = None,
        *,
        mark: bytes = b"",
        again: Condition | None = None,
        deadline: float = 0.0,
    ) -> int:
        """Store a message; its sequence.

        :param again: the condition from the moment on at which it is not known whether it arrived.
        :param mark: part of its headers that no other message has. With it, a message of which it
            was not known whether it arrived is found again instead of `Conflict`.
        :raises Conflict: ``condition`` does not hold. :raises LayerError: it is full, or refused.
        """
        header = headers.block({**values, **condition_values(condition)})
        deadline = deadline or self._engine.loop.time() + self._engine.timeout
        doubtful = False
        while True:
            try:
                answer = await self._engine.ask(subject, data, header, deadline)
                return sequence_of(answer.data)
            except Conflict as conflict:
                if not doubtful or not mark:
                    raise
                found = await self._last_since(subject, conflict.last, deadline)
                if found is None or mark not in found.header:
                    raise conflict from None
                return found.sequence
            except NoAnswer as error:
                doubtful = True
                if again is not None:
                    header = headers.block({**values, **condition_values(again)})
                self.api.check_time(deadline, error)
            except (NobodyThere, Passing) as error:
                await self.api.pause(deadline, error)

    async def _last_since(self, subject: str, sequence: int, deadline: float) -> Stored | None:
        """The last message of a subject, from a server that has one as late as ``sequence``."""
        while True:
            found = await self.archive.last(self._stream_of(subject), subject, deadline)
            if sequence <= 0 or (found is not None and found.sequence >= sequence):
                return found
            await self.api.pause(deadline, NoAnswer("a server is behind"))

    def _stream_of(self, subject: str) -> str:
        """By the first token after the namespace: see `subjects`."""
        kinds = {"t": 0, "anchor": 0, "p": 1, "h": 1, "o": 1, "q": 2}
        rest = subject[len(self._root) + 1 :]
        return str(self.api.streams[kinds[rest.split(".", 1)[0]]]["name"])

    # Removing ------------------------------------------------------------------------------------

    async def delete(self, stream: str, sequence: int) -> bool:
        """Remove one message; False: it was gone."""
        try:
            body = {"seq": sequence, "no_erase": True}
            await self.api.request(f"STREAM.MSG.DELETE.{stream}", body)
        except Refused:
            return False
        return True

    async def purge(self, stream: str, subject: str, **more: int) -> int:
        """Remove messages of a subject: before the sequence ``seq``, or all but the last ``keep``;
        how many there were."""
        answer = await self.api.request(f"STREAM.PURGE.{stream}", {"filter": subject, **more})
        return int(answer.get("purged", 0))


def condition_values(condition: Condition | None) -> dict[bytes, bytes]:
    """The headers of a condition."""
    if condition is None:
        return {}
    values = {headers.EXPECTED: b"%d" % condition.last}
    if condition.subject:
        values[headers.EXPECTED_OF] = condition.subject.encode()
    return values
