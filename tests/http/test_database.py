"""Database connections behind the real server, in a process of its own with a database in a file:
few, kept as long as CONN_MAX_AGE says, and transactions that hold."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import Client, ServerProcess, write_module

SETTINGS = """
    from pathlib import Path

    BASE_DIR = Path(__file__).parent
    SECRET_KEY = "tests-only"
    ALLOWED_HOSTS = ["localhost"]
    ROOT_URLCONF = "site_urls"
    INSTALLED_APPS = [
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    DATABASES = {"default": {
        "ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3",
        "CONN_MAX_AGE": %AGE%, "ATOMIC_REQUESTS": %ATOMIC%,
    }}
    SEAWAY = {"LAYER": "memory://", "THREADS": 2, "HELD_THREADS": 0}
    USE_TZ = True
"""
URLS = """
    import os, threading, time

    from django.contrib.auth.models import Group
    from django.db import connection, transaction
    from django.db.backends.signals import connection_created
    from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    made = []
    connection_created.connect(lambda **_: made.append(threading.current_thread().name), weak=False)

    def use(request):
        time.sleep(0.01)
        return JsonResponse({"groups": Group.objects.count()})

    async def ause(request):
        found = [group async for group in Group.objects.all()]
        return JsonResponse({"groups": len(found) or await Group.objects.acount()})

    def seen(request):
        files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        return JsonResponse({
            "made": made, "open": sum(name.endswith("db.sqlite3") for name in files),
        })

    def write(request):
        Group.objects.create(name=request.GET["name"])
        if "fail" in request.GET:
            raise ZeroDivisionError
        return HttpResponse(f"{connection.in_atomic_block}")

    @transaction.non_atomic_requests
    def loose(request):
        return HttpResponse(f"{connection.in_atomic_block}")

    def rows(request):
        Group.objects.bulk_create([Group(name=f"row {number}") for number in range(300)])
        found = Group.objects.order_by("pk").iterator(chunk_size=10)
        return StreamingHttpResponse(f"{group.name}\\n" for group in found)

    def visits(request):
        request.session["visits"] = request.session.get("visits", 0) + 1
        return HttpResponse(str(request.session["visits"]))

    async def avisits(request):
        visits = await request.session.aget("visits", 0) + 1
        await request.session.aset("visits", visits)
        return HttpResponse(str(visits))

    urlpatterns = [
        path("use/", use), path("ause/", ause), path("seen/", seen), path("write/", write),
        path("loose/", loose), path("rows/", rows), path("visits/", visits),
        path("avisits/", avisits),
    ]
"""
ASGI = """
    from seaway.asgi import get_asgi_application

    application = get_asgi_application()
"""


@contextlib.contextmanager
def running(folder: Path, *, max_age: int | None = 0, atomic: bool = False) -> Iterator[Client]:
    settings = SETTINGS.replace("%AGE%", str(max_age)).replace("%ATOMIC%", str(atomic))
    write_module(folder, "site_settings", settings)
    write_module(folder, "site_urls", URLS)
    write_module(folder, "site_asgi", ASGI)
    environment = {"DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": _path(folder)}
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v", "0"],
        cwd=folder,
        env=environment,
        check=True,
    )
    arguments = ("site_asgi:application", "--bind", "127.0.0.1:0")
    with ServerProcess(folder, *arguments, env=environment) as process, process.connect() as client:
        yield client


def _path(folder: Path) -> str:
    return ":".join([str(folder), *filter(None, sys.path)])


def ask_many(client: Client, path: str, times: int) -> None:
    """So many requests at once, on a connection each."""
    address = client.socket.getpeername()
    clients = [Client(address) for _ in range(times)]
    for one in clients:
        one.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    for one in clients:
        with one:
            assert one.response().status == 200


def seen(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.request("/seen/").body)
    return found


def test_connections_that_may_stay_are_one_per_thread(tmp_path: Path) -> None:
    with running(tmp_path, max_age=None) as client:
        for path in ("/use/", "/ause/", "/use/"):
            ask_many(client, path, 8)
        made = seen(client)["made"]
    assert len(made) == len(set(made)) <= 2
    assert all(name.startswith("seaway-sync") for name in made)


def test_connections_that_may_not_stay_are_closed(tmp_path: Path) -> None:
    with running(tmp_path) as client:
        ask_many(client, "/use/", 8)
        ask_many(client, "/ause/", 8)
        found = seen(client)
        assert len(found["made"]) == 16
        # The last requests may still be closing theirs.
        while found["open"]:
            found = seen(client)


def test_atomic_requests_roll_back(tmp_path: Path) -> None:
    with running(tmp_path, atomic=True) as client:
        assert client.request("/write/?name=a").body == b"True"
        assert client.request("/write/?name=b&fail").status == 500
        assert client.request("/loose/").body == b"False"
        assert json.loads(client.request("/use/").body) == {"groups": 1}


def test_rows_are_streamed_from_one_connection(tmp_path: Path) -> None:
    with running(tmp_path) as client:
        rows = client.request("/rows/").body.decode().splitlines()
    assert rows == [f"row {number}" for number in range(300)]


@pytest.mark.parametrize("path", ["/visits/", "/avisits/"])
def test_sessions_are_kept_in_the_database(tmp_path: Path, path: str) -> None:
    with running(tmp_path) as client:
        response = client.request(path)
        cookie = response.headers["set-cookie"].partition(";")[0]
        assert client.request(path, f"Cookie: {cookie}").body == b"2"
        assert client.request(path, f"Cookie: {cookie}").body == b"3"
