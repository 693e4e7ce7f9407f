"""Who owns the layer of a process, and how every thread and every loop reaches it."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import seaway
from seaway.exceptions import LayerUnavailable, SyncCallInLoop
from seaway.layers.base import Layer, Position, Receiver
from seaway.layers.home import LayerHome
from seaway.layers.local.place import find_place
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.store import Store
from seaway.testing.layer_contract import PATIENCE

SOURCE = Path(seaway.__file__).parent.parent


class Watched(MemoryLayer):
    """A memory layer that knows on which thread and loop it lives, and what became of it."""

    made: list["Watched"] = []
    broken = False

    async def start(self, receiver: Receiver) -> None:
        if self.broken:
            raise LayerUnavailable("No engine today.")
        self.made.append(self)
        self.loop = asyncio.get_running_loop()
        self.thread = threading.current_thread()
        self.closed = False
        await super().start(receiver)

    async def close(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.closed = True
        await super().close()


@pytest.fixture
def home() -> Iterator[LayerHome]:
    Watched.made = []
    Watched.broken = False
    store: Store[MemoryLayer] = Store()
    home = LayerHome(lambda: Watched(store))
    yield home
    home.close()
    assert all(layer.closed for layer in Watched.made)


async def publish(layer: Layer) -> Position:
    return await layer.publish("topic", b"x")


async def where(layer: Layer) -> tuple[threading.Thread, asyncio.AbstractEventLoop]:
    return threading.current_thread(), asyncio.get_running_loop()


async def for_ever(layer: Layer) -> None:
    await asyncio.Event().wait()


def in_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(PATIENCE)


# Without a server --------------------------------------------------------------------------------


def test_a_synchronous_call_starts_one_background_loop(home: LayerHome) -> None:
    assert Watched.made == []
    assert home.run(publish).offset == 1
    assert home.run(publish).offset == 2
    thread, _ = home.run(where)
    assert thread is Watched.made[0].thread
    assert thread.daemon
    assert len(Watched.made) == 1


def test_threads_that_come_first_together_share_one_layer(home: LayerHome) -> None:
    barrier = threading.Barrier(8)

    def work(_: int) -> int:
        barrier.wait()
        return home.run(publish).offset

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(1, 9))
    assert len(Watched.made) == 1


async def test_a_synchronous_call_amid_a_running_loop_names_the_other_way(home: LayerHome) -> None:
    with pytest.raises(SyncCallInLoop, match="a-prefixed twin"):
        home.run(publish)
    assert Watched.made == []


def test_an_error_of_the_operation_reaches_the_caller(home: LayerHome) -> None:
    async def fail(layer: Layer) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        home.run(fail)
    assert home.run(publish).offset == 1


async def test_any_loop_is_handed_over_to_the_background(home: LayerHome) -> None:
    thread, loop = await home.arun(where)
    assert thread is not threading.current_thread()
    assert loop is not asyncio.get_running_loop()
    assert await home.arun(publish) == await home.arun(lambda layer: layer.position("topic"))


def test_several_loops_in_turn_use_the_same_layer(home: LayerHome) -> None:
    offsets = [asyncio.run(home.arun(publish)).offset for _ in range(3)]
    assert offsets == [1, 2, 3]
    assert len(Watched.made) == 1


def test_a_layer_that_cannot_start_says_so_and_may_start_later(home: LayerHome) -> None:
    Watched.broken = True
    with pytest.raises(LayerUnavailable, match="No engine today"):
        home.run(publish)
    Watched.broken = False
    assert home.run(publish).offset == 1


def test_after_close_the_next_use_starts_anew(home: LayerHome) -> None:
    home.run(publish)
    home.close()
    assert Watched.made[0].closed
    assert not Watched.made[0].thread.is_alive()
    assert home.run(publish).offset == 2
    assert len(Watched.made) == 2


def test_an_operation_that_closing_interrupts_is_told(home: LayerHome) -> None:
    begun = threading.Event()

    async def begin_and_wait(layer: Layer) -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(home.run, begin_and_wait)
        assert begun.wait(PATIENCE)
        home.close()
        with pytest.raises(LayerUnavailable, match="closed meanwhile"):
            waiting.result(PATIENCE)


async def test_the_same_from_another_loop(home: LayerHome) -> None:
    await home.arun(publish)
    waiting = asyncio.create_task(home.arun(for_ever))
    await asyncio.sleep(0)
    await asyncio.to_thread(home.close)
    with pytest.raises(LayerUnavailable, match="closed meanwhile"):
        await asyncio.wait_for(waiting, PATIENCE)


async def test_cancelling_the_caller_cancels_the_operation(home: LayerHome) -> None:
    cancelled, begun = threading.Event(), threading.Event()

    async def begin_and_wait(layer: Layer) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(home.arun(begin_and_wait))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(cancelled.wait, PATIENCE)


def test_without_an_owner_there_is_no_hub(home: LayerHome) -> None:
    with pytest.raises(LayerUnavailable, match="adopted"):
        _ = home.hub
    with pytest.raises(LayerUnavailable, match="adopted"):
        _ = home.layer


# In a server -------------------------------------------------------------------------------------


async def test_the_loop_that_adopts_is_the_home(home: LayerHome) -> None:
    hub = await home.adopt()
    assert hub is home.hub
    assert hub.layer is home.layer is Watched.made[0]
    assert await home.arun(where) == (threading.current_thread(), asyncio.get_running_loop())
    assert await home.adopt() is hub
    await home.release()
    assert Watched.made[0].closed
    with pytest.raises(LayerUnavailable):
        _ = home.hub


async def test_threads_of_a_server_are_handed_over_to_its_loop(home: LayerHome) -> None:
    await home.adopt()
    _, loop = await asyncio.to_thread(home.run, where)
    assert loop is asyncio.get_running_loop()
    await home.release()


async def test_other_loops_in_a_server_are_handed_over_to_its_loop(home: LayerHome) -> None:
    await home.adopt()
    _, loop = await asyncio.to_thread(lambda: asyncio.run(home.arun(where)))
    assert loop is asyncio.get_running_loop()
    await home.release()


async def test_adopting_closes_the_background_loop_first(home: LayerHome) -> None:
    await asyncio.to_thread(home.run, publish)
    background = Watched.made[0]
    await home.adopt()
    assert background.closed
    assert not background.thread.is_alive()
    assert home.layer is Watched.made[1]
    assert (await home.arun(publish)).offset == 2
    await home.release()


async def test_who_asked_is_told_when_the_layer_leaves_its_loop(home: LayerHome) -> None:
    told: list[str] = []

    async def ask(layer: Layer) -> None:
        for name in ("twice", "twice", "forgotten"):
            home.when_it_leaves({"twice": twice, "forgotten": forgotten}[name])
        home.forget_leaving(forgotten)
        home.forget_leaving(forgotten)

    def twice() -> None:
        told.append(f"closed: {Watched.made[0].closed}")

    def forgotten() -> None:
        told.append("forgotten")

    await asyncio.to_thread(home.run, ask)
    with pytest.raises(LayerUnavailable, match="has left this event loop"):
        home.when_it_leaves(twice)
    await home.adopt()
    assert told == ["closed: False"]
    await home.release()
    assert told == ["closed: False"]


async def test_a_failed_adoption_leaves_nobody_as_the_owner(home: LayerHome) -> None:
    Watched.broken = True
    with pytest.raises(LayerUnavailable, match="No engine today"):
        await home.adopt()
    Watched.broken = False
    await home.adopt()
    await home.release()


async def test_a_second_server_loop_is_refused(home: LayerHome) -> None:
    await home.adopt()
    with pytest.raises(RuntimeError, match="Another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(adopt(home)))
    assert (await home.arun(publish)).offset == 1
    await home.release()


async def adopt(home: LayerHome) -> None:
    await home.adopt()


async def test_only_the_owner_releases(home: LayerHome) -> None:
    await home.adopt()
    await asyncio.to_thread(lambda: asyncio.run(home.release()))
    assert not Watched.made[0].closed
    await home.release()
    await home.release()


def test_after_release_the_background_takes_over(home: LayerHome) -> None:
    async def serve() -> None:
        await home.adopt()
        await home.release()

    asyncio.run(serve())
    assert home.run(publish).offset == 1


def test_a_loop_that_ended_without_releasing_is_no_owner(home: LayerHome) -> None:
    asyncio.run(adopt(home))
    assert home.run(publish).offset == 1
    Watched.made[0].closed = True  # it never was: nobody could any more


def test_an_owner_that_stands_still_is_named_instead_of_waited_for(home: LayerHome) -> None:
    with asyncio.Runner() as runner:
        runner.run(adopt(home))
        with pytest.raises(LayerUnavailable, match="is not running"):
            in_thread(lambda: home.run(publish))
        runner.run(release(home))


async def release(home: LayerHome) -> None:
    await home.release()


# Forks and ends ----------------------------------------------------------------------------------


def python(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a script against the local engine in a process of its own, warnings shown."""
    return subprocess.run(
        [sys.executable, *WARNINGS, "-c", PRELUDE + script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )


#: All, but for Python 3.12's that a process with threads forks: that is what is tested here.
WARNINGS = ["-Wd", "-Wignore:This process:DeprecationWarning"]
PRELUDE = """
import asyncio, os, signal, sys, time
from pathlib import Path
from seaway.layers.home import LayerHome
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import Place
def make():
    layer = LocalLayer(Place(Path(sys.argv[1])), linger=0.5)
    layer.lease, layer.timeout = 3600, 30
    return layer
home = LayerHome(make)
def publish():
    return home.run(lambda layer: layer.publish("topic", b"x")).offset
def members():
    return sorted(home.run(lambda layer: layer.members("topic")))
def enter(name):
    home.run(lambda layer: layer.enter("topic", name, b""))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return find_place("home", tmp_path).directory


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_forked_child_starts_afresh_and_its_parent_goes_on(directory: Path) -> None:
    done = python(
        """
first = publish()
child = os.fork()
if child == 0:
    status = 0 if publish() == 2 else 1
    home.close()
    os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(first, publish())
""",
        directory,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 3\n", "")


@needs_fork
def test_a_child_does_not_keep_its_parents_members_present(directory: Path) -> None:
    done = python(
        """
middle = os.fork()
if middle == 0:
    enter("ann")
    if os.fork() == 0:
        os.close(1); os.close(2)
        for _ in range(1200):  # outlives its parent, whose connection it has inherited
            if Path(sys.argv[1], "done").exists():
                break
            time.sleep(0.1)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
enter("bob")
os.waitpid(middle, 0)
while members() != ["bob"]:
    time.sleep(0.02)
print(members())
Path(sys.argv[1], "done").touch()
""",
        directory,
    )
    assert (done.returncode, done.stdout) == (0, "['bob']\n")


def test_a_process_ends_without_a_word(directory: Path) -> None:
    done = python("publish(); enter('ann'); print('end')", directory)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_process_whose_broker_is_gone_ends_as_well(directory: Path) -> None:
    done = python(
        """
from seaway.layers.local.place import lock_of
publish()
os.kill(int(lock_of(Place(Path(sys.argv[1])).socket).read_text()), signal.SIGKILL)
""",
        directory,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
