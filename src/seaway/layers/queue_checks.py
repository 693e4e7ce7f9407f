"""What every engine checks before it touches a channel, in the same words.

What lives here: the checks of arguments of `seaway.layers.queues.Queues`.
What must not: checks that need an engine.
"""

from __future__ import annotations

from seaway.layers.base import check_name, check_size

REASON_LENGTH = 500


def check_channel(name: str) -> str:
    """Return a channel's name, or raise `InvalidName`."""
    return check_name(name, "channel name")


def check_send(
    channel: str,
    data: bytes,
    max_data: int,
    *,
    capacity: int,
    wait: float,
    delay: float,
    ttl: float | None,
    order: str,
    once: str,
) -> None:
    """Raise what `Queues.send` raises for arguments that cannot be."""
    check_channel(channel)
    if order:
        check_name(order, "order")
    if once:
        check_name(once, "once key")
    check_size(data, max_data)
    check_count(capacity, "capacity")
    check_seconds(wait, "wait")
    check_seconds(delay, "delay")
    if ttl is not None:
        check_seconds(ttl, "ttl")


def check_receive(channel: str, *, limit: int, wait: float, lease: float, tries: int) -> None:
    """Raise what `Queues.receive` raises for arguments that cannot be."""
    check_channel(channel)
    check_count(limit, "limit")
    check_count(tries, "tries")
    check_seconds(wait, "wait")
    check_lease(lease)


def check_lease(seconds: float) -> None:
    """For `Queues.extend` too."""
    if not seconds > 0:  # written so that it is true of NaN
        raise ValueError(f"A lease lasts longer than nothing; {seconds} does not.")


def check_seconds(seconds: float, what: str) -> None:
    if not seconds >= 0:
        raise ValueError(f"{what} is a number of seconds from 0 up, not {seconds}.")


def check_count(count: int, what: str) -> None:
    if count < 1:
        raise ValueError(f"{what} is a number from 1 up, not {count}.")


def check_letters(channel: str, limit: int, skip: int) -> str:
    """For `Queues.dead_letters`; returns the channel's name."""
    check_count(limit, "limit")
    if skip < 0:
        raise ValueError(f"skip is a number from 0 up, not {skip}.")
    return check_channel(channel)


def one_line(reason: str) -> str:
    """A reason for a dead letter as it is kept: one line of at most `REASON_LENGTH` characters."""
    return " ".join(reason.split())[:REASON_LENGTH]
