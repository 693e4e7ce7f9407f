"""The fuzz targets run, and find nothing in a second; the suites run, and find nothing."""

from collections.abc import Iterator
from typing import Any

import pytest
from compliance.fuzzing import mutation_loop
from compliance.server import seaway
from compliance.websocket import CASES, LARGEST, check, echo
from compliance.websocket_cases import Case

from tests.commands import ROOT, python, said

SUITE = ("-m", "compliance.websocket")
TARGETS = sorted(path.stem for path in (ROOT / "compliance").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzz_target_finds_nothing(target: str) -> None:
    assert said("-m", f"compliance.{target}", "--seconds", "1", "--seed", "7")


@pytest.mark.parametrize("arguments", [["http1"], ["http2"], ["http2", "--tls", "--pace", "1"]])
def test_a_conformance_suite_finds_nothing(arguments: list[str]) -> None:
    suite, *options = arguments
    assert said("-m", f"compliance.{suite}", *options, patience=120).endswith(" cases\n")


def test_a_finding_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(data: bytes) -> None:
        raise AssertionError("found")

    assert mutation_loop(broken, lambda source: source.randbytes(4), 60, seed=1) == 1
    assert "found" in capsys.readouterr().out


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with seaway(echo, max_message_bytes=LARGEST) as port:
        yield port


@pytest.mark.parametrize("case", [case for case in CASES if case.size <= 1 << 20], ids=str)
def test_websocket_case(case: Case, port: int) -> None:
    assert check(case, "127.0.0.1", port) == ""


async def wrong_echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers text with bytes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        data = message.get("bytes") or message.get("text", "").encode()
        await send({"type": "websocket.send", "bytes": data})


def test_the_websocket_command_starts_a_server_and_asks_it() -> None:
    done = python(*SUITE, "--only", "4.2.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" cases strictly, 0 non-strict\n")


def test_the_websocket_command_finds_what_is_wrong() -> None:
    with seaway(wrong_echo) as port:
        done = python(*SUITE, "--port", str(port), "--only", "7 bytes", "--largest", "1000")
    assert done.returncode == 1
    assert "5.2 127 bytes, text: opcode 2, not 1" in done.stdout
    assert "127 bytes, binary" not in done.stdout


def test_the_websocket_command_tells_what_is_not_strict() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            pass

    with seaway(hasty) as port:
        done = python(*SUITE, "--port", str(port), "--only", "reserved opcode 3")
    assert done.returncode == 1
    assert "reserved opcode 3: non-strict: the message before it has no answer" in done.stdout
    assert done.stdout.endswith("0 of 4 cases strictly, 4 non-strict\n")
