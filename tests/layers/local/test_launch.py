"""Starting the broker: once, by whoever comes first, over whatever an earlier one left behind."""

import asyncio
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.local import launch
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.launch import ensure_broker, listens
from seaway.layers.local.place import Place, find_place
from seaway.layers.local.seat import Seat
from seaway.testing.layer_contract import Recorder, eventually, started
from tests.layers.local.support import SOURCE, broker_lives, broker_pid, kill_broker, local_layer


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return find_place("launch", tmp_path)


async def ended(place: Place) -> None:
    async def lives() -> bool:
        return broker_lives(place)

    await eventually(lives, lambda alive: not alive)


async def test_a_broker_listens_where_only_we_can_reach_it(place: Place) -> None:
    ensure_broker(place, timeout=30, linger=2.0)
    assert listens(place.socket)
    assert stat.S_IMODE(place.socket.stat().st_mode) == 0o600
    await ended(place)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_it_is_nobodys_child_and_leads_no_terminal(place: Place) -> None:
    ensure_broker(place, timeout=30, linger=5.0)
    pid = broker_pid(place)
    assert os.getsid(pid) != os.getsid(0)
    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    assert parent != str(os.getpid())


async def test_it_quits_by_itself_and_removes_its_socket(place: Place) -> None:
    ensure_broker(place, timeout=30, linger=0.1)
    await ended(place)
    assert not place.socket.exists()
    assert "ended" in place.log.read_text()


async def test_it_stays_as_long_as_somebody_is_connected(place: Place) -> None:
    here = await started(local_layer(place))
    pid = broker_pid(place)
    position = await here.layer.publish("topic", b"x")
    other = await started(local_layer(place))
    await here.layer.close()
    await asyncio.sleep(0.8)  # more than its patience: it must not have run out
    assert await other.layer.position("topic") == position
    assert broker_pid(place) == pid
    await other.layer.close()
    await ended(place)


async def test_processes_that_start_at_once_end_with_one_broker(place: Place) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from seaway.layers.local.launch import ensure_broker\n"
        "from seaway.layers.local.place import Place, lock_of\n"
        "place = Place(Path(sys.argv[1])); sys.stdin.readline()\n"
        "ensure_broker(place, timeout=30, linger=2); print(place.socket.exists())\n"
    )
    starters = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(place.directory),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        for _ in range(6)
    ]  # fmt: skip
    results = await asyncio.gather(*(starter.communicate(b"go\n") for starter in starters))
    assert [out for out, _ in results] == [b"True\n"] * 6
    assert place.log.read_text().count("listening") == 1
    kill_broker(place)


async def test_a_socket_without_a_broker_is_replaced(place: Place) -> None:
    place.prepare()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place.socket))
    assert not listens(place.socket)
    here = await started(local_layer(place))
    assert (await here.layer.publish("topic", b"x")).offset == 1
    await here.layer.close()


async def test_there_is_no_second_broker_while_one_lives(place: Place) -> None:
    here = await started(local_layer(place))
    pid = broker_pid(place)
    with pytest.raises(LayerUnavailable, match="Another broker is already running"):
        Seat(place.socket).take(patience=0.05)
    assert broker_pid(place) == pid
    assert (await here.layer.publish("topic", b"x")).offset == 1
    await here.layer.close()


async def test_all_meet_anew_when_the_files_are_removed_under_a_living_broker(
    place: Place,
) -> None:
    here = await started(local_layer(place))
    await here.layer.watch("topic")
    shutil.rmtree(place.directory)
    there = await started(local_layer(place))
    await here.heard.until(lambda: len(here.heard.restorations) == 1)
    await there.layer.publish("topic", b"x")
    await here.heard.until(lambda: here.heard.data("topic") == [b"x"])
    await here.layer.close()
    await there.layer.close()


async def test_a_broker_that_cannot_start_says_why(place: Place) -> None:
    place.prepare()
    place.socket.mkdir()  # nothing can listen there
    layer = LocalLayer(place)
    with pytest.raises(LayerUnavailable, match=r"did not start: .*directory.*\.log"):
        await layer.start(Recorder())
    await layer.close()


async def test_a_missing_interpreter_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    monkeypatch.setattr(sys, "prefix", "/not/there")
    with pytest.raises(LayerUnavailable, match="/not/there/bin/python3 cannot be run"):
        ensure_broker(place, timeout=30)


async def test_a_place_that_cannot_be_trusted_is_told_at_the_start(place: Place) -> None:
    place.prepare()
    place.directory.chmod(0o777)
    with pytest.raises(ConfigurationError, match="open to other users"):
        await LocalLayer(place).start(Recorder())


async def test_a_large_log_is_begun_anew(place: Place) -> None:
    place.prepare()
    place.log.write_bytes(b"x" * (launch.LOG_BYTES + 1))
    ensure_broker(place, timeout=30, linger=0.1)
    assert place.log.stat().st_size < 10_000
    await ended(place)
