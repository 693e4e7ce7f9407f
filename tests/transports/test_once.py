"""Connections that break between a call and its answer, under two real worker processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.server.harness import ServerProcess
from tests.transports.conftest import Project, wire

TOPIC = "desks/box-office"


@pytest.fixture
def workers(project: Project) -> Iterator[ServerProcess]:
    with project.serve(workers=2) as server:
        server.says("2 workers")
        yield server


async def test_a_call_whose_answer_was_lost_takes_effect_once(
    project: Project, workers: ServerProcess
) -> None:
    answered_by: Counter[bool] = Counter()
    for number in range(30):
        call = {
            "type": "call", "topic": TOPIC, "action": "sell", "key": f"{number:032x}",
            "args": {"ticket": f"t{number}", "seconds": 0.05 * (number % 3)},
        }  # fmt: skip
        async with wire(workers) as client:
            await client.ask(type="join", topic=TOPIC)
            await client.send(id=9, **call)
        async with wire(workers) as client:
            here = (await client.ask(type="join", topic=TOPIC))["data"]
            answer = await client.ask(**call)
            assert answer["type"] == "reply"
            answered_by[answer["data"] == here] += 1
            assert await client.ask(**call) == answer | {"id": answer["id"] + 1}
    sold = (project.folder / "sold").read_text(encoding="utf-8").split()
    assert sorted(sold) == sorted(f"t{number}" for number in range(30))
    assert len(answered_by) == 2, "every repetition met the process of its first attempt"
