"""What an operator is told at the start, in one line, and what a NATS that is full says."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from seaway.exceptions import ConfigurationError, LayerError, LayerUnavailable, PayloadTooLarge
from seaway.layers.base import Position
from seaway.layers.nats.layer import CONSUMERS, NatsLayer
from seaway.testing.layer_contract import KEPT, TOPIC, Recorder, page, started
from tests.layers.nats.support import namespace, nats_layer, processes
from tests.servers.nats import Nats
from tests.servers.ports import free_port

pytestmark = pytest.mark.asyncio


async def refusal(url: str) -> str:
    """What starting on an address says."""
    layer = nats_layer(url, namespace())
    with pytest.raises((ConfigurationError, LayerUnavailable)) as raised:
        await layer.start(Recorder())
    await layer.close()
    words = str(raised.value)
    assert "\n" not in words
    return words


@asynccontextmanager
async def server_that_says(line: bytes) -> AsyncIterator[str]:
    """The address of something that says one line and then listens."""
    writers: list[asyncio.StreamWriter] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(line + b"\r\n")
        with suppress(OSError):
            await reader.read()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}?timeout=0.5"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def greeted_by(**info: object) -> str:
    """What starting says when a server says this of itself."""
    async with server_that_says(b"INFO " + json.dumps(info).encode()) as url:
        return await refusal(url)


async def test_nobody_there() -> None:
    words = await refusal(f"nats://127.0.0.1:{free_port()}?timeout=0.3")
    assert "cannot be reached" in words
    assert "refused" in words


async def test_too_old() -> None:
    words = await greeted_by(version="2.9.1", headers=True, max_payload=1 << 20)
    assert "2.9.1" in words
    assert "2.12" in words


async def test_something_else_listens() -> None:
    async with server_that_says(b"220 mail.example ESMTP") as url:
        assert "protocol of NATS" in await refusal(url)


async def test_it_wants_tls() -> None:
    words = await greeted_by(version="2.12.0", headers=True, tls_required=True)
    assert "use tls://" in words


async def test_without_jetstream(tmp_path: Path) -> None:
    server = Nats(tmp_path / "nats", jetstream=False).start()
    try:
        assert "no JetStream: start it with -js" in await refusal(server.url)
    finally:
        server.kill()


async def test_a_wrong_password(tmp_path: Path) -> None:
    config = 'authorization { user: "hall", password: "s3cret!" }'
    server = Nats(tmp_path / "nats", config, login="hall:s3cret%21").start()
    try:
        words = await refusal(server.url.replace("s3cret", "wr0ng"))
        assert "refuses the user" in words
        assert "wr0ng" not in words
        assert "refuses" in await refusal(f"nats://127.0.0.1:{server.port}")
        [here] = await processes(server.url, 1)
        assert "s3cret" not in here.layer.describe()
        await here.layer.publish(TOPIC, b"x")
        await here.layer.close()
    finally:
        server.kill()


async def test_a_token(tmp_path: Path) -> None:
    server = Nats(tmp_path / "nats", 'authorization { token: "t0ken" }', login="t0ken").start()
    try:
        [here] = await processes(server.url, 1)
        await here.layer.publish(TOPIC, b"x")
        await here.layer.close()
    finally:
        server.kill()


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    config = f'tls {{ cert_file: "{tmp_path / "cert.pem"}", key_file: "{tmp_path / "key.pem"}" }}'
    server = Nats(tmp_path / "nats", config).start()
    try:
        url = f"tls://127.0.0.1:{server.port}"
        [here] = await processes(f"{url}?ca={tmp_path / 'ca.pem'}", 1)
        await here.layer.publish(TOPIC, b"x")
        await here.layer.close()
        assert "certificate" in await refusal(f"{url}?timeout=0.3")
        assert "use tls://" in await refusal(f"nats://127.0.0.1:{server.port}")
    finally:
        server.kill()


async def test_an_account_without_room(tmp_path: Path) -> None:
    config = """
    accounts { hall { jetstream { max_streams: 1 }, users: [{ user: u, password: p }] } }
    """
    server = Nats(tmp_path / "nats", config, login="u:p").start()
    try:
        words = await refusal(server.url)
        assert "cannot be made" in words
        assert "limit" in words
    finally:
        server.kill()


async def test_an_account_with_few_consumers(tmp_path: Path) -> None:
    config = """
    accounts { hall { jetstream { max_consumers: 6 }, users: [{ user: u, password: p }] } }
    """
    server = Nats(tmp_path / "nats", config, login="u:p").start()
    layer = nats_layer(f"{server.url}?timeout=1")
    try:
        await started(layer)
        for number in range(5):
            await layer.send(f"work-{number}", b"x")
        sending = [layer.send(f"work-{number}", b"x") for number in range(5, 10)]
        answers = await asyncio.gather(*sending, return_exceptions=True)
        assert any("allows no further consumer" in str(answer) for answer in answers)
    finally:
        await layer.close()
        server.kill()


async def test_more_consumers_are_allowed_than_a_server_allows_by_itself(own_nats: Nats) -> None:
    [here] = await processes(own_nats.url, 1, "seaway")
    assert isinstance(here.layer, NatsLayer)
    try:
        info = await here.layer._jetstream.api.info("seaway_queues")
        assert info["config"]["max_consumers"] == CONSUMERS > 1000
    finally:
        await here.layer.close()


async def test_streams_of_before_with_another_limit_of_consumers_stay(own_nats: Nats) -> None:
    [here] = await processes(own_nats.url, 1, "seaway")
    assert isinstance(here.layer, NatsLayer)
    jetstream = here.layer._jetstream.api
    [config] = [one for one in jetstream.streams if one["name"] == "seaway_queues"]
    await jetstream.request("STREAM.DELETE.seaway_queues", {})
    await jetstream.request("STREAM.CREATE.seaway_queues", {**config, "max_consumers": -1})
    await here.layer.close()
    [here] = await processes(f"{own_nats.url}?max_bytes=10000000", 1, "seaway")
    assert isinstance(here.layer, NatsLayer)
    try:
        found = (await here.layer._jetstream.api.info("seaway_queues"))["config"]
        assert (found["max_consumers"], found["max_bytes"]) == (-1, 10_000_000)
    finally:
        await here.layer.close()


async def test_what_it_takes_bounds_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seaway.layers")
    server = Nats(tmp_path / "nats", "max_payload: 65536").start()
    try:
        [here] = await processes(server.url, 1)
        assert here.layer.max_data == 65536 - 8192
        assert "57,344 bytes" in caplog.text
        await here.layer.publish(TOPIC, b"x" * here.layer.max_data)
        with pytest.raises(PayloadTooLarge):
            await here.layer.publish(TOPIC, b"x" * (here.layer.max_data + 1))
        await here.layer.close()
    finally:
        server.kill()


async def test_full_it_says_so_and_takes_up_again(own_nats: Nats) -> None:
    [here] = await processes(f"{own_nats.url}?max_bytes=200000", 1)
    layer = here.layer

    async def fill() -> None:
        for number in range(100):
            await layer.publish(f"topic{number}", b"x" * 10_000, KEPT)

    with pytest.raises(LayerError, match="full") as raised:
        await fill()
    assert not isinstance(raised.value, LayerUnavailable)
    assert (await layer.position("topic0")).offset == 1
    await layer.send("jobs", b"x")
    await layer.close()


async def test_what_is_corrupt_is_skipped_and_counted(
    own_nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    name = namespace()
    here, there = await processes(own_nats.url, 2, name)
    layer = nats_layer(own_nats.url, name)
    before = await here.layer.position(TOPIC)
    await here.layer.publish(TOPIC, b"1", KEPT)
    await layer.start(Recorder())
    for subject in (f"{name}.t.{TOPIC.replace('.', '%2E')}", f"{name}.q.jobs.i.broken"):
        await layer._engine.ask(subject, b"garbage")
    assert (await here.layer.publish(TOPIC, b"2", KEPT)).offset == 2
    await here.layer.send("jobs", b"good")
    found = page(await there.layer.read(TOPIC, Position(before.epoch, 0)))
    assert [publication.data for publication in found.publications] == [b"1", b"2"]
    [delivery] = await layer.receive("jobs", limit=5, wait=5.0)
    assert delivery.data == b"good"
    assert layer.flaws
    assert caplog.text.count("is corrupt and was skipped") >= 1
    for one in (here.layer, there.layer, layer):
        await one.close()
