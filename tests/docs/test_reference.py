"""The reference pages say what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest

from seaway import checks, exceptions
from seaway.conf import Option
from seaway.conf import reference as settings_reference
from seaway.exceptions import CloseCode, SeawayError, TopicError, reconnects_after
from seaway.server.config import ENVIRONMENT_PREFIX, ServerConfig
from tests.docs.pages import DOCS, ROOT, pages

ERRORS = [
    item
    for _, item in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(item, SeawayError)
]


def reference(name: str) -> str:
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def row(page: str, first: str) -> list[str]:
    """The cells of the table row whose first cell is ``first``."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("|") and cells[0] == first:
            return cells
    raise AssertionError(f"there is no row for {first}")


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_exception_is_in_the_reference(error: type[SeawayError]) -> None:
    cells = row(reference("errors.md"), f"`{error.__name__}`")
    if issubclass(error, TopicError) and error is not TopicError:
        assert cells[1] == f"`{error.code}`"


@pytest.mark.parametrize("code", list(CloseCode), ids=lambda code: code.name)
def test_every_close_code_is_in_the_reference(code: CloseCode) -> None:
    cells = row(reference("errors.md"), str(int(code)))
    assert cells[1] == f"`{code.name}`"
    assert cells[-1] == ("reconnects" if reconnects_after(code) else "stays away")


# The command line --------------------------------------------------------------------------------


def option_row(field: dataclasses.Field[object]) -> str:
    """How ``cli.md`` shows an option of the server."""
    name = field.name.replace("_", "-")
    default = field.default
    if isinstance(default, bool):
        shown, option = ("on" if default else "off"), f"`--{name}` / `--no-{name}`"
    else:
        if isinstance(default, tuple):
            default = " ".join(default)
        shown, option = (f"`{default}`" if default not in (None, "") else "none"), f"`--{name}`"
    words = field.metadata["help"]
    if field.metadata["choices"]:
        words += " One of " + ", ".join(f"`{choice}`" for choice in field.metadata["choices"]) + "."
    return f"| {option} | {shown} | {words} |"


def test_every_option_of_the_server_is_in_the_reference() -> None:
    page = reference("cli.md")
    rows = [option_row(field) for field in dataclasses.fields(ServerConfig)]
    missing = [line for line in rows if line not in page.splitlines()]
    assert not missing, "cli.md lacks these rows:\n" + "\n".join(missing)
    options = [line for line in page.splitlines() if line.startswith("| `--")]
    assert options == rows, "an option too many, or in another order"


def test_the_reference_names_the_environment_variables() -> None:
    assert f"`{ENVIRONMENT_PREFIX}MAX_CONNECTIONS`" in reference("cli.md")


# Names of files ----------------------------------------------------------------------------------

_FILE = re.compile(r"`((?:src/seaway|clients|examples|benchmarks|tests|docs)/[\w./-]*)`")
_OURS = re.compile(r"[`>]((?:[a-z_]+/)+(?:[a-z_0-9]+\.py)?|[a-z_]+\.py)[`,< ]")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [name for name in _FILE.findall(text) if not name.startswith("docs/_build")]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["explanation/data-flow.md", "images/data-flow.svg"])
def test_the_way_of_a_byte_names_files_of_the_source(name: str) -> None:
    named = _OURS.findall((DOCS / name).read_text(encoding="utf-8"))
    assert len(named) > 10
    source = ROOT / "src" / "seaway"
    assert [file for file in named if not (source / file).exists() and file != "src/seaway/"] == []


# Links -------------------------------------------------------------------------------------------

_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_of_pages_outside_the_documentation_lead_somewhere(page: Path) -> None:
    """Sphinx checks those inside."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


# Settings ----------------------------------------------------------------------------------------


def setting_row(option: Option) -> str:
    """How ``settings.md`` shows a setting."""
    default = json.dumps(option.default) if option.default is not None else "None"
    kind = option.type.replace("|", "\\|")
    return f"| `{option.name}` | `{kind}` | `{default}` | {option.text} |"


def test_every_setting_is_in_the_reference() -> None:
    page = reference("settings.md").splitlines()
    rows = [setting_row(option) for option in settings_reference()]
    missing = [line for line in rows if line not in page]
    assert not missing, "settings.md lacks these rows:\n" + "\n".join(missing)
    assert [line for line in page if line.startswith("| `")] == rows


# System checks -----------------------------------------------------------------------------------


_CHECK_ID = re.compile(r"seaway\.[EW]\d{3}")


def test_every_check_is_in_the_reference() -> None:
    ids = re.findall(r"^\| `(seaway\.\w+)` \|", reference("checks.md"), re.MULTILINE)
    made = [value for value in vars(checks).values() if _CHECK_ID.fullmatch(str(value))]
    assert ids == made
