"""``manage.py relayoutbox``: relay what is in the outbox, for projects whose server does not.

What lives here: the command. What must not: relaying itself.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, ProgrammingError

from seaway.conf import seaway_settings
from seaway.exceptions import SeawayError
from seaway.outbox.relay import TURN_SECONDS, Relay
from seaway.outbox.threads import RelayThreads


class Command(BaseCommand):
    help = "Publishes the events that transactions have left in the outbox, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="Publish what is there, and end.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        aliases = seaway_settings().OUTBOX
        if not aliases:
            raise CommandError("SEAWAY['OUTBOX'] names no database: there is nothing to relay.")
        if options["once"]:
            count = sum(_drain(alias) for alias in aliases)
            self.stdout.write(f"{count} published")
            return
        ending = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ending.set())
        threads = RelayThreads(aliases)
        self.stdout.write(f"relaying {', '.join(aliases)}")
        ending.wait()
        threads.end()
        threads.join(10.0)


def _drain(alias: str) -> int:
    relay = Relay(alias)
    try:
        count = relay.drain()
        left, our_turn = relay.waiting(), relay.has_turn
    except (SeawayError, DatabaseError) as error:
        raise CommandError(f"The outbox of {alias!r} waits: {error}{_advice(error)}") from error
    finally:
        relay.leave()
    if left and not our_turn:
        raise CommandError(
            f"{count} published. Another process relays the outbox of {alias!r} now, or one was "
            f"killed within the last {TURN_SECONDS:g} seconds: {left} left to it."
        )
    if relay.trouble:
        raise CommandError(f"{count} published, {left} of {alias!r} wait: {relay.trouble}")
    return count


def _advice(error: Exception) -> str:
    if isinstance(error, (OperationalError, ProgrammingError)):
        return ". Has `manage.py migrate` been run on this database?"
    return ""
