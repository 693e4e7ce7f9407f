"""``manage.py runserver``: a real process in a real project, from the terminal's side."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from django.core.management import get_commands, load_command_class
from websockets.sync.client import connect
from websockets.typing import Origin

from seaway.management.commands.runserver import Command

SETTINGS = """
SECRET_KEY = "tests-only"
DEBUG = True
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
INSTALLED_APPS = ["seaway", "django.contrib.staticfiles", "shop"]
DATABASES = {}
SEAWAY = {"LAYER": "memory://"}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("from a view"))]
"""
TOPICS = """
from seaway import Topic

class Till(Topic):
    route = "tills/<int:till>"

    async def join(self, till):
        return {"till": till}
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project_settings.py").write_text(SETTINGS)
    (tmp_path / "urls.py").write_text(URLS)
    (tmp_path / "shop" / "static" / "shop").mkdir(parents=True)
    (tmp_path / "shop" / "static" / "shop" / "style.css").write_text("body{}")
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "topics.py").write_text(TOPICS)
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Start runserver in the project; whatever was started is gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def kill_all() -> None:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    # A server that hangs is killed, so that whoever reads from it reads the end.
    watchdog = threading.Timer(120, kill_all)
    watchdog.start()

    def run(*options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project_settings"}
        environment["PYTHONPATH"] = str(project)
        environment["PYTHONUNBUFFERED"] = "1"
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "runserver", "--no-color", *options],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    watchdog.cancel()
    kill_all()
    for process in started:
        process.wait(30)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def read_until(stream: IO[str] | None, words: str) -> str:
    """The lines of a process up to the one with these words."""
    assert stream is not None
    lines: list[str] = []
    for line in stream:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"no {words!r} in: {''.join(lines)}")


def greeting_of(process: subprocess.Popen[str]) -> tuple[str, int]:
    """What is printed once it serves, and the port, which the kernel chose."""
    greeting = read_until(process.stdout, "Quit the server")
    found = re.search(r"http://127\.0\.0\.1:(\d+)", greeting)
    assert found, greeting
    return greeting, int(found[1])


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        body: bytes = response.read()
        return body.decode()


def test_seaways_runserver_is_the_projects() -> None:
    assert get_commands()["runserver"] == "seaway"
    assert isinstance(load_command_class("seaway", "runserver"), Command)


def test_views_static_files_and_topics_on_one_port(start: Start) -> None:
    process = start("--noreload", "0")
    greeting, port = greeting_of(process)
    assert "System check identified no issues" in greeting
    assert "using settings 'project_settings'" in greeting
    assert get(port, "/") == "from a view"
    assert get(port, "/static/shop/style.css") == "body{}"
    page = Origin(f"http://localhost:{port}")
    with connect(f"ws://127.0.0.1:{port}/seaway/", origin=page) as client:
        assert '"type":"welcome"' in str(client.recv(timeout=30))
        client.send('{"type":"join","id":1,"topic":"tills/7"}')
        assert '"data":{"till":7}' in str(client.recv(timeout=30))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_without_static_files_they_are_not_found(start: Start) -> None:
    process = start("--noreload", "--nostatic", "0")
    _, port = greeting_of(process)
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(port, "/static/shop/style.css")
    caught.value.close()
    assert caught.value.code == 404


@contextlib.contextmanager
def touched_until_done(path: Path) -> Iterator[None]:
    """Give a file a new time now and, should the reloader not have looked yet, again later."""
    done = threading.Event()

    def touch() -> None:
        for count in itertools.count():
            os.utime(path, (2_000_000_000 + count, 2_000_000_000 + count))
            if done.wait(10):
                return

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_change_of_the_code_starts_it_anew(start: Start, project: Path) -> None:
    process = start("0")
    _, port = greeting_of(process)
    assert get(port, "/") == "from a view"
    (project / "urls.py").write_text(URLS.replace("from a view", "from a new view"))
    with touched_until_done(project / "urls.py"):
        _, port = greeting_of(process)
    assert get(port, "/") == "from a new view"


def test_control_c_ends_it_and_its_reloader_quietly(start: Start) -> None:
    process = start("0")
    greeting_of(process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize("options", [(), ("--noreload",)])
def test_a_taken_port_is_told_in_one_line(start: Start, options: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(*options, str(port))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    told = [line for line in errors.splitlines() if not line.startswith("Watching for")]
    assert len(told) == 1, errors
    assert f"127.0.0.1:{port}" in told[0]
    assert "already in use" in told[0]


def test_an_application_of_the_project_is_served(start: Start, project: Path) -> None:
    (project / "own.py").write_text(
        "async def application(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'my own'})\n"
    )
    settings = project / "project_settings.py"
    settings.write_text(f"{SETTINGS}ASGI_APPLICATION = 'own.application'\n")
    _, port = greeting_of(start("--noreload", "0"))
    assert get(port, "/") == "my own"
    assert get(port, "/static/shop/style.css") == "body{}"


def test_an_application_that_is_not_there_is_told_in_one_line(start: Start, project: Path) -> None:
    settings = project / "project_settings.py"
    settings.write_text(f"{SETTINGS}ASGI_APPLICATION = 'nowhere.application'\n")
    process = start("--noreload", "0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines() == ["Error: ASGI_APPLICATION: No module named 'nowhere'"]


def test_a_mistake_in_the_settings_stops_it_with_a_hint(start: Start, project: Path) -> None:
    settings = project / "project_settings.py"
    settings.write_text(SETTINGS.replace('"LAYER"', '"LAYR"'))
    process = start("--noreload", "0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "(seaway.E001) SEAWAY has no option 'LAYR'." in errors
    assert "Did you mean 'LAYER'?" in errors
    assert "Traceback" not in errors
