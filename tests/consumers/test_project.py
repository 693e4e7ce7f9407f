"""A project of consumers in a process of its own: its database, and other servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from tests.server.harness import ServerProcess, wait_until, write_module

SETTINGS = """
    from pathlib import Path

    BASE_DIR = Path(__file__).parent
    SECRET_KEY = "tests-only"
    ALLOWED_HOSTS = ["*"]
    INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes",
                      "django.contrib.sessions", "seaway"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db"}}
    SEAWAY = {"LAYER": "memory://", "THREADS": 2}
    ASGI_APPLICATION = "project.application"
"""
PROJECT = """
    import json, os
    import django
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project_settings")
    django.setup()

    from django.contrib.auth.models import User
    from django.urls import path
    from asgiref.sync import async_to_sync
    from seaway.auth import AuthMiddlewareStack, get_user, login
    from seaway.consumers import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer, SyncConsumer
    from seaway.db import database_sync_to_async
    from seaway.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter

    def open_files():
        files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        return sum(os.path.basename(name) == "db" for name in files)

    class Sync(JsonWebsocketConsumer):
        groups = ["chat"]

        def receive_json(self, content):
            if content == "files":
                self.send_json(open_files())
            elif content == "fail":
                raise ZeroDivisionError
            elif content == "say":
                message = {"type": "chat.message", "text": "said"}
                async_to_sync(self.channel_layer.group_send)("chat", message)
            elif content == "login":
                user, _ = User.objects.get_or_create(username="ann")
                async_to_sync(login)(self.scope, user)
                self.scope["session"].save()
                self.send_json(str(async_to_sync(get_user)(self.scope)))
            else:
                self.send_json([User.objects.count(), str(self.scope["user"])])

        def disconnect(self, code):
            print("disconnected", code, flush=True)

        def chat_message(self, event):
            self.send_json(event["text"])

    class Async(AsyncJsonWebsocketConsumer):
        groups = ["chat"]

        async def receive_json(self, content):
            if content == "files":
                await self.send_json(open_files())
            elif content == "fail":
                raise ZeroDivisionError
            elif content == "say":
                message = {"type": "chat.message", "text": "said"}
                await self.channel_layer.group_send("chat", message)
            else:
                by_orm = await User.objects.acount()
                by_function = await database_sync_to_async(User.objects.count)()
                assert by_orm == by_function
                await self.send_json([by_orm, str(self.scope["user"])])

        async def disconnect(self, code):
            print("disconnected", code, flush=True)

        async def chat_message(self, event):
            await self.send_json(event["text"])

    application = ProtocolTypeRouter({
        "websocket": AuthMiddlewareStack(URLRouter([
            path("sync/", Sync.as_asgi()), path("async/", Async.as_asgi()),
        ])),
        "channel": ChannelNameRouter({"thumbnails": SyncConsumer.as_asgi()}),
    })
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("consumers")
    write_module(folder, "project_settings", SETTINGS)
    write_module(folder, "project", PROJECT)
    command = [sys.executable, "-m", "django", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, timeout=60)
    return folder


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "project_settings", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    arguments = ("project:application", "--bind=127.0.0.1:0")
    with ServerProcess(folder, *arguments, env=environment(folder)) as server:
        host, port = server.address
        yield f"ws://{host}:{port}"


def ask(client: ClientConnection, what: Any) -> Any:
    client.send(json.dumps(what))
    return json.loads(client.recv(20))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_database_connections_go_back_after_each_message(server: str, kind: str) -> None:
    with connect(f"{server}/{kind}/") as one, connect(f"{server}/{kind}/") as two:
        for client in (one, two, one, two):
            assert ask(client, "count")[1] == "AnonymousUser"
        wait_until(lambda: ask(one, "files") == 0, "every connection's closing")


def test_sync_consumers_use_async_functions(server: str) -> None:
    with connect(f"{server}/sync/") as one, connect(f"{server}/async/") as two:
        one.send('"say"')
        assert one.recv(20) == two.recv(20) == '"said"'
        assert ask(one, "login") == "ann"


OTHERS = {
    "uvicorn": ("uvicorn", "project:application", "--host=127.0.0.1", "--port={port}"),
    "hypercorn": ("hypercorn", "project:application", "-b=127.0.0.1:{port}"),
    "daphne": ("daphne", "-b=127.0.0.1", "-p={port}", "project:application"),
}


class OtherServer(ServerProcess):
    def __init__(self, name: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        module, *rest = (each.format(port=self.port) for each in OTHERS[name])
        command = [sys.executable, "-m", module, *rest]
        self.name = name
        self.start(command, folder, env=environment(folder))

    def __enter__(self) -> OtherServer:
        return self

    def __exit__(self, *exc: object) -> None:
        # Workers of some servers do not die with their parent: it has to be asked first.
        self.process.send_signal(signal.SIGINT if self.name == "hypercorn" else signal.SIGTERM)
        with contextlib.suppress(Exception):
            self.process.wait(10)
        super().__exit__(*exc)

    def listens(self) -> bool:
        try:
            with connect(f"ws://127.0.0.1:{self.port}/async/"):
                return True
        except (OSError, InvalidHandshake):
            return False


@pytest.mark.parametrize("name", OTHERS)
def test_consumers_work_under_other_servers(name: str, folder: Path) -> None:
    with OtherServer(name, folder) as server:
        wait_until(server.listens, f"{name}'s start")
        url = f"ws://127.0.0.1:{server.port}"
        with connect(f"{url}/sync/") as one, connect(f"{url}/async/") as two:
            assert ask(one, "count") == ask(two, "count")
            two.send('"say"')
            assert one.recv(20) == two.recv(20) == '"said"'
            one.send('"fail"')
            server.says("disconnected 1011")
            two.close(4321)
            # The look whether it listens was the first; hypercorn knows no codes of clients.
            server.says("disconnected", times=3)
            assert name == "hypercorn" or "disconnected 4321" in server.text


def runworker(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "django", "runworker", *arguments]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thumbnails", "--layer=other"], "no channel layer 'other'"),
        (["thumbnails", "unknown"], "'unknown' has no consumer"),
    ],
)
def test_runworker_says_what_is_missing(folder: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(
        runworker(folder, *arguments),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


class RunningWorker(ServerProcess):
    """``manage.py runworker`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.start(runworker(folder, *arguments), folder, env=environment(folder))

    def __enter__(self) -> RunningWorker:
        return self


def test_runworker_runs_consumers_until_it_is_told_to_stop(folder: Path) -> None:
    with RunningWorker(folder, "thumbnails") as worker:
        worker.says("channel  thumbnails  ")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.text
