"""A reader who does exactly what a page says.

What lives here: typing the commands of ``console`` blocks, checking what the page says that they
answer, and saving captioned blocks as files.
What must not: looking at what came of it; the tests do that.

What a page may ask for:

- A captioned block is saved under that name. When a Python file of that name is there already, the
  statements of the block replace those that define the same names; imports are added; the rest
  stays. That is how people read "change ``INSTALLED_APPS`` in ``mysite/settings.py``".
- ``$ command`` is run; lines below it must appear in its output, in order. ``...`` skips lines.
- ``>>> statement`` below ``$ python manage.py shell`` is typed there.
- A server is started and left running, on a free port instead of 8000, until ``^C`` stands below
  it, or the next server is started, or `Reader.stop` is called.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.background import Background
from tests.docs.pages import DOCS, Block, blocks
from tests.servers.ports import free_port

#: What the reader has done already: this very environment has Seaway installed.
DONE = re.compile(r"python3? -m venv|\. \S+/activate|(python -m )?pip install")
SERVER = re.compile(r"python manage\.py runserver|seaway serve")
WORKER = re.compile(r"python manage\.py runworker")
TIMEOUT = 60.0

#: Statements typed into ``manage.py shell``: each is run by itself, and its value is shown.
TYPED = """
import code
console = code.InteractiveInterpreter({{"__name__": "__console__"}})
for statement in {statements!r}:
    console.runsource(statement, symbol="single")
