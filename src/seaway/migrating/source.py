"""One Python file: what is to be replaced in it, and what a person has to look at.

What lives here: `migrate_source`. What must not: files, or settings (`settings`).

Only what the syntax tree shows for certain is replaced, by its place in the text, so that
everything else, comments and layout included, stays as it is.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from seaway.migrating.names import module_of
from seaway.migrating.settings import SettingsRewriter
from seaway.migrating.text import Edit, Remark, Text


@dataclass(slots=True)
class Outcome:
    """What becomes of one file. ``text`` is None where nothing is to be changed."""

    text: str | None = None
    remarks: list[Remark] = field(default_factory=list)


def migrate_source(source: str) -> Outcome:
    """Replace what is Channels' by what is Seaway's."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        named = "channels" in source or "daphne" in source
        return Outcome(remarks=[Remark(line, "This is not Python that can be read.")] * named)
    text = Text(source)
    _Finder(text, tree).visit(tree)
    return Outcome(text.edited(), sorted(text.remarks))


class _Finder(ast.NodeVisitor):
    """Walks one tree."""

    def __init__(self, text: Text, tree: ast.Module) -> None:
        self._text = text
        self._routes = any(
            isinstance(node, ast.ImportFrom) and node.module == "channels.routing"
            for node in ast.walk(tree)
        )
        # ``import channels.layers`` binds the name ``channels``: its uses are ours if nobody else
        # binds it.
        self._bound = _binds_channels(tree)
        self._settings = SettingsRewriter(text)

    # Imports -------------------------------------------------------------------------------------

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            return
        if module == "django.core.asgi" and self._routes:
            self._text.replace(node, module, "seaway.asgi")
        elif module == "channels" or module.startswith("channels."):
            self._from_channels(node, module)
        elif module.partition(".")[0] in ("channels_redis", "daphne"):
            self._text.say(node, f"{module} has no counterpart to import: see the migration guide.")

    def _from_channels(self, node: ast.ImportFrom, module: str) -> None:
        known = module_of(module)
        for alias in node.names:
            dotted = f"{module}.{alias.name}"
            if alias.name == "*" and known is not None:
                continue
            if module_of(dotted) is None:
                self._text.say(node, f"{dotted} is not a public name of Channels 4.")
                return
        self._text.replace(node, module, "seaway" + module.removeprefix("channels"))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            if top in ("channels_redis", "daphne"):
                self._text.say(node, f"{alias.name} has no counterpart to import.")
            elif top == "channels":
                self._import_channels(node, alias)

    def _import_channels(self, node: ast.Import, alias: ast.alias) -> None:
        if module_of(alias.name) is None:
            self._text.say(node, f"{alias.name} is not a public module of Channels 4.")
        elif alias.asname is None and not self._bound:
            self._text.say(node, "The name channels means other things in this file, too.")
        else:
            start = self._text.at(alias.lineno, alias.col_offset)
            self._text.edits.add(Edit(start, start + len("channels"), "seaway"))

    # Uses ----------------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = _dotted(node)
        if dotted is None or not self._bound or not dotted.startswith("channels."):
            self.generic_visit(node)
            return
        if _is_public(dotted):
            start = self._text.span(node)[0]
            self._text.edits.add(Edit(start, start + len("channels"), "seaway"))
        else:
            self._text.say(node, f"{dotted} is not a public name of Channels 4.")

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str) and value.startswith(("channels.", "channels_redis.", "daphne.")):
            self._settings.dotted_string(node, value)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if not self._settings.assigned(names, node.value):
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        names = {node.target.id} if isinstance(node.target, ast.Name) else set()
        if not self._settings.assigned(names, node.value):
            self.generic_visit(node)


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _is_public(dotted: str) -> bool:
    """Whether the path leads to a public name, whose own attributes may follow, or to a module."""
    parts = dotted.split(".")
    for size in range(len(parts), 1, -1):
        known = module_of(".".join(parts[:size]))
        if known is not None:
            return bool(known[1]) or size == len(parts)
    return False


def _binds_channels(tree: ast.Module) -> bool:
    """Whether ``channels`` is bound by ``import channels...`` and by nothing else."""
    imported = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is None and alias.name.partition(".")[0] == "channels":
                    imported = True
        elif (
            (isinstance(node, ast.Name) and node.id == "channels" and not _loads(node))
            or (isinstance(node, ast.arg) and node.arg == "channels")
            or (isinstance(node, ast.alias) and node.asname == "channels")
        ):
            return False
    return imported


def _loads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
