"""What the broker remembers of a client stays within bounds."""

from seaway.layers.local.clients import ANSWERS, RECEIPTS, Client
from seaway.layers.memory.desk import Desk, Waiting
from seaway.layers.memory.queue_store import QueueStore


def test_as_many_answers_are_remembered_as_a_client_may_wait_for() -> None:
    client = Client("mine")
    for id_ in range(1, ANSWERS + 10):
        assert client.is_new(id_)
        client.remember(id_, b"answer")
    assert client.answer(9) is None
    assert client.answer(10) == b"answer"
    assert not client.is_new(9)


def test_receipts_are_remembered_by_their_number() -> None:
    client = Client("mine")
    receipts = [str(n) for n in range(RECEIPTS // 4)]
    for id_ in range(1, 10):
        client.remember_handed(id_, "c", receipts)
    assert list(client.handed) == [6, 7, 8, 9]
    client.remember_handed(10, "c", receipts * 8)
    assert list(client.handed) == [10]
    assert client.take_handed(10) == ("c", receipts * 8)
    client.remember_handed(11, "c", receipts)
    assert list(client.handed) == [11]


def test_what_waited_is_done_when_it_is_asked_again_and_then_no_more() -> None:
    client, desk = Client("mine"), Desk(QueueStore())
    assert client.is_new(1)
    client.waiting[1] = Waiting("c", lambda: None, lambda result: None, lambda: True)
    client.stop_waiting(desk)
    assert client.is_new(1)
    assert not client.is_new(1)


def test_what_was_given_up_while_the_client_was_away_is_not_waited_for() -> None:
    client, desk = Client("mine"), Desk(QueueStore())
    assert client.is_new(1)
    client.waiting[1] = Waiting("c", lambda: None, lambda result: None, lambda: True)
    client.stop_waiting(desk)
    assert client.cancel(1) is None
    assert not client.is_new(1)
