"""``manage.py channels``: what channels hold, and what becomes of their dead letters."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from seaway.conf import layer_home
from seaway.exceptions import SeawayError
from seaway.layers.queues import DeadLetter, QueueState
from seaway.tasks.purging import purge
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
        parser.add_argument(
            "--id", action="append", dest="ids", metavar="ID", help="only this dead letter, in full"
        )
        parser.add_argument("--limit", type=int, default=100, help="dead letters to show (100)")
        parser.add_argument(
            "--after", type=int, default=0, metavar="N", help="leave out the N oldest of them"
        )
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive",
            help="remove without asking",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["channel"]
        action = next((one for one in ("replay", "discard", "purge") if options[one]), "show")
        if not name and (action != "show" or options["ids"]):
            raise CommandError(f"--{action if action != 'show' else 'id'} needs a channel's name.")
        if options["ids"] and action == "purge":
            raise CommandError(
                "--id is for dead letters, and --purge removes all messages but those."
            )
        if options["limit"] < 1 or options["after"] < 0:
            raise CommandError("--limit has to be at least 1, and --after at least 0.")
        try:
            if not name:
                self._list()
            elif action == "show":
                self._show(name, options)
            else:
                self._change(name, action, options["ids"], ask=options["interactive"])
        except SeawayError as error:
            raise CommandError(str(error)) from error

    def _change(self, name: str, action: str, ids: Sequence[str] | None, *, ask: bool) -> None:
        home = layer_home()
        what, done = ("message", "removed") if action == "purge" else ("dead letter", "removed")
        if action == "replay":
            count, done = home.run(lambda layer: replay(layer, name, ids)), "put back"
        elif ask and ids is None and not self._agreed(name, action):
            raise CommandError("Nothing was removed.")
        elif action == "discard":
            count = home.run(lambda layer: layer.discard(name, ids))
        else:
            count = home.run(lambda layer: purge(layer, name))
        self.stdout.write(f"{count:,} {what}{pluralize(count)} {done}.")
        if ids and count < len(set(ids)):
            self.stderr.write("The others are no dead letters of this channel, or not any more.")

    def _agreed(self, name: str, action: str) -> bool:
        """Whether somebody who was asked says that all of it may go."""
        state = _state(name)
        count = state.dead
        what = f"{count:,} dead letter{pluralize(count)}"
        if action == "purge":
            count = state.waiting + state.delayed + state.held
            what = f"{count:,} message{pluralize(count)}, {state.held:,} of them in workers' hands,"
        if not count:
            return True
        try:
            answer = input(f"{what} of {name} will be gone for good. Type 'yes' to remove: ")
        except EOFError:
            raise CommandError(
                "Nothing was removed: there is nobody to ask. Say --noinput to remove without."
            ) from None
        return answer.strip() == "yes"

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

    def _show(self, name: str, options: dict[str, Any]) -> None:
        ids, limit, after = options["ids"], options["limit"], options["after"]
        letters = layer_home().run(
            lambda layer: layer.dead_letters(name, limit, skip=after, ids=ids)
        )
        if ids is not None:
            if not letters:
                raise CommandError(f"{name} has no such dead letter, or not any more.")
            for letter in letters:
                self.stdout.write(_described(letter, len(letter.data)))
            return
        state = _state(name)
        self.stdout.write(
            f"{name}: {state.waiting:,} waiting, {state.delayed:,} delayed, {state.held:,} held, "
            f"{state.dead:,} dead{', closed' if state.closed else ''}"
        )
        for letter in letters:
            self.stdout.write(_described(letter, SHOWN))
        left = state.dead - after - len(letters)
        if letters and left > 0:
            self.stdout.write(f"\n{left:,} more: --after {after + len(letters)}")


def _state(name: str) -> QueueState:
    return layer_home().run(lambda layer: layer.queue_state(name))


def _described(letter: DeadLetter, size: int) -> str:
    when = datetime.fromtimestamp(letter.died_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    data = _printable(letter.data[:size].decode("utf-8", "backslashreplace"))
    more = f"… ({len(letter.data):,} bytes)" if len(letter.data) > size else ""
    reason = _printable(letter.reason)
    return f"\n{letter.id}  {when}  attempt {letter.attempts}\n  {reason}\n  {data}{more}"


def _printable(text: str) -> str:
    """Whoever wrote a message must not write to the operator's terminal: no escape sequences."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
