"""What a handler declares, and the table of handlers."""

from __future__ import annotations

import msgspec
import pytest

from seaway import Backoff, ConfigurationError, channel
from seaway.channels.handlers import handlers


def test_the_function_stays_what_it_is_and_is_found_by_its_channel() -> None:
    @channel("work").handler(concurrency=3)
    def work(value: int) -> int:
        return value * 2

    assert work(2) == 4
    found = handlers.get("work")
    assert found is not None
    assert (found.function, found.concurrency, found.takes_delivery) == (work, 3, False)


def test_a_second_parameter_takes_the_delivery() -> None:
    @channel("work").handler()
    async def work(value: int, delivery: object) -> None: ...

    found = handlers.get("work")
    assert found is not None
    assert found.takes_delivery
    assert found.asynchronous


def test_another_number_of_parameters_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="this one takes 3"):

        @channel("work").handler()
        def work(a: int, b: int, c: int) -> None: ...


def test_one_channel_has_one_handler() -> None:
    @channel("work").handler()
    def first(value: int) -> None: ...

    with pytest.raises(ConfigurationError, match="has two handlers"):

        @channel("work").handler()
        def second(value: int) -> None: ...


def test_values_are_validated_from_the_annotation() -> None:
    @channel("work").handler()
    def work(value: dict[str, int]) -> None: ...

    found = handlers.get("work")
    assert found is not None
    assert found.decode(b'{"a":1}') == {"a": 1}
    with pytest.raises(msgspec.ValidationError):
        found.decode(b'{"a":"one"}')


def test_backoff_doubles_up_to_its_longest() -> None:
    backoff = Backoff(first=1, longest=10)
    for attempt, longest in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (5000, 10)):
        assert longest * 0.75 <= backoff.after(attempt) <= longest
    with pytest.raises(ValueError, match="first <= longest"):
        Backoff(first=2, longest=1)
