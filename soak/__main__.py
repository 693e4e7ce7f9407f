"""``python -m soak``: run one soak; the last line is one JSON object.

What lives here: the command line. What must not: what a soak does.

The exit status is 1 when a request failed or an event was lost, repeated or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import msgspec
from tests.servers.namespace import NoNamespaces

from soak import engine
from soak.drivers import ENGINES
from soak.reload import FAULTS, Reload, Settings

KINDS = ("reload",)
NETWORKS = ("auto", "namespace", "proxy")


def main() -> int:
    # So that an end from outside, too, ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    if options.engine:
        return _soak_engine(options)
    settings = Settings(
        seconds=options.seconds,
        subscribers=options.subscribers,
        requests=options.requests,
        events=options.events,
        every=options.every,
        workers=options.workers,
        window=options.window,
    )
    figures = asyncio.run(Reload(settings).run())
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    return 1 if any(figures[name] for name in FAULTS) else 0


def _soak_engine(options: argparse.Namespace) -> int:
    settings = engine.Settings(
        engine=options.engine,
        seconds=options.seconds,
        subscribers=options.subscribers,
        rate=options.rate,
        tasks=options.tasks,
        pause=options.pause,
        calm=options.calm,
        network=options.network,
    )
    try:
        figures = asyncio.run(engine.EngineSoak(settings).run())
    except NoNamespaces as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    return 1 if any(figures[name] for name in engine.FAULTS) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    add = parser.add_argument
    add("--kind", choices=KINDS, default=os.environ.get("KIND") or "reload")
    add("--engine", choices=ENGINES, default=os.environ.get("ENGINE") or None)
    add("--rate", type=float, default=240.0, help="--engine: events a second")
    add("--tasks", type=float, default=100.0, help="--engine: messages a second to a queue")
    add("--pause", type=float, default=20.0, help="--engine: seconds that it is stopped for")
    add("--calm", type=float, default=3.0, help="--engine: seconds from a fault to the next")
    add("--network", choices=NETWORKS, default="auto", help="--engine: how it is cut")
    add("--seconds", type=float, default=float(os.environ.get("SECONDS") or 30))
    add("--subscribers", type=int, default=500, help="WebSocket clients that follow one topic")
    add("--requests", type=float, default=200.0, help="HTTP requests a second")
    add("--events", type=float, default=10.0, help="events a second")
    add("--every", type=float, default=5.0, help="seconds from a finished reload to the next")
    add("--workers", type=int, default=2)
    add("--window", type=float, default=5.0, help="seconds over which clients come back")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
