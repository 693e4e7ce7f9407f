"""A project's files: which are looked at, and what is done with what was found.

What lives here: `look`, `Change`, and requirements files.
What must not: Python's syntax (`source`).
"""

from __future__ import annotations

import difflib
import os
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seaway.migrating.names import REPLACED
from seaway.migrating.source import Outcome, migrate_source
from seaway.migrating.text import Remark

#: Folders that are not the project's own code.
_SKIPPED = {"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^]]*\])?([^#;]*)")
#: Where else the names may stand, for a person to look: files by their name.
_OTHERS = re.compile(r"Procfile|Dockerfile.*|.*\.(toml|cfg|ini|ya?ml|service|conf|sh)|Pipfile")
_NAMED = re.compile(r"\b(daphne|channels[-_]redis|channels)\b")


@dataclass(frozen=True, slots=True)
class Change:
    """What was found in one file; ``new`` is None where nothing is to be changed."""

    path: Path
    old: str
    new: str | None
    remarks: list[Remark]
    encoding: str = "utf-8"

    def diff(self, root: Path) -> str:
        """A unified diff."""
        name = str(self.path.relative_to(root)) if self.path != root else self.path.name
        lines = difflib.unified_diff(
            self.old.splitlines(keepends=True),
            (self.new or self.old).splitlines(keepends=True),
            name,
            name,
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)

    def write(self) -> None:
        """Replace the file in one step: whoever looks sees the old one or the new one."""
        if self.new is None:
            return
        beside = self.path.with_name(self.path.name + ".seaway-new")
        beside.write_bytes(self.new.encode(self.encoding))
        beside.chmod(self.path.stat().st_mode)
        beside.replace(self.path)


def look(root: Path) -> Iterator[Change]:
    """Everything in a folder, or one file, that is to be changed or looked at."""
    for path in sorted(_files(root)):
        change = _look_at(path)
        if change is not None and (change.new is not None or change.remarks):
            yield change


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED
            and not name.startswith(".")
            and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in names if not (here / name).is_symlink())


def _look_at(path: Path) -> Change | None:
    if path.suffix == ".py":
        return _look_at_python(path)
    requirements = path.suffix == ".txt" and "require" in path.name
    if not requirements and not _OTHERS.fullmatch(path.name):
        return None
    try:
        old = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    if requirements:
        outcome = _requirements(old)
        return Change(path, old, outcome.text, outcome.remarks)
    return Change(path, old, None, list(_mentions(old)))


def _look_at_python(path: Path) -> Change | None:
    try:
        with path.open("rb") as file:
            encoding, _ = tokenize.detect_encoding(file.readline)
        # Not read as text: line ends stay what they are.
        old = path.read_bytes().decode(encoding)
    except (OSError, SyntaxError, UnicodeDecodeError):
        remark = Remark(1, "This file cannot be read as Python.")
        return Change(path, "", None, [remark])
    outcome = migrate_source(old)
    return Change(path, old, outcome.text, outcome.remarks, encoding)


def _requirements(text: str) -> Outcome:
    """``channels``, ``channels-redis`` and ``daphne`` become ``seaway``, or ``seaway[redis]``."""
    lines = text.splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if _name(line) in REPLACED]
    if not found:
        return Outcome()
    redis = any(_name(lines[index]) == "channels-redis" for index in found)
    end = "\r\n" if lines[found[0]].endswith("\r\n") else "\n"
    present = any(_name(line) == "seaway" for line in lines)
    lines[found[0]] = "" if present else ("seaway[redis]" if redis else "seaway") + end
    for index in found[1:]:
        lines[index] = ""
    return Outcome("".join(lines))


def _name(line: str) -> str | None:
    match = _REQUIREMENT.match(line)
    if match is None or line.lstrip().startswith(("#", "-")):
        return None
    return re.sub(r"[-_.]+", "-", match[1]).lower()


def _mentions(text: str) -> Iterator[Remark]:
    for number, line in enumerate(text.splitlines(), start=1):
        match = _NAMED.search(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        if match[1] == "daphne":
            hint = "`daphne -b HOST -p PORT app` is `seaway serve app --bind HOST:PORT` now."
        else:
            hint = f"{match[1]} is named here; the package is seaway, or seaway[redis], now."
        yield Remark(number, hint)
