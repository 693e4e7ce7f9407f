"""Plain Django over ASGI, with and without static files."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seaway.http import get_http_application, with_static_files


async def exchange(application: Any, path: str, kind: str = "http") -> list[dict[str, Any]]:
    """Ask an ASGI application for one path; what it sent."""
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    asked = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("static_files", "status"), [(False, 404), (True, 200)])
async def test_static_files_are_served_when_asked_for(static_files: bool, status: int) -> None:
    application = get_http_application(static_files=static_files)
    sent = await exchange(application, "/static/admin/css/base.css")
    assert sent[0]["status"] == status
    if status == 200:
        body = b"".join(message.get("body", b"") for message in sent[1:])
        assert b"--primary" in body


async def test_other_scopes_pass_the_static_files_by() -> None:
    seen: list[str] = []

    async def inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await exchange(with_static_files(inner), "/static/admin/css/base.css", "websocket")
    await exchange(with_static_files(inner), "/", "lifespan")
    assert seen == ["websocket", "lifespan"]
