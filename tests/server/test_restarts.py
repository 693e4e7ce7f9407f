"""The delays between crashes, without processes."""

import pytest

from seaway.server.restarts import Restarts


def test_delays_double_up_to_the_most() -> None:
    restarts = Restarts()
    delays = [restarts.after(lived=0.5, now=100.0) for _ in range(20)]
    assert delays[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert delays[8:] == [30.0] * 12


def test_after_a_long_life_a_crash_is_the_first_one() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.after(lived=0.5, now=100.0)
    assert restarts.after(lived=31.0, now=100.0) == pytest.approx(0.1)
    assert restarts.after(lived=0.5, now=100.0) == pytest.approx(0.2)


def test_each_is_taken_once_and_when_it_is_due() -> None:
    restarts = Restarts()
    for lived in (31.0, 31.0, 0.0):
        restarts.after(lived, now=100.0)
    assert restarts.take(100.05) == 0
    assert restarts.take(100.15) == 2
    assert restarts.take(100.15) == 0
    assert restarts.due == [pytest.approx(100.2)]
    restarts.clear()
    assert restarts.take(200.0) == 0
