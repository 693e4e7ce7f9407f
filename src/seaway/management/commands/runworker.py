"""``manage.py runworker CHANNEL ...``: consumers that take their messages from channels.

What lives here: the command. What must not: the work (`seaway.worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from seaway.consumers.work import settle
from seaway.layers import get_channel_layer
from seaway.routing import get_default_application
from seaway.worker import Worker

#: Seconds that handlers get to finish after SIGTERM or Ctrl-C.
SETTLE_SECONDS = 10.0


class Command(BaseCommand):
    help = "Run the consumers of the named channels."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("channels", nargs="+", help="channel names")
        parser.add_argument("--layer", default="default", help="alias of the channel layer")

    def handle(self, *args: Any, **options: Any) -> None:
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError(f"There is no channel layer {options['layer']!r}.")
        application = get_default_application()
        application = getattr(application, "application_mapping", {}).get("channel", application)
        worker = Worker(application, options["channels"], layer)
        self.stdout.write(f"Working on {', '.join(options['channels'])}")
        asyncio.run(_until_stopped(worker))


async def _until_stopped(worker: Worker) -> None:
    task = asyncio.get_running_loop().create_task(worker.serve())
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    finally:
        await settle(SETTLE_SECONDS)
