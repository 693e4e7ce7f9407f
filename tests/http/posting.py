"""A POST in bytes."""

from __future__ import annotations

from typing import Any

from tests.server.harness import Client


def post(client: Client, path: str, body: bytes, *headers: str) -> Any:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    client.send("\r\n".join([*lines, "", ""]).encode() + body)
    return client.response()
