"""The import order of the house: a floor imports itself and the floors above it, nothing below."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "seaway"

#: From the roof down. Floors up to "server" know nothing of Django.
FLOORS = [
    {"exceptions"},
    {"protocol"},
    {"layers"},
    {"migrating"},
    {"server"},
    {"database"},
    {"conf"},
    {"channel_layers"},
    {"pool"},
    {"http"},
    {"origin", "db", "middleware"},
    {"sessions", "channel_sessions"},
    {"auth"},
    {"consumers"},
    {"routing", "security", "consumer", "generic"},
    {"worker"},
    {"outbox"},
    {"topics"},
    {"channels"},
    {"workers"},
    {"tasks"},
    {"dialects"},
    {"connections"},
    {"transports"},
    {"live"},
    {"asgi"},
    {"checks"},
    {"models"},
    {"migrations", "admin"},
    {"apps", "management", "templatetags"},
    {"testing"},
]
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
DJANGO_FREE = LEVEL["server"]


def imported_modules(path: Path) -> set[str]:
    """Absolute names of what a file imports, relative imports resolved."""
    package = ["seaway", *path.relative_to(SOURCE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def floor_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_its_own_floor_and_those_above(path: Path) -> None:
    floor = floor_of(path)
    assert floor in LEVEL, f"{floor} has no place in the house: add it to FLOORS"
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "django":
            assert LEVEL[floor] > DJANGO_FREE, f"{path} must not import Django"
        if parts[0] == "seaway" and len(parts) > 1 and parts[1] in LEVEL and parts[1] != floor:
            assert LEVEL[parts[1]] < LEVEL[floor], f"{path} imports {module}, a floor below"
