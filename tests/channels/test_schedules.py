"""What the reference says is kept of CSP, over random schedules of senders, receivers, selects,
closes, cancellations and time-outs."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.channels.play import AWAY, HOME, Move, moves, play, scripts, turns
from tests.channels.schedules import Selecting, drained, exchange, in_order, tried

#: No shrinking: the schedules are short, and one that hangs would be run for minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
few = settings(
    max_examples=15,
    phases=PHASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
many = settings(few, max_examples=100)

actors = st.lists(scripts, min_size=1, max_size=3)


@many
@given(capacity=st.integers(1, 3), senders=actors, receivers=actors)
def test_each_value_reaches_one_receiver(
    capacity: int, senders: list[list[Move]], receivers: list[list[Move]]
) -> None:
    play(HOME, lambda: exchange(HOME, capacity, senders, receivers))


@few
@given(capacity=st.integers(1, 3), senders=actors, receivers=actors)
def test_each_value_reaches_one_receiver_on_another_loop(
    capacity: int, senders: list[list[Move]], receivers: list[list[Move]]
) -> None:
    play(AWAY, lambda: exchange(AWAY, capacity, senders, receivers))


# Order over many receivers -----------------------------------------------------------------------


@many
@given(
    senders=actors,
    workers=st.lists(st.lists(st.booleans(), max_size=8), min_size=1, max_size=3),
    capacity=st.integers(1, 4),
)
def test_values_of_one_order_are_done_in_order_by_any_number_of_receivers(
    senders: list[list[Move]], workers: list[list[bool]], capacity: int
) -> None:
    play(HOME, lambda: in_order(senders, workers, capacity))


# Closing -----------------------------------------------------------------------------------------


@many
@given(
    senders=actors,
    receivers=st.integers(1, 3),
    closing=st.integers(0, 30),
    capacity=st.integers(1, 3),
)
def test_a_closed_channel_is_drained_then_ends_every_loop(
    senders: list[list[Move]], receivers: int, closing: int, capacity: int
) -> None:
    play(HOME, lambda: drained(senders, receivers, closing, capacity))


# Select ------------------------------------------------------------------------------------------


contents = st.lists(st.integers(0, 4), min_size=1, max_size=3)


@many
@given(
    values=contents,
    events=st.integers(0, 4),
    script=st.lists(moves, max_size=20),
    later=st.lists(turns, max_size=4),
)
def test_select_takes_from_exactly_one(
    values: list[int], events: int, script: list[Move], later: list[int]
) -> None:
    play(HOME, lambda: Selecting(HOME, values, events).run(script, later))


@few
@given(
    values=contents,
    events=st.integers(0, 4),
    script=st.lists(moves, max_size=20),
    later=st.lists(turns, max_size=4),
)
def test_select_takes_from_exactly_one_on_another_loop(
    values: list[int], events: int, script: list[Move], later: list[int]
) -> None:
    play(AWAY, lambda: Selecting(AWAY, values, events).run(script, later))


# Tries -------------------------------------------------------------------------------------------


@many
@given(
    fates=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=8),
    receivers=st.integers(1, 3),
)
def test_a_value_is_done_once_or_dead_after_its_tries(
    fates: list[list[bool]], receivers: int
) -> None:
    play(HOME, lambda: tried(fates, receivers))
