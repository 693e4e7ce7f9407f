"""The code blocks of the documentation's pages.

What lives here: finding pages, and cutting them into blocks.
What must not: running a block; `reader` and the tests do that.

A block's language is the first word after its fence, or the argument of MyST's ``code-block``. Its
caption, if it has one, is the name of the file that the block belongs in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<directive>\{[\w-]+\})?\s*(?P<argument>\S*)")
_CAPTION = re.compile(r"^:caption:\s*(?P<caption>\S+)\s*$")
_OPTION = re.compile(r"^:[\w-]+:")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    caption: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that a reader may meet, the ones at the top of the repository included."""
    return sorted(ROOT.glob("*.md")) + sorted(
        page for page in DOCS.rglob("*.md") if "_build" not in page.parts
    )


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page in order; directives that hold no code are left out."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = next(
            (at for at in range(number + 1, len(lines)) if lines[at].strip() == opening["fence"]),
            None,
        )
        assert end is not None, f"{page}:{number + 1}: this fence is never closed"
        if opening["directive"] in (None, "{code-block}"):
            yield _block(page, number, opening["argument"], lines[number + 1 : end])
        number = end + 1


def _block(page: Path, number: int, language: str, body: list[str]) -> Block:
    caption = None
    while body and _OPTION.match(body[0]):
        found = _CAPTION.match(body.pop(0))
        caption = found["caption"] if found else caption
    while body and not body[0].strip():
        body = body[1:]
    return Block(page, number + 1, language, caption, "\n".join(body) + "\n")


def all_blocks(*languages: str) -> list[Block]:
    """Every block of these languages, on all pages."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]
