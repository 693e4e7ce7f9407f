"""The JavaScript client: its own tests and its type check, run by Node.js.

What lives here: starting them, and the agreement of what both sides hold. The tests themselves are
in clients/javascript/test. The client against a real server in a real browser is tested elsewhere.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

import seaway

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "clients" / "javascript"
TYPESCRIPT = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"


@pytest.fixture
def node() -> str:
    path = shutil.which("node")
    if path is None:
        pytest.skip("Node.js is not installed: the JavaScript tests were not run")
    return path


def run(*command: str) -> None:
    done = subprocess.run(
        command, cwd=CLIENT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.node
def test_the_clients_own_tests_pass(node: str) -> None:
    files = sorted(str(path.relative_to(CLIENT)) for path in CLIENT.glob("test/*.test.js"))
    assert files
    run(node, "--test", *files)


@pytest.mark.node
def test_the_clients_types_are_sound(node: str) -> None:
    if not TYPESCRIPT.exists():
        pytest.skip("TypeScript is not installed (npm ci in clients/javascript): types not checked")
    run(node, str(TYPESCRIPT), "--project", "tsconfig.json")


def test_every_module_is_served_as_a_static_file() -> None:
    modules = sorted((CLIENT / "src").rglob("*.js"))
    assert modules
    for module in modules:
        name = module.relative_to(CLIENT / "src").as_posix()
        found = finders.find(f"seaway/{name}")
        assert found is not None, f"{name} is not found by staticfiles"
        assert Path(found).read_bytes() == module.read_bytes()


def test_every_import_names_a_file_beside_it() -> None:
    """Browsers resolve no bare names: an import is relative, and spelled with its suffix."""
    for module in (CLIENT / "src").rglob("*.js"):
        for name in re.findall(r'(?:from|import\()\s*"([^"]+)"', module.read_text("utf-8")):
            if name.startswith("/static/"):
                continue  # the example in a comment
            assert name.startswith(("./", "../")), f"{module.name} imports {name}"
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


def test_client_and_package_have_one_version() -> None:
    package = json.loads((CLIENT / "package.json").read_text("utf-8"))
    assert package["version"] == seaway.__version__


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (CLIENT / "package-lock.json").read_text("utf-8")
