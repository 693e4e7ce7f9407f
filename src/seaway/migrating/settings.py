"""Settings: INSTALLED_APPS, CHANNEL_LAYERS, and dotted paths in strings.

What lives here: `SettingsRewriter`. What must not: imports and names (`source`).
"""

from __future__ import annotations

import ast

from seaway.migrating.names import BACKENDS, module_of
from seaway.migrating.text import Edit, Text


class SettingsRewriter:
    """Adds to the edits and remarks of one file."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def assigned(self, names: set[str], value: ast.expr) -> bool:
        """Look at what is assigned to a setting; whether it was one of ours, and is done with."""
        if "INSTALLED_APPS" in names and isinstance(value, ast.List | ast.Tuple):
            self._installed_apps(value)
            return True
        return False

    def dotted_string(self, node: ast.Constant, value: str) -> None:
        """A string that begins with the name of one of the packages."""
        new = BACKENDS.get(value)
        if new is not None:
            self._text.replace(node, value, new)
        elif module_of(value) is not None:
            self._text.say(node, f"The string {value!r} may name what is {_ours(value)} now.")
        else:
            self._text.say(node, f"The string {value!r} names something without a counterpart.")

    # INSTALLED_APPS ------------------------------------------------------------------------------

    def _installed_apps(self, apps: ast.List | ast.Tuple) -> None:
        """ "seaway" in the place of the first of "daphne" and "channels", which stand where the
        runserver command wants to be found first; the other one goes."""
        found = [
            element
            for element in apps.elts
            if isinstance(element, ast.Constant) and element.value in ("channels", "daphne")
        ]
        if not found:
            return
        present = any(
            isinstance(element, ast.Constant) and element.value == "seaway" for element in apps.elts
        )
        if not present:
            first = found.pop(0)
            self._text.replace(first, str(first.value), "seaway")
        for element in found:
            self._remove(element, apps)

    def _remove(self, element: ast.Constant, apps: ast.List | ast.Tuple) -> None:
        """With its comma, and its whole line when nothing but its comment stands on it."""
        source = self._text.source
        start, end = self._text.span(element)
        limit = self._text.span(apps)[1]
        after = end
        while after < limit and source[after] in " \t":
            after += 1
        if after < limit and source[after] == ",":
            end = after + 1
        line_start = source.rfind("\n", 0, start) + 1
        line_end = source.find("\n", end)
        rest = source[end:line_end].strip()
        if not source[line_start:start].strip() and (not rest or rest.startswith("#")):
            start, end = line_start, line_end + 1
        elif source[end : end + 1] == " ":
            end += 1
        self._text.edits.add(Edit(start, end, ""))


def _ours(dotted: str) -> str:
    return repr("seaway" + dotted.removeprefix("channels"))