"""


def tutorial_pages() -> list[Path]:
    """The pages of the tutorial in the order of its table of contents."""
    folder = DOCS / "tutorial"
    text = (folder / "index.md").read_text(encoding="utf-8")
    names = text.partition("```{toctree}")[2].partition("```")[0].split()
    return [folder / f"{name}.md" for name in names if (folder / f"{name}.md").exists()]


@dataclass
class Command:
    line: str
    answer: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    interrupted: bool = False


def commands(text: str) -> Iterator[Command]:
    """The commands of a ``console`` block, each with what is typed into it and what it answers."""
    command: Command | None = None
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command
            command = Command(line[2:])
            continue
        assert command, f"a console block starts with a command, not with {line!r}"
        if line.startswith(">>> "):
            command.typed.append(line[4:])
        elif line.startswith("... ") and command.typed:
            command.typed[-1] += "\n" + line[4:]
        elif line == "^C":
            command.interrupted = True
        elif line.strip():
            command.answer.append(line)
    if command:
        yield command


def answers(expected: list[str], output: str) -> bool:
    """Whether every expected line is part of a line of the output, in order."""
    lines = iter(output.splitlines())
    return all(
        any(line.strip() in found for found in lines) for line in expected if line.strip() != "..."
    )


class Reader:
    """
    :param home: an empty folder.
    :param serves: whether to start servers; without, ``manage.py shell`` is left out too.
    """

    def __init__(self, home: Path, *, serves: bool = True) -> None:
        self.here = home
        self.serves = serves
        self.port = 0
        self.log = home / "server.log"
        self._server: Background | None = None
        self._worker: Background | None = None
        self._serving: tuple[Command, str] | None = None

    # Following a page ----------------------------------------------------------------------------

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            if block.language == "console":
                for command in commands(block.text):
                    self.type(command, str(block))
            elif block.caption:
                self.save(block)

    def type(self, command: Command, where: str) -> None:
        if DONE.match(command.line):
            return
        if command.line.startswith("cd "):
            self.here = self.here / command.line[3:]
            return
        if command.typed and not self.serves:
            return
        if SERVER.match(command.line):
            if self.serves:
                self.serve(command, where)
            if command.interrupted:
                self.stop()
            return
        if WORKER.fullmatch(command.line):
            if self.serves:
                self.work(command, where)
            return
        line = command.line
        environment = self.environment()
        if "createsuperuser" in line:
            line += " --noinput"
        typed = TYPED.format(statements=[line + "\n" for line in command.typed])
        done = subprocess.run(
            ["/bin/bash", "-c", line],
            cwd=self.here,
            env=environment,
            input=typed if command.typed else "",
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{where}: {line!r} failed:\n{output}"
        assert "Traceback" not in output, f"{where}: {line!r} failed:\n{output}"
        assert answers(command.answer, output), (
            f"{where}: the page says {command.answer}, but the command says:\n{output}"
        )

    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "PYTEST_", "SEAWAY_"))
        }
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "DJANGO_SUPERUSER_USERNAME": "ann",
            "DJANGO_SUPERUSER_PASSWORD": "seaside",
            "DJANGO_SUPERUSER_EMAIL": "ann@example.com",
        }

    # Files ---------------------------------------------------------------------------------------

    def save(self, block: Block) -> None:
        assert block.caption
        path = self.here / block.caption
        path.parent.mkdir(parents=True, exist_ok=True)
        text = block.text
        if path.suffix == ".py" and path.exists():
            text = merged(path.read_text(encoding="utf-8"), text)
        path.write_text(text, encoding="utf-8")

    # Servers -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, command: Command, where: str, port: int = 0) -> None:
        """Start the server that the page starts, and wait until it says what the page says."""
        self.stop()
        self._serving = command, where
        self.port = port or free_port()
        words = shlex.split(command.line)
        if "runserver" in words:
            # The reloader would start it again whenever somebody edits Seaway itself.
            words += [f"127.0.0.1:{self.port}", "--noreload"]
        elif "--bind" in words:
            at = words.index("--bind") + 1
            words[at] = words[at].rpartition(":")[0] + f":{self.port}"
        else:
            words += ["--bind", f"127.0.0.1:{self.port}"]
        self._server = Background(words, self.here, self.environment(), self.log)
        answer = [line.replace(":8000", f":{self.port}") for line in command.answer]

        def serves(said: str) -> bool:
            return f"http://127.0.0.1:{self.port}" in said and answers(answer, said)

        self._server.wait_until(serves, f"{where}: the server should say {answer}")

    def work(self, command: Command, where: str) -> None:
        """Start a worker in a terminal of its own."""
        self.stop_working()
        words = shlex.split(command.line)
        self._worker = Background(words, self.here, self.environment(), self.here / "worker.log")
        self._worker.wait_until(
            lambda said: answers(command.answer, said),
            f"{where}: the worker should say {command.answer}",
        )

    def restart(self, port: int = 0) -> None:
        """Press Ctrl+C and run the same server again, on this port if one is named."""
        assert self._serving
        self.serve(*self._serving, port)

    def stop(self) -> None:
        """Press Ctrl+C in the server's terminal."""
        if self._server is not None:
            server, self._server = self._server, None
            server.stop()

    def stop_working(self) -> None:
        """Press Ctrl+C in the worker's terminal."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.stop()


def bound_names(node: ast.stmt) -> set[str]:
    """The names that a top-level statement gives a meaning to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return set()


def merged(old: str, new: str) -> str:
    """``old`` with the statements of ``new`` in place of those that bind the same names."""
    before, change = ast.parse(old).body, ast.parse(new).body
    replaced = set().union(*map(bound_names, change))
    place = next(
        (
            at
            for at, node in enumerate(before)
            if bound_names(node) & replaced and not isinstance(node, ast.Import | ast.ImportFrom)
        ),
        len(before),
    )
    head = [node for node in before[:place] if not bound_names(node) & replaced]
    tail = [node for node in before[place:] if not bound_names(node) & replaced]
    is_import = [isinstance(node, ast.Import | ast.ImportFrom) for node in change]
    imports = [node for node, yes in zip(change, is_import, strict=True) if yes]
    rest = [node for node, yes in zip(change, is_import, strict=True) if not yes]
    # A module's docstring stays first.
    first = 1 if head and isinstance(head[0], ast.Expr) else 0
    body = [*head[:first], *imports, *head[first:], *rest, *tail]
    return ast.unparse(ast.Module(body=body, type_ignores=[])) + "\n"
