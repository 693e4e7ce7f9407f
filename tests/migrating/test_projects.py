"""Whole projects written for Channels, moved over by the command and run as they then are."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect
from websockets.typing import Origin

from seaway.server.cli import main
from tests.commands import python
from tests.waiting import wait_for

PROJECTS = Path(__file__).parent / "projects"
NAMES = sorted(path.name for path in PROJECTS.iterdir() if path.is_dir())


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one project."""
    target: Path = tmp_path / request.param
    shutil.copytree(PROJECTS / request.param, target)
    return target


def migrate(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(main, ["migrate-from-channels", str(folder), *options])
    assert done.exit_code == 0, done.output
    return done.output


def environment() -> dict[str, str]:
    """Ours, without the settings of these tests."""
    ours = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**ours, "PYTHONUNBUFFERED": "1"}


def text_of(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.rglob("*.py")))


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_first_it_only_shows(folder: Path) -> None:
    before = text_of(folder)
    said = migrate(folder)
    assert "would be rewritten" in said
    assert "-from channels." in said
    assert "+from seaway." in said
    assert text_of(folder) == before


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_then_the_project_s_own_tests_pass(folder: Path) -> None:
    said = migrate(folder, "--write")
    assert re.findall(r"^  \S+\.py:.*", said, re.MULTILINE) == []
    assert not re.search(r"channels\.|channels_redis|daphne|\"channels\"", text_of(folder))
    assert (folder / "requirements.txt").read_text() == "Django>=5.2\nseaway[redis]\n"
    assert "Procfile:1: `daphne" in said
    command = ("-W", "error::ResourceWarning", "manage.py", "test", "-v", "1")
    done = python(*command, cwd=folder, env=environment(), patience=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"Ran 0 tests", done.stderr), "there is something to run"


@pytest.mark.parametrize("folder", NAMES, indirect=True)
def test_twice_changes_nothing_more(folder: Path) -> None:
    migrate(folder, "--write")
    before = text_of(folder)
    assert "rewritten" not in migrate(folder, "--write").replace("0 files rewritten", "")
    assert text_of(folder) == before


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """The address at which the moved project is served by two workers."""
    migrate(folder, "--write")
    settings = folder / "site_config" / "settings.py"
    layers = settings.read_text().replace("InMemoryChannelLayer", "SeawayChannelLayer")
    settings.write_text(layers + f'\nSEAWAY = {{"LAYER": "local://{folder}"}}\n')
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "seaway.server.cli",
                    "serve",
                    "site_config.asgi:application",
                ),
                *("--bind", "127.0.0.1:0", "--workers", "2"),
            ],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
    try:
        found = wait_for(
            lambda: re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text()), "the start", 60
        )
        yield found[1]
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("folder", ["chat"], indirect=True)
def test_the_chat_is_served_by_two_workers(served: str) -> None:
    with contextlib.ExitStack() as stack:
        rooms = [
            stack.enter_context(connect(f"ws://{served}/ws/{kind}/hall/", origin=origin))
            for origin in (Origin(f"http://{served}"),)
            for kind in ("chat", "slow-chat") * 3
        ]
        for number, one in enumerate(rooms):
            one.send(json.dumps({"message": f"hello {number}"}))
            for each in rooms:
                assert json.loads(each.recv(timeout=20)) == {"message": f"hello {number}"}
