"""``manage.py channels``: what channels hold, and what becomes of their dead letters."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from seaway.conf import layer_home
from seaway.exceptions import SeawayError
from seaway.layers.queues import DeadLetter, QueueState
from seaway.tasks.replaying import replay

#: Bytes of a dead letter that are shown.
SHOWN = 200


class Command(BaseCommand):
    help = "Lists channels; shows, replays or discards the dead letters of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", nargs="?", help="show this one")
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--replay", action="store_true", help="put dead letters back")
        action.add_argument("--discard", action="store_true", help="remove dead letters")
        action.add_argument("--purge", action="store_true", help="remove all messages but those")
        parser.add_argument("--id", action="append", dest="ids", help="only this dead letter")
        parser.add_argument("--limit", type=int, default=100, help="dead letters to show (100)")

    def handle(self, *args: Any, **options: Any) -> None:
        name, ids = options["channel"], options["ids"]
        changes = [verb for verb in ("replay", "discard", "purge") if options[verb]]
        if changes and not name:
            raise CommandError(f"--{changes[0]} needs the name of a channel.")
        if options["limit"] < 1:
            raise CommandError("--limit has to be at least 1.")
        try:
            if not name:
                self._list()
            elif options["replay"]:
                count = layer_home().run(lambda layer: replay(layer, name, ids))
                self.stdout.write(f"{count:,} dead letter{pluralize(count)} put back.")
            elif options["discard"]:
                count = layer_home().run(lambda layer: layer.discard(name, ids))
                self.stdout.write(f"{count:,} dead letter{pluralize(count)} removed.")
            elif options["purge"]:
                count = layer_home().run(lambda layer: layer.purge(name))
                self.stdout.write(f"{count:,} message{pluralize(count)} removed.")
            else:
                self._show(name, options["limit"])
        except SeawayError as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        names = layer_home().run(lambda layer: layer.channels())
        if not names:
            self.stdout.write("No channel holds anything.")
            return
        width = max(len("channel"), *map(len, names))
        row = f"{{:<{width}}}  {{:>8}}  {{:>8}}  {{:>8}}  {{:>8}}  {{}}"
        heads = row.format("channel", "waiting", "delayed", "held", "dead", "")
        self.stdout.write(heads.rstrip())
        for name in names:
            state = _state(name)
            closed = "closed" if state.closed else ""
            numbers = (f"{n:,}" for n in (state.waiting, state.delayed, state.held, state.dead))
            self.stdout.write(row.format(name, *numbers, closed).rstrip())

    def _show(self, name: str, limit: int) -> None:
        state = _state(name)
        self.stdout.write(
            f"{name}: {state.waiting:,} waiting, {state.delayed:,} delayed, {state.held:,} held, "
            f"{state.dead:,} dead{', closed' if state.closed else ''}"
        )
        for letter in layer_home().run(lambda layer: layer.dead_letters(name, limit)):
            self.stdout.write(_described(letter))


def _state(name: str) -> QueueState:
    return layer_home().run(lambda layer: layer.queue_state(name))


def _described(letter: DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.died_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    data = letter.data[:SHOWN].decode("utf-8", "backslashreplace")
    more = "…" if len(letter.data) > SHOWN else ""
    return f"\n{letter.id}  {when}  attempt {letter.attempts}\n  {letter.reason}\n  {data}{more}"
