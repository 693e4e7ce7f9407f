"""The fuzz targets run, and find nothing in a second; the suites run, and find nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from compliance.fuzzing import mutation_loop

ROOT = Path(__file__).parent.parent
TARGETS = sorted(path.stem for path in (ROOT / "compliance").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzz_target_finds_nothing(target: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"compliance.{target}", "--seconds", "1", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("arguments", [["http1"], ["http2"], ["http2", "--tls", "--pace", "1"]])
def test_a_conformance_suite_finds_nothing(arguments: list[str]) -> None:
    suite, *options = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"compliance.{suite}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" cases\n")


def test_a_finding_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(data: bytes) -> None:
        raise AssertionError("found")

    assert mutation_loop(broken, lambda source: source.randbytes(4), 60, seed=1) == 1
    assert "found" in capsys.readouterr().out
