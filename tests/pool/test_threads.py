"""The threads themselves: how many there are, who leaves, and how they end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from seaway.pool.mailbox import Mailbox, mailbox
from seaway.pool.threads import Hold, Threads
from tests.server.harness import wait_until

PATIENCE = 30.0


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(2, 1, "test", lambda: None)
    yield made
    made.close(PATIENCE)


def _has(found: list[threading.Thread], number: int) -> bool:
    return len(found) == number


class Work:
    """A job that holds its thread until it is let go."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._let_go = threading.Event()
        self.begun = threading.Event()
        self.hold: Hold
        threads.submit(self)

    def __call__(self) -> None:
        self.hold = self._threads.hold()
        self.begun.set()
        self._let_go.wait(PATIENCE)

    def let_go(self) -> None:
        self._let_go.set()


def test_threads_start_when_there_is_work_and_persist(threads: Threads) -> None:
    assert threads.present == 0
    seen: list[threading.Thread] = []
    for number in range(1, 5):
        threads.submit(lambda: seen.append(threading.current_thread()))
        wait_until(partial(_has, seen, number))
    assert len(set(seen)) <= 2
    assert threads.present <= 2


def test_a_thread_that_leaves_is_replaced_and_its_own_end_is_its_threads_end(
    threads: Threads,
) -> None:
    first, second = Work(threads), Work(threads)
    assert first.begun.wait(PATIENCE)
    assert second.begun.wait(PATIENCE)
    third = Work(threads)
    assert first.hold.leave()
    assert first.hold.leave()
    assert third.begun.wait(PATIENCE)
    assert (threads.present, threads.away) == (2, 1)
    assert not second.hold.leave()
    first.let_go()
    wait_until(lambda: threads.away == 0)
    assert second.hold.leave()
    for work in (second, third):
        work.let_go()
    wait_until(lambda: threads.away == 0)


def test_one_that_left_in_vain_comes_back(threads: Threads) -> None:
    work = Work(threads)
    assert work.begun.wait(PATIENCE)
    assert work.hold.leave()
    assert threads.present == 0
    work.let_go()
    wait_until(lambda: (threads.present, threads.away) == (1, 0))


def test_leaving_after_the_end_means_nothing(threads: Threads) -> None:
    work = Work(threads)
    assert work.begun.wait(PATIENCE)
    work.let_go()
    done = threading.Event()
    threads.submit(done.set)
    threads.submit(done.set)
    assert done.wait(PATIENCE)
    wait_until(lambda: work.hold._ended)
    assert work.hold.leave()
    assert threads.away == 0


def test_a_job_that_fails_is_logged_and_harms_nobody(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    with caplog.at_level(logging.ERROR):
        threads.submit(lambda: 1 // 0)
        threads.submit(done.set)
        assert done.wait(PATIENCE)
        wait_until(lambda: "has failed" in caplog.text)


def test_closing_lets_everything_end_first() -> None:
    exits: list[str] = []
    threads = Threads(2, 0, "closing", lambda: exits.append(threading.current_thread().name))
    done: list[int] = []
    for number in range(20):
        threads.submit(partial(done.append, number))
    threads.close(PATIENCE)
    assert sorted(done) == list(range(20))
    assert len(exits) in (1, 2)


async def test_a_mailbox_keeps_the_order_and_wakes_the_loop_once_per_batch() -> None:
    box = mailbox()
    assert mailbox() is box
    wakes: list[int] = []
    heard: list[int] = []

    class Loop:
        def call_soon_threadsafe(self, callback: object) -> None:
            wakes.append(1)
            asyncio.get_running_loop().call_soon(callback)  # type: ignore[arg-type]

    counted = Mailbox(Loop())  # type: ignore[arg-type]
    for number in range(5):
        counted.post(heard.append, number)
    await asyncio.sleep(0)
    assert heard == [0, 1, 2, 3, 4]
    assert wakes == [1]
    counted.post(heard.append, 5)
    await asyncio.sleep(0)
    assert heard[-1] == 5
    assert wakes == [1, 1]


async def test_a_mailbox_hands_jobs_over_together_and_in_order() -> None:
    box = mailbox()
    given: list[str] = []

    def job(name: str) -> partial[None]:
        return partial(given.append, name)

    box.hand(job("first"), lambda do: do())
    asyncio.get_running_loop().call_soon(given.append, "a callback of the next turn")
    box.hand(job("second"), lambda do: do())
    assert not given
    await asyncio.sleep(0)
    assert given == ["first", "second", "a callback of the next turn"]
    box.hand(job("third"), lambda do: do())
    await asyncio.sleep(0)
    assert given[3:] == ["third"]


async def test_a_call_that_fails_keeps_no_other_from_being_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[int] = []
    box = mailbox()
    box.post(lambda: 1 // 0)
    box.post(heard.append, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard == [1]
    assert "has failed" in caplog.text


def test_a_mailbox_of_a_closed_loop_takes_letters_for_nobody() -> None:
    loop = asyncio.new_event_loop()
    box = Mailbox(loop)
    loop.close()
    box.post(print)


def test_a_mailbox_of_a_closed_loop_hands_jobs_over_at_once() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    given: list[str] = []
    Mailbox(loop).hand(partial(given.append, "job"), lambda do: do())
    assert given == ["job"]
