"""The outbox when something fails: a full engine, a wrong password, a relay that stood still."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outbox.project import PRELUDE, Project
from tests.servers.valkey import Valkey
from tests.waiting import wait_for

PUBLISH = """
for topic in ("orders", "stock"):
    with transaction.atomic():
        TopicAddress(topic, History(size=10, seconds=3600)).publish("first")
        TopicAddress(topic, History(size=10, seconds=3600)).publish("second")
"""
KEYS = ("seaway:{t.orders}.ids0", "seaway:{t.orders}.ids1")
COUNT = """
from seaway.outbox.models import OutboxEvent
print(OutboxEvent.objects.count(), OutboxEvent.objects.exclude(refused="").count())
"""


def made(tmp_path: Path, layer: str) -> Project:
    options = {"timeout": 30, "transaction_mode": "IMMEDIATE"}
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "shop.sqlite3"),
        "OPTIONS": options,
    }
    return Project({"default": database}, {"LAYER": layer, "OUTBOX": ["default"]})


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "v", "--requirepass", "secret", password="secret").start()
    yield server
    server.kill()


def relay(project: Project) -> tuple[int, str]:
    """``relayoutbox --once``: its status and what it said."""
    process = project.start([sys.executable, "-m", "django", "relayoutbox", "--once"])
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, out + err


def test_events_wait_while_the_engine_is_full_and_none_is_refused_for_good(
    tmp_path: Path, valkey: Valkey
) -> None:
    project = made(tmp_path, f"redis://:secret@127.0.0.1:{valkey.port}")
    project.manage("migrate")
    project.run(PUBLISH)
    valkey.ask("CONFIG", "SET", "maxmemory", 1)
    status, said = relay(project)
    assert status == 1
    assert "0 published, 4 of 'default' wait" in said
    assert "is full" in said
    assert project.run(COUNT) == ["4 0"]
    valkey.ask("CONFIG", "SET", "maxmemory", 0)
    assert relay(project) == (0, "4 published\n")
    assert project.run(COUNT) == ["0 0"]


def test_a_topic_that_is_held_up_holds_up_no_other(tmp_path: Path, valkey: Valkey) -> None:
    project = made(tmp_path, f"redis://:secret@127.0.0.1:{valkey.port}")
    project.manage("migrate")
    project.run(PUBLISH)
    # Keys of somebody else's where something of the topic's is to be.
    for key in KEYS:
        valkey.ask("SET", key, "something else")
    status, said = relay(project)
    assert status == 1
    assert "2 published, 2 of 'default' wait" in said
    assert "(topic orders)" in said
    valkey.ask("DEL", *KEYS)
    assert relay(project) == (0, "2 published\n")


def test_a_wrong_password_is_said_and_cured_without_a_restart(
    tmp_path: Path, valkey: Valkey
) -> None:
    project = made(tmp_path, f"redis://:wrong@127.0.0.1:{valkey.port}")
    project.manage("migrate")
    project.run(PUBLISH)
    status, said = relay(project)
    assert status == 1
    assert "refuses the user name or password" in said
    process = project.start([sys.executable, "-m", "django", "relayoutbox"])
    try:
        assert process.stderr is not None
        assert "refuses the user name or password" in process.stderr.readline()
        valkey.ask("CONFIG", "SET", "requirepass", "wrong")
        valkey.password = "wrong"
        wait_for(lambda: project.run(COUNT) == ["0 0"], "the outbox to be empty")
    finally:
        process.terminate()
    project.end(process)


def test_a_database_without_the_tables_is_told_what_it_needs(tmp_path: Path) -> None:
    status, said = relay(made(tmp_path, f"local://{tmp_path}/run"))
    assert status == 1
    assert "manage.py migrate" in said


def test_the_turn_of_another_one_is_said(tmp_path: Path) -> None:
    project = made(tmp_path, f"local://{tmp_path}/run")
    project.manage("migrate")
    project.run(PUBLISH + 'from seaway.outbox.relay import Relay\nRelay("default")._hold()')
    status, said = relay(project)
    assert status == 1
    assert "Another process relays" in said
    assert "4 left" in said


async def test_a_relay_that_stood_still_beyond_its_turn_publishes_no_more(tmp_path: Path) -> None:
    project = made(tmp_path, f"local://{tmp_path}/run")
    project.manage("migrate")
    project.run("with transaction.atomic():\n    for n in range(5): orders.publish(f'e{n}')")
    code = """
import contextlib, threading
from seaway.exceptions import LayerUnavailable
from seaway.layers.local.client import LocalLayer
from seaway.outbox import relay
relay.TURN_SECONDS = 3.0
publish, calls = LocalLayer.publish, []
async def stopped(self, *args, **kwargs):
    calls.append(args)
    if len(calls) == 2:
        # To this thread: by the way of another one it would come some events later.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    return await publish(self, *args, **kwargs)
LocalLayer.publish = stopped
with contextlib.suppress(LayerUnavailable):  # it was away for longer than an answer may take
    relay.Relay("default").drain()
print(len(calls))
"""
    one = project.start([sys.executable, "-c", PRELUDE + code])
    await asyncio.to_thread(os.waitpid, one.pid, os.WUNTRACED)
    other = project.start([sys.executable, "-m", "django", "relayoutbox"])
    try:
        await asyncio.to_thread(
            wait_for, lambda: project.run(COUNT) == ["0 0"], "the other one", 60.0
        )
    finally:
        one.send_signal(signal.SIGCONT)
        other.terminate()
    # The one that was under way is known to the layer; the other three are not asked for.
    assert await asyncio.to_thread(project.end, one) == ["2"]
    await asyncio.to_thread(project.end, other)


def test_a_child_of_a_fork_that_came_amid_a_wake_commits(tmp_path: Path) -> None:
    project = made(tmp_path, f"local://{tmp_path}/run")
    project.manage("migrate")
    code = """
from seaway.outbox.waking import waker
with waker._lock:
    pid = os.fork()
if not pid:
    with transaction.atomic():
        orders.publish("from the child")
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
    process = project.start([sys.executable, "-c", PRELUDE + code])
    try:
        assert project.end(process) == ["0"]
    except subprocess.TimeoutExpired:
        process.kill()
        raise
