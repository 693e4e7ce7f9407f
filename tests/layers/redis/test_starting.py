"""What is said at the start about a server that cannot be used: one line, and no secrets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from seaway.exceptions import ConfigurationError, LayerUnavailable, SeawayError
from seaway.testing.layer_contract import Recorder
from tests.layers.redis.support import processes, redis_layer
from tests.servers.ports import free_port
from tests.servers.valkey import SentinelTrio, Valkey


async def refusal(url: str, kind: type[SeawayError] = ConfigurationError) -> str:
    layer = redis_layer(url)
    with pytest.raises(kind) as caught:
        await layer.start(Recorder())
    await layer.close()
    message = str(caught.value)
    assert "\n" not in message
    assert "secret" not in message
    return message


async def test_nobody_listens() -> None:
    message = await refusal(
        f"redis://:secret@127.0.0.1:{free_port()}?timeout=0.3", LayerUnavailable
    )
    assert "cannot be reached" in message


async def test_no_such_host() -> None:
    message = await refusal("redis://nowhere.invalid?timeout=0.3", LayerUnavailable)
    assert "nowhere.invalid" in message


async def test_passwords(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "v", "--requirepass", "right", password="right").start()
    try:
        where = f"127.0.0.1:{server.port}"
        assert "refuses the user name or password" in await refusal(f"redis://:secret@{where}")
        assert "wants a password" in await refusal(f"redis://{where}")
        [here] = await processes(f"redis://:right@{where}", 1)
        await here.layer.close()
    finally:
        server.kill()


async def test_a_database_that_is_not_there(valkey: Valkey) -> None:
    assert "has no database 99" in await refusal(f"{valkey.url}/99")


async def test_tls_where_there_is_none(valkey: Valkey) -> None:
    message = await refusal(f"rediss://127.0.0.1:{valkey.port}?timeout=1", SeawayError)
    assert "TLS" in message or "cannot be reached" in message


async def test_a_server_that_is_no_cluster(valkey: Valkey) -> None:
    message = await refusal(f"redis+cluster://127.0.0.1:{valkey.port}")
    assert "is no cluster: use redis://" in message


async def test_a_master_that_the_sentinels_do_not_know(sentinels: SentinelTrio) -> None:
    message = await refusal(sentinels.url.replace("/hall", "/other"))
    assert "knows no master named" in message


@contextlib.asynccontextmanager
async def saying(*answers: bytes) -> AsyncIterator[int]:
    """A server that gives these answers, whatever it is asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(65536):
                break
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "answers",
    [
        (b"-ERR unknown command `HELLO`, with args beginning with: `3`\r\n",),
        (b"%0\r\n", *[b"$22\r\nredis_version:6.2.14\r\n\r\n"] * 4),
    ],
)
async def test_a_server_that_is_too_old(answers: tuple[bytes, ...]) -> None:
    async with saying(*answers) as port:
        message = await refusal(f"redis://127.0.0.1:{port}")
    assert "needs Redis 7 or Valkey 8" in message


async def test_something_that_is_no_redis() -> None:
    async with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        message = await refusal(f"redis://127.0.0.1:{port}?timeout=0.3", LayerUnavailable)
    assert "cannot be reached" in message


async def test_a_server_that_may_delete_things_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Valkey(tmp_path / "v", "--maxmemory-policy", "allkeys-lru").start()
    try:
        [here] = await processes(server.url, 1)
        await here.layer.close()
    finally:
        server.kill()
    assert sum("maxmemory-policy" in record.message for record in caplog.records) == 1


def _speaks_tls(binary: str) -> bool:
    found = subprocess.run([binary, "--tls-port", "x"], capture_output=True, text=True, check=False)
    return "Bad directive" not in found.stderr + found.stdout


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server with TLS here")
async def test_tls(tmp_path: Path) -> None:
    binary = shutil.which("redis-server") or ""
    if not _speaks_tls(binary):
        pytest.skip("this redis-server was built without TLS")
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    ca, wrong = tmp_path / "ca.pem", tmp_path / "wrong.pem"
    authority.cert_pem.write_to_path(str(ca))
    other.cert_pem.write_to_path(str(wrong))
    chain = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(chain))
    port = free_port()
    server = Valkey(
        tmp_path / "v", "--tls-port", str(port), "--tls-cert-file", str(chain), "--tls-key-file",
        str(chain), "--tls-ca-cert-file", str(ca), "--tls-auth-clients", "no", binary=binary,
    ).start()  # fmt: skip
    try:
        url = f"rediss://localhost:{port}"
        here, there = await processes(f"{url}?ca={ca}", 2, "tls")
        await there.layer.watch("halls/1")
        await here.layer.publish("halls/1", b"x")
        await there.heard.until_count(1, "halls/1")
        await here.layer.close()
        await there.layer.close()
        assert "certificate is not trusted" in await refusal(f"{url}?ca={wrong}")
    finally:
        server.kill()
