"""Every sample on every page is what it says it is: it runs, parses or exists.

The tutorial's pages are followed for real by ``test_tutorial``. The samples of other pages run in
the project that the tutorial ends with.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import get_commands, load_command_class
from websockets.sync.client import connect

from seaway.conf import seaway_settings
from seaway.transports.fallback import served_here
from tests.docs.pages import DOCS, ROOT, Block, all_blocks, blocks, pages
from tests.docs.reader import Command, Reader, commands, tutorial_pages

TUTORIAL = DOCS / "tutorial"
PYTHON = ("python",)
JAVASCRIPT = ("js", "javascript")
#: Neither run nor parsed by themselves: text is for people, and html is seen in the tutorial.
SHOWN = ("text", "html")
KNOWN = {*PYTHON, *JAVASCRIPT, *SHOWN, "console", "json", "ini"}

OTHER_PAGES = [page for page in pages() if TUTORIAL not in page.parents]
RUNNABLE = [page for page in OTHER_PAGES if any(b.language == "python" for b in blocks(page))]

#: Runs a page's samples one after the other in one namespace, as one reads them. Samples that
#: await run in an event loop, the others without.
RUN = """
import ast, asyncio, inspect, json, sys
import django
django.setup(set_prefix=False)
from seaway.testing import ApplicationCommunicator
ApplicationCommunicator.patience = 20.0  # the machine may be busy with other tests
namespace = {"__name__": "samples"}
for where, text in json.load(sys.stdin):
    code = compile(text, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)
"""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_block_has_a_language_that_a_test_knows(page: Path) -> None:
    strange = [
        f"{block}: {block.language!r}" for block in blocks(page) if block.language not in KNOWN
    ]
    assert not strange, "no test runs these samples"


# Python ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the tutorial ends with, without having served it."""
    reader = Reader(tmp_path_factory.mktemp("samples"), serves=False)
    for page in tutorial_pages():
        reader.follow(page)
    return reader.here


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_the_samples_of_a_page_run(page: Path, project: Path, tmp_path: Path) -> None:
    home = tmp_path / "project"
    shutil.copytree(project, home)
    reader = Reader(home, serves=False)
    samples: list[tuple[str, str]] = []
    for block in blocks(page):
        if block.caption:
            reader.save(block)
        elif block.language == "python":
            samples.append((str(block), block.text))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        cwd=home,
        env=reader.environment() | {"DJANGO_SETTINGS_MODULE": "mysite.settings"},
        input=json.dumps(samples),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_the_testing_page_pass(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "project"
    shutil.copytree(project, home)
    reader = Reader(home, serves=False)
    for block in blocks(DOCS / "how-to" / "testing.md"):
        if block.caption:
            reader.save(block)
    reader.type(
        Command("python manage.py test chat.test_echo", ["Ran 2 tests", "OK"]), "testing.md"
    )


def test_the_echo_of_the_server_page_echoes(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for block in blocks(DOCS / "reference" / "server.md"):
        if block.caption:
            reader.save(block)
    try:
        reader.serve(Command("seaway serve echo:application"), "server.md")
        with connect(f"ws://127.0.0.1:{reader.port}/") as client:
            client.send("Hello")
            assert client.recv(20) == "Hello"
    finally:
        reader.stop()


# JSON and JavaScript -----------------------------------------------------------------------------


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_parses(block: Block) -> None:
    """One document, or one a line as on the wire."""
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_units_parse_and_name_options_that_exist(block: Block) -> None:
    from seaway.server.cli import serve

    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it
    unit.read_string(block.text)
    if "Service" in unit:
        program, command, *arguments = unit["Service"]["ExecStart"].split()
        assert (Path(program).name, command) == ("seaway", "serve")
        serve.make_context("serve", arguments)
        assert unit["Service"]["Type"] == "notify"
    else:
        assert unit["Socket"]["ListenStream"]


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.parametrize("block", all_blocks(*JAVASCRIPT), ids=str)
def test_javascript_parses(block: Block, tmp_path: Path) -> None:
    sample = tmp_path / "sample.mjs"
    sample.write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        ["node", "--check", str(sample)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# Commands ----------------------------------------------------------------------------------------

CONSOLES = [block for page in OTHER_PAGES for block in blocks(page) if block.language == "console"]
LINES = [
    pytest.param(command.line, id=f"{block} {command.line}")
    for block in CONSOLES
    for command in commands(block.text)
]


@pytest.mark.parametrize("line", LINES)
def test_commands_exist(line: str) -> None:
    """What a page tells people to type outside the tutorial is there, with those options."""
    words = line.split()
    if words[0] == "make":
        done = subprocess.run(
            ["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    elif words[0] == "seaway":
        from seaway.server.cli import main

        main.make_context("seaway", words[1:], resilient_parsing=True)
        done = subprocess.run(
            [Path(sys.executable).parent / "seaway", words[1], "--help"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        options = [word for word in words if word.startswith("--")]
        assert done.returncode == 0, done.stderr
        assert [option for option in options if option not in done.stdout] == []
    elif words[:2] == ["python", "manage.py"]:
        command = load_command_class(get_commands()[words[2]], words[2])
        parser = command.create_parser("manage.py", words[2])
        options = [word for word in words if word.startswith("--")]
        assert [option for option in options if option not in parser.format_help()] == []
    elif words[0] == "curl":
        path = urlsplit(words[-1]).path
        assert served_here(path.removeprefix(seaway_settings().PATH))
    elif words[0] == "kill":
        assert words[1] in {"-HUP", "-TERM"}
    else:
        assert words[:2] == [".venv/bin/pre-commit", "install"], f"no test knows {line!r}"
        assert "pre-commit" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
