"""Publishing inside a transaction of Django's on the layer's own database."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from seaway.layers.base import Position
from seaway.layers.cipher import Cipher
from seaway.testing.contract_support import Process, page
from tests.layers.postgres.support import processes
from tests.outbox.project import TOPIC, Project
from tests.servers.postgres import PostgresServer


def database(server: PostgresServer, name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "seaway",
        "PASSWORD": "secret", "HOST": "127.0.0.1", "PORT": str(server.port),
        "OPTIONS": {"connect_timeout": 20, "server_side_binding": False},
    }  # fmt: skip


@pytest.fixture(scope="module")
def migrated(postgres: PostgresServer) -> str:
    """The name of a database with Django's tables."""
    postgres.run("CREATE DATABASE shop")
    Project({"default": database(postgres, "shop")}, {"LAYER": "memory://"}).manage("migrate")
    return "shop"


@pytest.fixture
def project(postgres: PostgresServer, migrated: str, namespace: str) -> Project:
    seaway = {"LAYER": "django://default", "NAMESPACE": namespace}
    return Project({"default": database(postgres, migrated)}, seaway)


async def listener(server: PostgresServer, name: str, namespace: str) -> Process:
    [process] = await processes(server.url(name), namespace, 1)
    await process.layer.watch(TOPIC)
    return process


def events(process: Process) -> list[Any]:
    return [json.loads(data)["event"] for data in process.heard.data(TOPIC)]


async def test_what_is_published_within_is_encrypted_like_everything_else(
    postgres: PostgresServer, migrated: str, namespace: str
) -> None:
    keys = ["the secret of this year, and long enough"]
    project = Project(
        {"default": database(postgres, migrated)},
        {"LAYER": "django://default", "NAMESPACE": namespace, "ENCRYPTION_KEYS": keys},
    )
    there = await listener(postgres, migrated, namespace)
    await asyncio.to_thread(
        project.run, "with transaction.atomic():\n    orders.publish('first', {'n': 'secret'})"
    )
    await there.heard.until_count(1, TOPIC)
    [sealed] = there.heard.data(TOPIC)
    await there.layer.close()
    assert b"secret" not in sealed
    assert json.loads(Cipher(keys).open(sealed, TOPIC))["data"] == {"n": "secret"}


async def test_an_event_commits_with_its_transaction_and_only_with_it(
    postgres: PostgresServer, migrated: str, namespace: str, project: Project
) -> None:
    there = await listener(postgres, migrated, namespace)
    printed = await asyncio.to_thread(
        project.run,
        """
with transaction.atomic():
    Group.objects.create(name=f"a{os.getpid()}")
    print(orders.publish("first", {"n": 1}))
    print(orders.publish("second"))
try:
    with transaction.atomic():
        orders.publish("never")
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
with transaction.atomic():
    orders.publish("third")
    with transaction.atomic():
        orders.publish("not even this")
        transaction.set_rollback(True)
    orders.publish("fourth")
print(orders.publish("outside").offset)
""",
    )
    assert printed == ["None", "None", "5"]
    await there.heard.until_count(5, TOPIC)
    assert events(there) == ["first", "second", "third", "fourth", "outside"]
    assert [position.offset for position in there.heard.positions(TOPIC)] == [1, 2, 3, 4, 5]
    first = there.heard.positions(TOPIC)[0]
    found = page(await there.layer.read(TOPIC, Position(first.epoch, 0)))
    assert len(found.publications) == 5
    await there.layer.close()


async def test_killed_before_the_commit_it_published_nothing_and_after_it_everything(
    postgres: PostgresServer, migrated: str, namespace: str, project: Project
) -> None:
    there = await listener(postgres, migrated, namespace)
    await asyncio.to_thread(
        project.run,
        """
with transaction.atomic():
    orders.publish("never")
    die()
""",
        expect=-9,
    )
    await asyncio.to_thread(
        project.run,
        """
transaction.atomic().__enter__()
orders.publish("kept")
connection.connection.commit()
die()
""",
        expect=-9,
    )
    await there.heard.until_count(1, TOPIC)
    assert events(there) == ["kept"]
    await there.layer.close()


async def test_a_long_transaction_holds_up_nobody(
    postgres: PostgresServer, migrated: str, namespace: str, project: Project
) -> None:
    there = await listener(postgres, migrated, namespace)
    running = asyncio.create_task(
        asyncio.to_thread(
            project.run,
            """
other = TopicAddress("ready")
with transaction.atomic():
    orders.publish("long")
    thread = threading.Thread(target=lambda: other.publish("go"))
    thread.start()
    while not Group.objects.filter(name="go on").exists():
        time.sleep(0.01)
""",
        )
    )
    await there.layer.watch("ready")
    await there.heard.until(lambda: bool(there.heard.data("ready")) or running.done())
    for _ in range(20):
        await there.layer.publish(TOPIC, b'{"event": "short"}')
    postgres.run("INSERT INTO auth_group (name) VALUES ('go on')", migrated)
    await running
    await there.heard.until_count(21, TOPIC)
    assert events(there) == ["short"] * 20 + ["long"]
    await there.layer.close()


async def test_transactions_on_the_same_topics_in_any_order_do_not_block_each_other_for_good(
    postgres: PostgresServer, migrated: str, namespace: str, project: Project
) -> None:
    there = await listener(postgres, migrated, namespace)
    await there.layer.watch("refunds")
    code = """
refunds = TopicAddress("refunds")
for n in range(40):
    with transaction.atomic():
        for topic in FIRST, SECOND:
            topic.publish("x", n)
"""
    ways = [("orders", "refunds"), ("refunds", "orders")]
    await asyncio.gather(
        *(
            asyncio.to_thread(project.run, code.replace("FIRST", one).replace("SECOND", two))
            for one, two in ways
        )
    )
    await there.heard.until_count(80, TOPIC)
    await there.heard.until_count(80, "refunds")
    for topic in (TOPIC, "refunds"):
        offsets = [position.offset for position in there.heard.positions(topic)]
        assert offsets == list(range(1, 81))
    await there.layer.close()


def test_tests_in_a_transaction_publish_nothing(
    postgres: PostgresServer, migrated: str, namespace: str, project: Project
) -> None:
    printed = project.run(
        """
from django.test import TestCase
class Case(TestCase):
    def test(self):
        orders.publish("x")
case = Case("test")
import unittest
result = unittest.TextTestRunner(stream=open(os.devnull, "w")).run(case)
print(result.wasSuccessful())
print(orders.publish("after").offset)
"""
    )
    assert printed == ["True", "1"]


def test_async_code_below_a_transaction_leaves_its_event_to_it(project: Project) -> None:
    printed = project.run(
        """
from asgiref.sync import async_to_sync
async def work():
    return await orders.apublish("x")
with transaction.atomic():
    print(async_to_sync(work)())
    transaction.set_rollback(True)
print(orders.publish("after").offset)
"""
    )
    assert printed == ["None", "1"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("django://elsewhere", "DATABASES has no 'elsewhere'; it has: default"),
        ("django://default", "is no PostgreSQL, but django.db.backends.sqlite3"),
    ],
)
def test_a_database_that_cannot_be_the_layers_is_refused(
    layer: str, words: str, namespace: str
) -> None:
    project = Project(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        {"LAYER": layer, "NAMESPACE": namespace},
    )
    printed = project.run(
        """
from seaway.exceptions import ConfigurationError
try:
    orders.publish("x")
except ConfigurationError as error:
    print(error)
"""
    )
    assert words in printed[0]
