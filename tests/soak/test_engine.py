"""A short soak of engines: every fault once, nothing lost in silence, and everybody told."""

import json

import pytest
from soak.engine import FAULTS

from tests.commands import said
from tests.servers.namespace import why_not

OPTIONS = [
    "--seconds",
    "1",
    "--subscribers",
    "40",
    "--tasks",
    "600",
    "--pause",
    "1",
    "--calm",
    ".4",
]

_COMMON = {"cut_server", "cut_publisher", "engine_kill", "engine_pause"}
#: Engine → the faults that it has, and how it is cut off.
COURSES = {
    "local": (_COMMON, "proxy"),
    "redis": (_COMMON | {"engine_full"}, "proxy"),
    "nats": (_COMMON, "namespace"),
}


@pytest.mark.parametrize("engine", COURSES)
def test_an_engine_under_faults_loses_nothing_in_silence(engine: str) -> None:
    own, network = COURSES[engine]
    if network == "namespace" and why_not():
        pytest.skip(f"no process can be cut off here: {why_not()}")
    arguments = ("-m", "soak", "--engine", engine, "--network", network, *OPTIONS)
    lines = said(*arguments, patience=180).splitlines()
    figures = json.loads(lines[-1])
    assert [figures[name] for name in FAULTS] == [0] * len(FAULTS), lines
    assert lines[0].startswith(f"network cut ({network}): ")
    course = own | {"kill_worker", "kill_publisher", "visitors", "burst"}
    assert {line.partition(":")[0] for line in lines if ": " in line} >= course
    assert len(figures["faults"]) == len(course)
    assert {f"network cut ({network}): server", "kill_worker"} <= figures["faults"].keys()
    assert figures["deliveries"] >= 40 * 10_000 / 4
    assert figures["tasks_sent"] > 0
    assert figures["visits"] > 0
    if engine == "redis":
        assert figures["told_full"] > 0
        assert figures["gaps_told"] >= 40  # a killed server's epoch ends with it
