"""The migration guide names everything that is public."""

from pathlib import Path

import pytest

from seaway.migrating.names import PUBLIC

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "migrate-from-channels.md"


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_the_table_has_every_public_name(module: str) -> None:
    rows = GUIDE.read_text(encoding="utf-8").splitlines()
    [row] = [row for row in rows if row.startswith(f"| `seaway.{module}` |")]
    assert {name for name in PUBLIC[module] if f"`{name}`" not in row} == set()
