"""``seaway migrate-from-channels``: what it prints and when it writes.

What lives here: `migrate`. What must not: finding things.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seaway.migrating.project import Change, look


def migrate(root: Path, *, write: bool, say: Callable[[str], object]) -> int:
    """Look at a project and say what would change; change it when told to.

    :returns: how many places a person has to look at.
    """
    changes = list(look(root))
    rewritten = [change for change in changes if change.new is not None]
    for change in rewritten:
        say(change.diff(root))
        if write:
            change.write()
    remarks = [line for change in changes for line in _remarks(change, root)]
    if remarks:
        say("For you to look at:")
        for line in remarks:
            say(f"  {line}")
    files = f"{len(rewritten)} file{'' if len(rewritten) == 1 else 's'}"
    if not rewritten and not remarks:
        say("Nothing of Channels was found.")
    elif write:
        say(f"{files} rewritten.")
    elif rewritten:
        say(f"{files} would be rewritten. Nothing was: add --write to do it.")
    return len(remarks)


def _remarks(change: Change, root: Path) -> list[str]:
    name = change.path.relative_to(root) if change.path != root else Path(change.path.name)
    return [f"{name}:{remark.line}: {remark.text}" for remark in change.remarks]
