"""Tasks that the tests enqueue."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

from seaway.tasks.framework import TaskContext, task
from seaway.tasks.progress import areport_progress, report_progress

#: What ran, in order, for the tests to look at.
seen: list[Any] = []


@task
def add(a: int, b: int) -> int:
    seen.append(("add", threading.current_thread().name))
    return a + b


@task
async def aadd(a: int, b: int) -> int:
    return a + b


@task
def note(text: str) -> None:
    seen.append(text)


@task
def fail(times: int) -> str:
    seen.append("fail")
    if seen.count("fail") <= times:
        raise ValueError("not yet")
    return "at last"


@task
def spoil() -> object:
    return object()


@task(takes_context=True)
def attempt(context: TaskContext) -> int:
    return context.attempt


@task
def print_all(count: int) -> None:
    for number in range(1, count + 1):
        report_progress(number, count, note=f"ticket {number}")


@task
async def aprint_all(count: int) -> None:
    for number in range(1, count + 1):
        await areport_progress(number, count)


@task
def forever() -> None:
    while True:
        threading.Event().wait(0.001)


@task
def linger(place: str) -> str:
    """Says who runs it, and goes on until it may end."""
    folder = Path(place)
    (folder / "begun").write_text(str(os.getpid()))
    while not (folder / "go").exists():
        time.sleep(0.01)
    return "at last"


@task
async def aforever() -> None:
    await asyncio.Event().wait()


@task
def linger_each(place: str) -> str:
    """As `linger`, until this worker may end; says which one it was."""
    folder, mine = Path(place), str(os.getpid())
    (folder / f"begun-{mine}").touch()
    while not (folder / f"go-{mine}").exists():
        time.sleep(0.01)
    return mine


@task
def repeat(text: str, times: int) -> str:
    return text * times


@task
def fail_at_length(text: str, times: int) -> None:
    raise ValueError(text * times)


WAYS: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "cancel": asyncio.CancelledError(),
}


@task
def leave(how: str) -> None:
    raise WAYS[how]


@task
async def aleave(how: str) -> None:
    raise WAYS[how]


@task
async def time_out() -> None:
    raise TimeoutError("its own")


@task
def nap(seconds: float) -> None:
    time.sleep(seconds)


def no_task() -> None:
    """What was a task before."""


@task
def raise_surrogate() -> None:
    raise ValueError("bad \udcff")


#: What `wait_for_it` waits for, by name.
WAITED_FOR: dict[str, asyncio.Event] = {}


@task
async def wait_for_it(name: str) -> None:
    await WAITED_FOR[name].wait()
