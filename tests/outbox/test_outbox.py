"""The outbox with a database that is not the layer's: killed anywhere, each event is out once."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import find_place
from seaway.testing.contract_support import Process, started
from tests.outbox.project import PRELUDE, TOPIC, Project
from tests.waiting import wait_for

#: What the settings of `Project` come to: see `seaway.conf.place`.
PLACE = """
from seaway.conf import place
print(place())
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "shop.sqlite3"


@pytest.fixture
def project(tmp_path: Path, database: Path) -> Project:
    """A project on SQLite and the embedded broker, with an outbox."""
    options = {"timeout": 30, "transaction_mode": "IMMEDIATE"}
    project = Project(
        {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(database),
                "OPTIONS": options,
            }
        },
        {"LAYER": f"local://{tmp_path}/run", "OUTBOX": ["default"]},
    )
    project.manage("migrate")
    return project


@pytest_asyncio.fixture
async def listener(project: Project, tmp_path: Path) -> AsyncIterator[Process]:
    """Somebody who hears what is published in the project."""
    [place] = project.run(PLACE)
    process = await started(LocalLayer(find_place(place, f"{tmp_path}/run")))
    await process.layer.watch(TOPIC)
    yield process
    await process.layer.close()


def events(process: Process) -> list[str]:
    return [json.loads(data)["event"] for data in process.heard.data(TOPIC)]


def kept(database: Path) -> int:
    """How many events wait in the outbox."""
    connection = sqlite3.connect(database, timeout=30)
    try:
        [(count,)] = connection.execute("SELECT count(*) FROM seaway_outbox_outboxevent")
    finally:
        connection.close()
    return int(count)


async def run(project: Project, code: str, expect: int = 0) -> list[str]:
    return await asyncio.to_thread(project.run, code, expect)


async def relay_once(project: Project) -> str:
    [line] = await asyncio.to_thread(project.manage, "relayoutbox", "--once")
    return line


async def test_killed_between_commit_and_publish_it_loses_nothing(
    project: Project, database: Path, listener: Process
) -> None:
    await run(
        project,
        """
with transaction.atomic():
    Group.objects.create(name="sold")
    orders.publish("first")
    orders.publish("second")
    transaction.on_commit(die)
""",
        expect=-signal.SIGKILL,
    )
    assert listener.heard.data(TOPIC) == []
    assert kept(database) == 2
    assert await relay_once(project) == "2 published"
    await listener.heard.until_count(2, TOPIC)
    assert events(listener) == ["first", "second"]
    assert kept(database) == 0
    assert await relay_once(project) == "0 published"


async def test_rolled_back_there_is_nothing(project: Project, database: Path) -> None:
    await run(
        project,
        """
with transaction.atomic():
    orders.publish("never")
    transaction.set_rollback(True)
""",
    )
    assert kept(database) == 0


async def test_a_relay_that_is_killed_before_it_deletes_publishes_nothing_twice(
    project: Project, database: Path, listener: Process
) -> None:
    await run(
        project,
        """
from django.db.models.query import QuerySet
from seaway.outbox.relay import Relay
with transaction.atomic():
    for n in range(5):
        orders.publish(f"e{n}")
QuerySet.delete = lambda self: die()
Relay("default").drain()
""",
        expect=-signal.SIGKILL,
    )
    await listener.heard.until_count(5, TOPIC)
    assert kept(database) == 5
    # The turn of the one that was killed ends by itself; here it is ended.
    connection = sqlite3.connect(database, timeout=30)
    connection.execute("UPDATE seaway_outbox_outboxturn SET until = 0")
    connection.commit()
    connection.close()
    assert await relay_once(project) == "5 published"
    await run(project, 'print(orders.publish("last").offset)')
    await listener.heard.until_count(6, TOPIC)
    assert events(listener) == ["e0", "e1", "e2", "e3", "e4", "last"]
    assert kept(database) == 0


async def test_while_another_one_relays_it_waits(project: Project, database: Path) -> None:
    printed = await run(
        project,
        """
from seaway.outbox.relay import Relay
with transaction.atomic():
    orders.publish("first")
one, other = Relay("default"), Relay("default")
print(one.drain())
with transaction.atomic():
    orders.publish("second")
print(other.drain(), one.drain())
""",
    )
    assert printed == ["1", "0 1"]


async def test_the_command_relays_in_order_as_events_come_and_ends_in_order(
    project: Project, database: Path, listener: Process
) -> None:
    relay = project.start([sys.executable, "-m", "django", "relayoutbox"])
    try:
        await run(
            project,
            """
for n in range(100):
    with transaction.atomic():
        orders.publish(f"e{n}")
""",
        )
        await listener.heard.until_count(100, TOPIC)
    finally:
        relay.send_signal(signal.SIGTERM)
    lines = await asyncio.to_thread(project.end, relay)
    assert lines == ["relaying default"]
    assert events(listener) == [f"e{n}" for n in range(100)]
    assert kept(database) == 0


async def test_a_server_relays_and_ends(
    project: Project, database: Path, listener: Process
) -> None:
    code = """
import asyncio
from seaway.asgi import get_asgi_application
async def main():
    events, said = asyncio.Queue(), asyncio.Queue()
    app = get_asgi_application()
    events.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(app({"type": "lifespan", "state": {}}, events.get, said.put))
    print((await said.get())["type"], flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    events.put_nowait({"type": "lifespan.shutdown"})
    await life
asyncio.run(main())
"""
    server = project.start([sys.executable, "-c", PRELUDE + code])
    assert server.stdout is not None
    assert (await asyncio.to_thread(server.stdout.readline)).strip() == "lifespan.startup.complete"
    await run(
        project,
        """
with transaction.atomic():
    orders.publish("sold")
""",
    )
    await listener.heard.until_count(1, TOPIC)
    assert events(listener) == ["sold"]
    await asyncio.to_thread(wait_for, lambda: kept(database) == 0, "emptying the outbox")
    await asyncio.to_thread(project.end, server)


async def test_an_event_that_the_layer_refuses_stays_and_holds_up_no_other(
    project: Project, database: Path, listener: Process
) -> None:
    await run(
        project,
        """
with transaction.atomic():
    orders.publish("large", "x" * 2000)
    orders.publish("small")
""",
    )
    project.seaway["MAX_EVENT_BYTES"] = 1000
    assert await relay_once(project) == "1 published"
    await listener.heard.until_count(1, TOPIC)
    assert events(listener) == ["small"]
    assert kept(database) == 1
    [refused] = await run(
        project,
        """
from seaway.outbox.models import OutboxEvent
print(OutboxEvent.objects.get().refused)
""",
    )
    assert "over the limit" in refused


def test_the_command_without_an_outbox_says_so(project: Project) -> None:
    project.seaway["OUTBOX"] = []
    process = project.start([sys.executable, "-m", "django", "relayoutbox"])
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "names no database" in err
