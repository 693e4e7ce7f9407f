"""Tables that are made, migrated, emptied, restored and missing; and a start that cannot be."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings

import pytest

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.base import Gap, Position
from seaway.layers.engines import make_layer
from seaway.layers.postgres import schema
from seaway.testing.contract_support import KEPT, TOPIC, Recorder, eventually, page
from tests.layers.postgres.support import postgres_layer, processes
from tests.servers.postgres import PostgresServer
from tests.waiting import until


async def refused(url: str, namespace: str) -> str:
    """The one line with which a start fails."""
    layer = postgres_layer(url, namespace)
    with pytest.raises((ConfigurationError, LayerUnavailable)) as caught:
        await layer.start(Recorder())
    await layer.close()
    words = str(caught.value)
    assert "\n" not in words
    assert "secret" not in words
    return f"{type(caught.value).__name__}: {words}"


# Addresses and the start -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
async def test_an_address_makes_a_layer(
    postgres: PostgresServer, namespace: str, scheme: str
) -> None:
    url = postgres.url().replace("postgres://", f"{scheme}://", 1)
    layer = make_layer(url, namespace=namespace, place="")
    assert layer.describe() == (
        f"PostgreSQL at 127.0.0.1:{postgres.port}/postgres, schema {namespace}"
    )
    await layer.start(Recorder())
    assert (await layer.publish(TOPIC, b"x")).offset == 1
    await layer.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgres://user:secret@host", "names no database"),
        ("postgres://user:secret@host/db?sslmod=require", "address is wrong"),
    ],
)
def test_an_address_with_a_mistake_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        make_layer(url, namespace="test", place="")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["public", "pg_toast"])
def test_a_namespace_that_postgres_has_for_itself_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="choose another"):
        make_layer("postgres://host/db", namespace=name, place="")


async def test_a_start_that_cannot_be_says_why(postgres: PostgresServer, namespace: str) -> None:
    wrong = postgres.url().replace(":secret@", ":secreter@")
    assert "ConfigurationError: PostgreSQL refuses the user or the password" in await refused(
        wrong, namespace
    )
    assert "has no database nowhere" in await refused(postgres.url("nowhere"), namespace)
    nobody = await refused(postgres.url(user="nobody"), namespace)
    assert "refuses the user or the password" in nobody
    no_number = postgres.url().replace(str(postgres.port), "port")
    assert "ConfigurationError: LAYER: PostgreSQL's address is wrong" in await refused(
        no_number, namespace
    )
    nothing_there = postgres.url().replace(str(postgres.port), "1")
    assert "LayerUnavailable: PostgreSQL does not answer at" in await refused(
        nothing_there, namespace
    )


async def test_a_user_without_the_right_to_make_tables_is_told_so(
    postgres: PostgresServer, namespace: str
) -> None:
    postgres.run("CREATE ROLE guest LOGIN PASSWORD 'secret'")
    guest = postgres.url(user="guest")
    words = await refused(guest, namespace)
    assert "lacks a right" in words
    assert "GRANT CREATE ON DATABASE postgres TO guest" in words
    # With tables that others have made, it may use them and no more.
    [owner] = await processes(postgres.url(), namespace, 1)
    assert "lacks a right" in await refused(guest, namespace)
    postgres.run(
        f'GRANT USAGE ON SCHEMA "{namespace}" TO guest;'
        f'GRANT ALL ON ALL TABLES IN SCHEMA "{namespace}" TO guest'
    )
    [process] = await processes(guest, namespace, 1)
    await owner.layer.watch(TOPIC)
    await process.layer.publish(TOPIC, b"x")
    await owner.heard.until_count(1)
    for one in (owner, process):
        await one.layer.close()


async def test_a_server_that_is_too_old_is_refused(
    postgres: PostgresServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 990_000)
    assert "is too old: Seaway needs 14 or newer" in await refused(postgres.url(), namespace)


async def test_many_that_start_at_once_make_one_set_of_tables(
    postgres: PostgresServer, namespace: str
) -> None:
    found = await asyncio.gather(*(processes(postgres.url(), namespace, 1) for _ in range(8)))
    await found[0][0].layer.publish(TOPIC, b"x")
    for [one] in found:
        assert (await one.layer.position(TOPIC)).offset == 1
        await one.layer.close()


async def test_older_tables_are_migrated_and_newer_ones_refused(
    postgres: PostgresServer, namespace: str
) -> None:
    [first] = await processes(postgres.url(), namespace, 1)
    position = await first.layer.publish(TOPIC, b"x", KEPT)
    await first.layer.close()
    postgres.run(f'UPDATE "{namespace}".meta SET version = {schema.VERSION - 1}')
    [second] = await processes(postgres.url(), namespace, 1)
    assert await second.layer.position(TOPIC) == position
    await second.layer.close()
    assert postgres.run(f'SELECT version FROM "{namespace}".meta') == [(schema.VERSION,)]
    postgres.run(f'UPDATE "{namespace}".meta SET version = {schema.VERSION + 1}')
    assert "made by a newer version" in await refused(postgres.url(), namespace)


async def test_a_forked_child_takes_nothing_from_its_parent(
    postgres: PostgresServer, namespace: str
) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    await here.layer.publish(TOPIC, b"before")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a thread may be running
        child = os.fork()
    if child == 0:
        here.layer.forked()
        there.layer.forked()
        for line in (*here.layer._lines, *there.layer._lines):  # type: ignore[attr-defined]
            if line.link is not None:
                line.link._pgconn.finish()  # says goodbye, to nobody
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    await here.layer.publish(TOPIC, b"after")
    await there.heard.until_count(2)
    assert there.heard.restorations == []
    for one in (here, there):
        await one.layer.close()


# Epochs ------------------------------------------------------------------------------------------


async def test_a_restart_of_all_processes_changes_no_epoch(
    postgres: PostgresServer, namespace: str
) -> None:
    [first] = await processes(postgres.url(), namespace, 1)
    position = await first.layer.publish(TOPIC, b"x", KEPT)
    await first.layer.close()
    [second] = await processes(postgres.url(), namespace, 1)
    assert await second.layer.position(TOPIC) == position
    assert page(await second.layer.read(TOPIC, Position(position.epoch, 0))).publications
    await second.layer.close()


@pytest.mark.parametrize("statement", ["TRUNCATE", "DELETE FROM"])
async def test_a_topic_that_somebody_deletes_begins_a_new_epoch(
    postgres: PostgresServer, namespace: str, statement: str
) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    before = await here.layer.publish(TOPIC, b"before", KEPT)
    await there.heard.until_count(1)
    postgres.run(f'{statement} "{namespace}".topics')
    after = await here.layer.publish(TOPIC, b"after", KEPT)
    assert after.epoch != before.epoch
    assert after.offset == 1
    await there.heard.until_count(2)
    assert there.heard.positions() == [before, after]
    assert await there.layer.read(TOPIC, before) == Gap(after)
    for one in (here, there):
        await one.layer.close()


async def test_tables_that_are_dropped_are_made_again_and_told(
    postgres: PostgresServer, namespace: str
) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    before = await here.layer.publish(TOPIC, b"before", KEPT)
    await there.layer.enter(TOPIC, "ann", b"A")
    postgres.run(f'DROP SCHEMA "{namespace}" CASCADE')
    after = await here.layer.publish(TOPIC, b"after", KEPT)
    assert after.epoch != before.epoch
    await there.heard.until(
        lambda: (
            after in there.heard.positions()
            or any(at.epoch == after.epoch for _, at in there.heard.restorations)
        )
    )
    assert await there.layer.read(TOPIC, before) == Gap(after)
    await eventually(lambda: here.layer.members(TOPIC), lambda found: found == {"ann": b"A"})
    for one in (here, there):
        await one.layer.close()


async def test_a_restored_dump_is_another_life(postgres: PostgresServer, namespace: str) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    await here.layer.publish(TOPIC, b"1", KEPT)
    dump = postgres.dump("postgres", namespace)
    known = await here.layer.publish(TOPIC, b"2", KEPT)
    await there.heard.until_count(2)
    for one in (here, there):
        await one.layer.close()
    postgres.run(f'DROP SCHEMA "{namespace}" CASCADE')
    postgres.restore("postgres", dump)
    [later] = await processes(postgres.url(), namespace, 1)
    now = await later.layer.publish(TOPIC, b"another 2", KEPT)
    assert now.epoch != known.epoch
    assert isinstance(await later.layer.read(TOPIC, known), Gap)
    await later.layer.close()


async def test_a_topic_that_stands_before_what_was_seen_begins_anew(
    postgres: PostgresServer, namespace: str
) -> None:
    """An older copy of the files of the server, put in place while processes run."""
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    for n in range(3):
        known = await here.layer.publish(TOPIC, b"%d" % n, KEPT)
    await there.heard.until_count(3)
    postgres.run(
        f'UPDATE "{namespace}".topics SET off = 1; DELETE FROM "{namespace}".events WHERE off > 1;'
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = 'seaway {namespace}'"
    )
    await there.heard.until(lambda: bool(there.heard.restorations))
    [(_, position)] = there.heard.restorations
    assert position.epoch != known.epoch
    assert await here.layer.read(TOPIC, known) == Gap(position)
    for one in (here, there):
        await one.layer.close()


async def test_a_write_position_that_went_back_begins_all_anew(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    known = await here.layer.publish(TOPIC, b"x", KEPT)
    assert postgres.run(f"SELECT \"{namespace}\".incarnate('')") == [(False,)]
    assert postgres.run(f"SELECT \"{namespace}\".incarnate('0/1')") == [(False,)]
    assert postgres.run(f"SELECT \"{namespace}\".incarnate('FFFF/0')") == [(True,)]
    assert isinstance(await here.layer.read(TOPIC, known), Gap)
    await here.layer.close()


# Corrupt and forgotten ---------------------------------------------------------------------------


async def test_notifications_of_a_stranger_are_skipped_counted_and_logged_once(
    postgres: PostgresServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    await here.layer.watch(TOPIC)
    payloads = ["", "e", "x y", "e 1 2", f"e one two three {TOPIC}"]
    with caplog.at_level(logging.WARNING):
        for payload in payloads:
            postgres.run(f"SELECT pg_notify(\"{namespace}\".ear('t', '{TOPIC}'), '{payload}')")
        await here.layer.publish(TOPIC, b"x")
        await here.heard.until_count(1)
    assert here.heard.data() == [b"x"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert here.layer._following.corrupt == len(payloads)  # type: ignore[attr-defined]
    await here.layer.close()


async def test_a_hole_that_somebody_made_is_a_gap_and_no_page_has_it(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    positions = [await here.layer.publish(TOPIC, b"%d" % n, KEPT) for n in range(5)]
    postgres.run(f'DELETE FROM "{namespace}".events WHERE off = 3')
    found = page(await here.layer.read(TOPIC, Position(positions[0].epoch, 0)))
    assert [event.data for event in found.publications] == [b"0", b"1"]
    assert await here.layer.read(TOPIC, positions[1]) == Gap(positions[-1])
    assert len(page(await here.layer.read(TOPIC, positions[2])).publications) == 2
    await here.layer.close()


async def test_what_nobody_can_read_any_more_is_deleted(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    events, topics = f'"{namespace}".events', f'"{namespace}".topics'
    kept = await here.layer.publish("kept", b"x", KEPT)
    await here.layer.publish("not-kept", b"x")
    await here.layer.publish("old", b"x", KEPT)
    postgres.run(f"UPDATE {events} SET at = now() - interval '2 minutes'")
    postgres.run(f"UPDATE {topics} SET kept = 90 WHERE name = 'old'")
    postgres.run(f"UPDATE {topics} SET used = now() - interval '2 days' WHERE name = 'not-kept'")
    await until(lambda: postgres.run(f"SELECT count(*) FROM {events}") == [(1,)], patience=20)
    await until(lambda: len(postgres.run(f"SELECT 1 FROM {topics}")) == 2, patience=20)
    assert page(await here.layer.read("kept", Position(kept.epoch, 0))).publications
    again = await here.layer.publish("not-kept", b"y")
    assert again.offset == 1
    assert again.epoch != kept.epoch
    await here.layer.close()


async def test_topics_that_are_followed_at_once_are_told_of_in_one_query_each_time(
    postgres: PostgresServer, namespace: str
) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    topics = [f"seats/{n}" for n in range(300)]
    await asyncio.gather(*(there.layer.watch(topic) for topic in topics))
    large = b"x" * 6000  # does not fit into a notification
    await asyncio.gather(
        *(here.layer.publish(topic, large + b"%d" % n) for n in range(4) for topic in topics)
    )
    for topic in topics:
        await there.heard.until_count(4, topic)
        assert there.heard.data(topic) == [large + b"%d" % n for n in range(4)]
    for one in (here, there):
        await one.layer.close()
