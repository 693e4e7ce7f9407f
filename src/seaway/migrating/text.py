"""A source text, places in it, and what is to be changed or said of it.

What lives here: `Text`, `Edit`, `Remark`. What must not: what is looked for.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Characters ``start`` to ``end`` of a text become ``new``."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """Something for a person, with the line that it is about."""

    line: int
    text: str


class Text:
    """A source text, with the edits and remarks that its readers make."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.edits: set[Edit] = set()
        self.remarks: set[Remark] = set()
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        """The index of a column that `ast` counts in bytes of UTF-8."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The indexes of a node's first character and of the one after its last."""
        assert node.end_lineno is not None  # noqa: S101 - the parser sets both
        assert node.end_col_offset is not None  # noqa: S101
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno, node.end_col_offset)

    def replace(self, node: ast.expr | ast.stmt, old: str, new: str) -> None:
        """``old``, which stands somewhere in the node, becomes ``new``."""
        start, end = self.span(node)
        at = self.source.find(old, start, end)
        if at < 0:
            self.say(node, f"{old} is written in a way that is left alone; it is {new} now.")
        else:
            self.edits.add(Edit(at, at + len(old), new))

    def say(self, node: ast.expr | ast.stmt, text: str) -> None:
        """Leave something to a person."""
        self.remarks.add(Remark(node.lineno, text))

    def edited(self) -> str | None:
        """The text with all edits made; None when there are none."""
        if not self.edits:
            return None
        text = self.source
        for edit in sorted(self.edits, reverse=True):
            text = text[: edit.start] + edit.new + text[edit.end :]
        return text
