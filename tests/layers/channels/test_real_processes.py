"""Several real processes over the local engine, a broker that is killed, and forks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import seaway
from seaway.exceptions import LayerUnavailable
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.home import LayerHome
from seaway.layers.local.place import Place, find_place
from tests.layers.local.support import kill_broker, local_layer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="local:// needs Unix sockets")

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{Path(seaway.__file__).parents[1]}:{ROOT}"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return find_place("channels", tmp_path)


class Other:
    """Another process."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def do(self, *command: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))


Start = Callable[[], Awaitable[Other]]


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Start]:
    started: list[Process] = []

    async def start() -> Other:
        module = "tests.layers.channels.process"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, str(place.directory),
            stdin=PIPE, stdout=PIPE, env=ENVIRONMENT, cwd=ROOT,
        )  # fmt: skip
        started.append(process)
        return Other(process)

    yield start
    for process in started:
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    for process in started:
        await asyncio.wait_for(process.wait(), 30)


@pytest.fixture
async def layer(place: Place) -> AsyncIterator[ChannelLayer]:
    """This process's own."""
    home = LayerHome(lambda: local_layer(place))
    await home.adopt()
    layer = ChannelLayer(lambda: home)
    yield layer
    await layer.close()
    await home.release()


async def test_groups_and_channels_across_real_processes(layer: ChannelLayer, start: Start) -> None:
    one, two = await start(), await start()
    channels = await one.do("join", "group", 5)
    channels += await two.do("join", "group", 3)
    assert await layer.group_count("group") == 8
    assert await layer.group_channels("group") == sorted(channels)
    for number in range(200):
        await layer.group_send("group", {"n": number})
    for other, members in ((one, 5), (two, 3)):
        assert await other.do("received", 200) == [list(range(200))] * members
    await layer.send(channels[0], {"n": "for the first alone"})
    await layer.send("plain", {"n": 1})
    assert await two.do("receive", "plain") == {"n": 1}
    for other in (one, two):
        statistics = await other.do("statistics")
        assert (statistics["missed"], statistics["dropped_full"]) == (0, 0)


async def test_a_killed_process_leaves_the_others_alone(layer: ChannelLayer, start: Start) -> None:
    one, two = await start(), await start()
    await one.do("join", "group", 5)
    await two.do("join", "group", 3)
    layer._home().layer.timeout = 1.0
    one.process.kill()
    await one.process.wait()
    assert await layer.group_count("group") == 3
    await layer.group_send("group", {"n": 1})
    assert await two.do("received", 1) == [[1]] * 3


async def test_a_killed_broker_loses_nothing_in_silence(
    layer: ChannelLayer, start: Start, place: Place
) -> None:
    other = await start()
    await other.do("join", "group", 2)
    await layer.group_send("group", {"n": 0})
    assert await other.do("received", 1) == [[0], [0]]
    kill_broker(place)
    sent = [0]
    for number in range(1, 100):
        try:
            await layer.group_send("group", {"n": number})
        except LayerUnavailable:
            continue  # whether it was sent is not known, and the sender knows that
        sent.append(number)
    got = (await other.do("received", len(sent) + 1))[0]
    # The old broker's history is gone, and nobody knows what it had. The new one's is all there.
    assert got[:2] == [0, "gap"]
    assert [number for number in got if number in sent] == sent
    assert (await other.do("statistics"))["gaps"] >= 1


async def test_what_was_missed_while_frozen_comes_afterwards(
    layer: ChannelLayer, start: Start
) -> None:
    other = await start()
    await other.do("join", "group", 2)
    other.process.send_signal(signal.SIGSTOP)
    for number in range(50):
        await layer.group_send("group", {"n": number})
    other.process.send_signal(signal.SIGCONT)
    assert await other.do("received", 50) == [list(range(50))] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_another_process(place: Place) -> None:
    code = """
import asyncio, os, sys
from pathlib import Path
from asgiref.sync import async_to_sync
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.home import LayerHome
from tests.layers.channels.process import make

home = LayerHome(make)
layer = ChannelLayer(lambda: home)
call = lambda name, *arguments: asyncio.run(getattr(layer, name)(*arguments))
parents = call("new_channel")
call("group_add", "group", parents)
child = os.fork()
if child == 0:
    own = call("new_channel")
    call("group_add", "group", own)
    call("group_send", "group", {"from": "child"})
    call("send", parents, {"from": "child, to the parent"})
    ok = call("receive", own) == {"from": "child"} and call("group_count", "group") == 2
    try:
        call("receive", parents)
    except AssertionError:
        os.write(1, b"ok\\n" if ok else b"wrong\\n")
    home.close()
    os._exit(0)
os.waitpid(child, 0)
print(call("receive", parents), call("receive", parents))
"""
    done = subprocess.run(
        [sys.executable, "-Wd", "-Wignore:This process:DeprecationWarning", "-c", code,
         str(place.directory)],
        capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    answer = "ok\n{'from': 'child'} {'from': 'child, to the parent'}\n"
    assert (done.stdout, done.stderr) == (answer, "")
