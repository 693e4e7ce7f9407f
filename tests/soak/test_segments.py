"""The checker of an engine's soak: it must find what it looks for, and nothing else."""

from soak.segments import Ledger, Sightings


def published(last: int, epoch: str = "e") -> Ledger:
    """Events 1 to ``last``; event n has the number 100 + n."""
    ledger = Ledger()
    for offset in range(1, last + 1):
        ledger.add(epoch, offset, 100 + offset)
    return ledger


def seen(*offsets: int, start: int = 0) -> Sightings:
    sightings = Sightings()
    sightings.joined("e", start, False)
    for offset in offsets:
        sightings.event(offset, 100 + offset)
    return sightings


def account(ledger: Ledger, sightings: Sightings) -> tuple[int, int, int, int]:
    """Lost, duplicated, reordered, gaps told."""
    lost = ledger.missed(sightings) + ledger.conflicts
    return lost, sightings.duplicated, sightings.reordered, sightings.gaps


def test_a_clean_account_is_clean() -> None:
    assert account(published(5), seen(1, 2, 3, 4, 5)) == (0, 0, 0, 0)
    assert account(published(5), seen(3, 4, 5, start=2)) == (0, 0, 0, 0)


def test_a_hole_is_a_loss() -> None:
    assert account(published(5), seen(1, 2, 5)) == (2, 0, 0, 0)


def test_what_never_came_at_the_end_is_a_loss() -> None:
    ledger = published(5)
    sightings = seen(1, 2, 3)
    assert ledger.lacks(sightings.position)
    assert account(ledger, sightings) == (2, 0, 0, 0)
    assert not ledger.lacks(seen(1, 2, 3, 4, 5).position)


def test_a_repeated_event_is_found() -> None:
    assert account(published(3), seen(1, 2, 2, 3)) == (0, 1, 0, 0)
    assert account(published(3), seen(1, 2, 3, 1)) == (0, 1, 0, 0)


def test_events_out_of_order_are_found() -> None:
    """3 before 2: the 2 is missing where it should be, and what comes later is not it any more."""
    lost, duplicated, reordered, gaps = account(published(4), seen(1, 3, 2, 4))
    assert (lost, reordered) == (1, 1)
    assert (duplicated, gaps) == (0, 0)


def test_another_event_in_its_place_is_a_loss() -> None:
    sightings = seen(1, 2)
    sightings.event(3, 999)
    assert account(published(3), sightings) == (1, 0, 0, 0)


def test_two_events_with_one_position_are_a_loss() -> None:
    ledger = published(3)
    ledger.add("e", 3, 999)
    assert ledger.conflicts == 1


def test_a_gap_that_was_told_excuses_what_lies_in_it() -> None:
    sightings = seen(1, 2)
    sightings.joined("e", 4, False)
    sightings.event(5, 105)
    assert account(published(5), sightings) == (0, 0, 0, 1)


def test_a_gap_excuses_nothing_before_and_nothing_after_it() -> None:
    sightings = seen(1, 3)
    sightings.joined("e", 5, False)
    sightings.event(7, 107)
    assert account(published(8), sightings) == (3, 0, 0, 1)


def test_a_new_epoch_is_a_gap_and_begins_anew() -> None:
    ledger = published(5)
    for offset in (1, 2):
        ledger.add("f", offset, 200 + offset)
    sightings = seen(1, 2)
    assert ledger.lacks(sightings.position)
    sightings.joined("f", 0, False)
    sightings.event(1, 201)
    assert account(ledger, sightings) == (1, 0, 0, 1)
    sightings.event(2, 202)
    assert account(ledger, sightings) == (0, 0, 0, 1)


def test_resuming_goes_on_where_it_was() -> None:
    sightings = seen(1, 2)
    sightings.joined("e", 2, True)
    sightings.event(3, 103)
    assert account(published(3), sightings) == (0, 0, 0, 0)
    assert len(sightings.segments) == 1


def test_resuming_from_somewhere_else_is_a_loss_and_no_gap() -> None:
    sightings = seen(1, 2)
    sightings.joined("e", 4, True)
    sightings.event(5, 105)
    lost, *_, gaps = account(published(5), sightings)
    assert (lost, gaps) == (1, 0)


def test_somebody_who_saw_nothing_has_lost_everything_since_the_join() -> None:
    assert account(published(4), seen(start=1)) == (3, 0, 0, 0)
