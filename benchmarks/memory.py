"""Memory: resident bytes that one idle connection, joined to a topic or group, costs the server.

What lives here: the rounds and their ratios; asyncio tasks per connection of Seaway.
What must not: how servers are started (`contestants`) or measured (`procs`).

Each round starts every server afresh. Some hundred connections come and go first, so that what is
made once is not counted; the next ones stay and fill the room that those have left; then the growth
over the `CONNECTIONS` that come then is divided by their number.
The kernel's socket buffers are not in it: they are the same for all.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from benchmarks import contestants as who
from benchmarks.contestants import Contestant
from benchmarks.loads import Load
from benchmarks.procs import Server, Usage, explained
from benchmarks.report import Ratios, middle, say, spread

CONTESTANTS = [
    who.SEAWAY,
    who.PLAIN_UVICORN,
    who.WEBSOCKETS,
    who.CHANNELS_UVICORN,
    who.CHANNELS_DAPHNE,
]
#: The environment variable CONNECTIONS sets another number, 10,000 for example.
CONNECTIONS = int(os.environ.get("CONNECTIONS") or 2000)
#: Channels' in-memory layer looks at all of its channels for each new one: 2,000 take a minute.
FEWER = {who.CHANNELS_UVICORN.name: 1000, who.CHANNELS_DAPHNE.name: 1000}
WARM_UP = 300
BASE = 400
#: Between the last connection and the measurement: what was only needed for the handshake goes.
SETTLE_SECONDS = 1.0


class Reply(msgspec.Struct, frozen=True):
    """Seaway's answer to the action that counts tasks."""

    data: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round, per connection."""

    memory: Usage
    tasks: float


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; bytes per connection of those that took part, Seaway's tasks."""
    say(f"memory: up to {CONNECTIONS} idle connections; resident bytes of the server for each")
    samples: dict[str, list[Sample]] = defaultdict(list)
    chosen = who.choose(CONTESTANTS, names)
    for _ in range(rounds):
        for contestant in chosen:
            samples[contestant.name].append(take(contestant))
    for contestant in chosen:
        tell(contestant.label, samples[contestant.name])
    return _figures(samples)


def take(contestant: Contestant) -> Sample:
    """One sample, from a server that is started for it."""
    connections = FEWER.get(contestant.name, CONNECTIONS)
    with contestant.serve() as server, explained(server):
        with contestant.load(server, WARM_UP):
            pass
        with contestant.load(server, BASE) as base:
            before, tasks = settled(server), _tasks(contestant, base)
            with contestant.load(server, connections):
                grown = settled(server).since(before)
                more = _tasks(contestant, base) - tasks
    per_connection = Usage(grown.workers / connections, grown.broker / connections)
    return Sample(per_connection, more / connections)


def settled(server: Server) -> Usage:
    """Resident bytes, once what was only needed a moment ago has gone."""
    time.sleep(SETTLE_SECONDS)
    return server.memory()


def _tasks(contestant: Contestant, load: Load) -> int:
    """The asyncio tasks of a Seaway worker; 0 for the others, who are not asked."""
    if contestant is not who.SEAWAY:
        return 0
    return msgspec.json.decode(load.ask(who.call("tasks")), type=Reply).data


def tell(label: str, taken: Sequence[Sample]) -> None:
    """A line about one contestant."""
    bytes_held = [one.memory.total for one in taken]
    say(
        f"    {label:30} {middle(bytes_held):9,.0f} bytes ({spread(bytes_held)}), of these "
        f"{middle(one.memory.broker for one in taken):,.0f} in the broker"
    )


def _figures(samples: dict[str, list[Sample]]) -> Ratios:
    figures: Ratios = {}
    for name, taken in samples.items():
        key = "bytes_per_connection" + ("" if name == "seaway" else f"_{name}")
        figures[key] = middle(one.memory.total for one in taken)
    if "seaway" in samples:
        figures["tasks_per_connection"] = middle(one.tasks for one in samples["seaway"])
        for name in samples.keys() - {"seaway"}:
            figures[f"memory_vs_{name}"] = (
                figures[f"bytes_per_connection_{name}"] / figures["bytes_per_connection"]
            )
    return figures
