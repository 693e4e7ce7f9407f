"""What takes longer than a page may: done by ``manage.py runworker``, told on the task's topic.

``task`` is Django 6's, or that of django-tasks on Django 5.2.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.utils import timezone

from seats.models import Event, Seat
from seaway.tasks.framework import task
from seaway.tasks.progress import report_progress


@task
def reprint_all(event_id: int) -> int:
    """Print the ticket of every seat; how many there were. Run twice, it prints the same again."""
    event = Event.objects.get(pk=event_id)
    seats = list(event.seats.with_owner())
    with Printer(Path(settings.SEATMAP_PRINTER)) as printer:
        for number, seat in enumerate(seats, start=1):
            printer.print(ticket(event, seat))
            report_progress(number, len(seats), note=str(seat))
    return len(seats)


def ticket(event: Event, seat: Seat) -> str:
    """What is on one ticket."""
    starts = timezone.localtime(event.starts)
    price = f"€ {seat.price / 100:.2f}"
    state = seat.as_event()["state"]
    return f"{event.venue} | {event} | {starts:%d %b %Y %H:%M} | {seat} | {price} | {state}"


class Printer:
    """A slow device. The file has all tickets of the last run that came to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = path.with_name(f"{path.name}.{time.monotonic_ns()}")

    def __enter__(self) -> Printer:
        self.paper = self.unfinished.open("w", encoding="utf-8")
        return self

    def print(self, text: str) -> None:
        time.sleep(settings.SEATMAP_PRINT_SECONDS)
        self.paper.write(f"{text}\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.paper.close()
        if error is None:
            self.unfinished.replace(self.path)
        else:
            self.unfinished.unlink()
