"""``seaway layer check``: what it finds on a layer that works, and says of one that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seaway.layers import checkup
from seaway.layers.base import Layer
from seaway.layers.checkup import Finding, check_layer
from seaway.layers.engines import make_layer
from seaway.server.layer_command import layer


def check(*arguments: str, **environment: str | None) -> Result:
    env = {"DJANGO_SETTINGS_MODULE": None, **environment}
    return CliRunner().invoke(layer, ["check", *arguments], env=env)


def test_all_of_a_layer_is_used_and_measured(tmp_path: Path) -> None:
    result = check(f"local://{tmp_path}")
    assert result.exit_code == 0
    words = [line.split()[:2] for line in result.output.splitlines()]
    assert words == [["ok", "connect"], ["ok", "streams"], ["ok", "queues"], ["ok", "presence"]]
    assert "200 events, published to received: p50 " in result.output


def test_memory_is_said_to_reach_nobody() -> None:
    result = check("memory://")
    assert result.exit_code == 0
    assert "It joins no processes" in result.output


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redsi://localhost", "Did you mean redis://?"),
        ("redis://127.0.0.1:1?timeout=0.2", "cannot be reached"),
        ("redis://localhost?timeuot=3", "Did you mean timeout?"),
        ("postgres://me:se#cret@localhost/mine", "takes nothing after a #"),
    ],
)
def test_trouble_is_one_line_and_a_status(url: str, words: str) -> None:
    result = check(url)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("ERROR trouble")
    assert words in line
    assert "cret" not in line


@pytest.mark.parametrize("namespace", ["", "Shop", "a b", "-a", "a" * 41])
def test_a_namespace_that_no_project_can_have_is_refused(namespace: str) -> None:
    result = check("memory://", "--namespace", namespace)
    assert result.exit_code == 2
    assert "--namespace" in result.output


def test_without_an_address_and_a_project_it_asks_for_one() -> None:
    result = check()
    assert result.exit_code == 1
    assert "name a layer" in result.output


def test_the_layer_of_a_project() -> None:
    result = check(DJANGO_SETTINGS_MODULE="tests.settings")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("ok    connect")


async def test_an_engine_that_loses_events_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "PATIENCE", 0.3)
    # Two brokers: what is published on the one is never heard on the other.
    places: Iterator[Path] = iter([tmp_path / "here", tmp_path / "there"])
    findings: list[Finding] = []

    def make() -> Layer:
        return make_layer(f"local://{next(places)}", namespace="seaway", place="seaway")

    assert not await check_layer(make, findings.append)
    assert [finding.well for finding in findings] == [True, False]
    assert "did not arrive within 0.3 s" in findings[-1].seen
