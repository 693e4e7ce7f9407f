"""Which events are told together."""

import pytest

from seaway.layers.base import Position
from seaway.layers.local import wire
from seaway.layers.local.run import RUN_BYTES, Run


def publish(id_: int, topic: str = "t", data: bytes = b"x") -> wire.Publish:
    return wire.Publish(id_, topic, data, 0, 1.0)


def test_what_follows_is_taken() -> None:
    run = Run(publish(7, data=b"a"), Position("e", 3))
    assert run.take(publish(8, data=b"b"), Position("e", 4))
    assert run.take(publish(9, data=b"c"), Position("e", 5))
    assert run.published() == wire.Published("t", "e", 3, [b"a", b"b", b"c"])
    assert run.placed() == wire.Placed(7, "e", 3, 3)


@pytest.mark.parametrize(
    ("request_", "position"),
    [
        (publish(9), Position("e", 4)),
        (publish(8, "other"), Position("e", 4)),
        (publish(8), Position("e", 5)),
        (publish(8), Position("f", 4)),
    ],
)
def test_what_does_not_follow_is_not(request_: wire.Publish, position: Position) -> None:
    run = Run(publish(7), Position("e", 3))
    assert not run.take(request_, position)
    assert run.placed() == wire.Placed(7, "e", 3, 1)


def test_a_run_ends_when_it_has_enough() -> None:
    run = Run(publish(1, data=b"x" * (RUN_BYTES - 1)), Position("e", 1))
    assert run.take(publish(2), Position("e", 2))
    assert not run.take(publish(3), Position("e", 3))
