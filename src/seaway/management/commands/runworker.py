"""``manage.py runworker``: work on channels until told to stop.

Handlers of `seaway.channels` and tasks; or, named one by one, channels of a `ChannelNameRouter`.
"""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from seaway.channels.handlers import Handler, handlers
from seaway.exceptions import SeawayError
from seaway.layers import get_channel_layer
from seaway.layers.base import Layer
from seaway.routing import get_default_application
from seaway.tasks.sources import task_sources
from seaway.worker import Worker as ChannelWorker
from seaway.workers.runner import Runner
from seaway.workers.start_block import Work, start_block
from seaway.workers.worker import Worker


class Command(BaseCommand):
    help = "Runs the handlers of channels, and the tasks of Seaway's task backends."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "channels", nargs="*", help="channels or task queues to work on; all by default"
        )
        parser.add_argument(
            "--layer", default="default", help="alias of the consumers' channel layer (default)"
        )
        parser.add_argument(
            "--concurrency", type=int, help="messages of each channel at a time, in this process"
        )
        parser.add_argument(
            "--grace", type=float, default=30.0, help="seconds to end what is running (30)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        routed = _routed(options["channels"])
        if routed is not None:
            self._serve_consumers(routed, options)
            return
        try:
            work = _chosen(options["channels"])
        except ImproperlyConfigured as error:  # of TASKS
            raise CommandError(str(error)) from error
        concurrency = options["concurrency"]
        if concurrency is not None and concurrency < 1:
            raise CommandError("--concurrency has to be at least 1.")
        if not options["grace"] >= 0:
            raise CommandError("--grace has to be at least 0.")

        def make(layer: Layer) -> Sequence[Runner]:
            return [
                Runner(layer, handler, concurrency=concurrency, channels=channels)
                for handler, channels in work
            ]

        worker = Worker(make, grace=options["grace"], say=self._say)
        try:
            _run(worker)
        except SeawayError as error:
            raise CommandError(str(error)) from error

    def _serve_consumers(self, application: Any, options: dict[str, Any]) -> None:
        layer = get_channel_layer(options["layer"])
        if layer is None:
            raise CommandError(f"There is no channel layer {options['layer']!r}.")
        consumers = ChannelWorker(application, options["channels"], layer)

        def ready() -> None:
            where = f"{type(layer).__name__}, {options['layer']!r} of the channel layers"
            mapping = application.application_mapping
            work = [Work("channel", name, _named(mapping[name])) for name in options["channels"]]
            self._say(start_block(where, work, options["grace"]))

        asyncio.run(consumers.serve_until_stopped(options["grace"], ready))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _routed(names: Sequence[str]) -> Any:
    """The router that has consumers for all of these channels; None if it has none for any."""
    try:
        application = get_default_application()
    except ImproperlyConfigured:
        return None
    router = getattr(application, "application_mapping", {}).get("channel")
    routed = getattr(router, "application_mapping", {})
    missing = [name for name in names if name not in routed]
    if not names or len(missing) == len(names):
        return None
    if missing:
        raise CommandError(
            f"{missing[0]!r} has no consumer, others have: run handlers and consumers in a worker "
            "each."
        )
    return router


def _named(application: Any) -> str:
    """A consumer's dotted path, or that of whatever else a router leads to."""
    consumer = getattr(application, "consumer_class", application)
    name = getattr(consumer, "__qualname__", None) or type(consumer).__qualname__
    return f"{consumer.__module__}.{name}"


def _chosen(names: Sequence[str]) -> list[tuple[Handler, Any]]:
    # A task queue may have the name of a channel: whoever names it means both.
    known: dict[str, list[tuple[Handler, Any]]] = {}
    for handler in handlers:
        known.setdefault(handler.channel.name, []).append((handler, ()))
    for queue, source in task_sources().items():
        known.setdefault(queue, []).append(source)
    if not known:
        raise CommandError(
            "There is nothing to work on: no app has a channels.py with a handler, and TASKS names "
            "no backend of Seaway's."
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(f"Nothing handles {unknown[0]!r}. Known: {', '.join(sorted(known))}.")
    return [work for name in dict.fromkeys(names or known) for work in known[name]]


def _run(worker: Worker) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(worker.run())
    else:
        uvloop.run(worker.run())
