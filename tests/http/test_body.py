"""Request bodies: small ones in memory, large ones on disk, half ones nowhere."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from seaway.http.body import read_body
from tests.http import views
from tests.http.conftest import Site

MIB = 1024 * 1024


def receiver(*parts: bytes, disconnect: bool = False) -> Any:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    if disconnect:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return receive


async def test_a_small_body_stays_in_memory() -> None:
    body = await read_body(receiver(b"ab", b"", b"cd"))
    assert body is not None
    assert body.read() == b"abcd"
    with pytest.raises(OSError, match="fileno"):
        body.fileno()


async def test_a_large_body_goes_to_the_disk_off_the_loop(tmp_path: Path) -> None:
    parts = [bytes([number]) * 100_000 for number in range(50)]
    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=MIB, FILE_UPLOAD_TEMP_DIR=str(tmp_path)):
        body = await read_body(receiver(*parts))
    assert body is not None
    with body:
        assert body.fileno() > 0
        assert body.read() == b"".join(parts)


@pytest.mark.parametrize("parts", [[], [b"half"], [b"x" * 3 * MIB, b"half"]])
async def test_a_client_that_goes_before_the_end_sends_nothing(parts: list[bytes]) -> None:
    assert await read_body(receiver(*parts, disconnect=True)) is None


async def test_a_cancelled_read_closes_its_file(recwarn: pytest.WarningsRecorder) -> None:
    started = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if started.is_set():
            await asyncio.Event().wait()
        started.set()
        return {"type": "http.request", "body": b"x" * 3 * MIB, "more_body": True}

    task = asyncio.create_task(read_body(receive))
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not recwarn.list


def multipart(content: bytes) -> bytes:
    return (
        b'--X\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--X--\r\n"
    )


@pytest.mark.parametrize(
    ("size", "kind", "on_disk"),
    [(1000, "InMemoryUploadedFile", False), (4 * MIB, "TemporaryUploadedFile", True)],
)
def test_an_upload_through_the_server(site: Site, size: int, kind: str, on_disk: bool) -> None:
    body = multipart(b"x" * size)
    head = (
        "POST /upload/ HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with site(MIDDLEWARE=[]) as server, server.connect() as client:
        client.send(head.encode() + body)
        found = json.loads(client.response().body)
        assert found == {"size": size, "kind": kind, "on_disk": on_disk}
        assert client.request("/hello/").status == 200


def test_half_an_upload_reaches_no_view(site: Site) -> None:
    with site(MIDDLEWARE=[]) as server:
        with server.connect() as client:
            client.send(b"POST /slow/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        with server.connect() as client:
            assert client.request("/hello/").status == 200

    assert views.seen == []
