"""The fuzz targets run, and find nothing in a second."""

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


def test_a_finding_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(data: bytes) -> None:
        raise AssertionError("found")

    assert mutation_loop(broken, lambda source: source.randbytes(4), 60, seed=1) == 1
    assert "found" in capsys.readouterr().out
