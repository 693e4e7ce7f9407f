"""What a connected process asks about channels, and how it is answered.

What lives here: one function for each message of `queue_wire`; `HANDLERS` joins them.
What must not: the state of channels (`seaway.layers.memory.queue_store`), or who waits (`desk`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from seaway.exceptions import (
    ChannelClosed,
    ChannelFull,
    LayerError,
    PayloadTooLarge,
    ProtocolError,
)
from seaway.layers.base import Position
from seaway.layers.local import frames, queue_wire, wire
from seaway.layers.queue_checks import check_lease, check_receive, check_seconds, check_send
from seaway.layers.queues import Delivery

if TYPE_CHECKING:
    from seaway.layers.local.session import Session

#: Bytes of dead letters in one answer.
LETTER_BYTES = 4 * 1024 * 1024


def send(session: Session, request: queue_wire.Send) -> None:
    channel, capacity = request.channel, request.capacity
    try:
        check_send(
            channel, request.data, frames.MAX_FRAME, capacity=capacity, wait=request.wait,
            delay=request.delay, ttl=request.ttl, order=request.order, once=request.once,
        )  # fmt: skip
    except (ValueError, PayloadTooLarge) as error:
        raise ProtocolError(str(error)) from error
    desk, id_ = session.desk, request.id
    attempt = partial(
        desk.store.send, channel, request.data, capacity=capacity, delay=request.delay,
        ttl=request.ttl, order=request.order, once=request.once,
    )  # fmt: skip

    def done(result: str | LayerError) -> None:
        session.client.waiting.pop(id_, None)
        if isinstance(result, LayerError):
            _refuse(session, id_, result)
        else:
            session.answer(queue_wire.Sent(id_, result), remember=True)

    waiting = desk.send(channel, attempt, done, capacity=capacity, wait=request.wait)
    if waiting is not None:
        session.client.waiting[id_] = waiting


def receive(session: Session, request: queue_wire.Receive) -> None:
    channel = request.channel
    try:
        check_receive(
            channel, limit=request.limit, wait=request.wait, lease=request.lease,
            tries=request.tries,
        )  # fmt: skip
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    desk, client, id_ = session.desk, session.client, request.id
    attempt = partial(
        desk.store.receive, channel, limit=request.limit, lease=request.lease,
        tries=request.tries, holder=client.name,
    )  # fmt: skip

    def done(result: list[Delivery] | LayerError) -> None:
        client.waiting.pop(id_, None)
        if isinstance(result, LayerError):
            _refuse(session, id_, result)
            return
        client.remember_handed(id_, channel, [delivery.receipt for delivery in result])
        _hand(session, id_, result)

    waiting = desk.receive(channel, attempt, done, wait=request.wait)
    if waiting is not None:
        client.waiting[id_] = waiting


def cancel(session: Session, request: queue_wire.Cancel) -> None:
    client, desk = session.client, session.desk
    waiting = client.cancel(request.request)
    if waiting is not None:
        desk.leave(waiting)
    channel, receipts = client.take_handed(request.request)
    if receipts:
        desk.store.release(channel, receipts)
        desk.stir(channel)
    session.answer(wire.Done(request.id))


def ack(session: Session, request: queue_wire.Ack) -> None:
    held = session.desk.store.ack(request.channel, request.receipt)
    session.desk.stir(request.channel)
    session.answer(queue_wire.Held(request.id, held), remember=True)


def nack(session: Session, request: queue_wire.Nack) -> None:
    try:
        check_seconds(request.delay, "delay")
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    if request.counted:
        held = session.desk.store.nack(
            request.channel, request.receipt,
            delay=request.delay, dead=request.dead, reason=request.reason,
        )  # fmt: skip
    else:
        held = session.desk.store.release(request.channel, [request.receipt]) > 0
    session.desk.stir(request.channel)
    session.answer(queue_wire.Held(request.id, held), remember=True)


def extend(session: Session, request: queue_wire.Extend) -> None:
    try:
        check_lease(request.seconds)
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    held = session.desk.store.extend(request.channel, request.receipt, request.seconds)
    session.desk.stir(request.channel)
    session.answer(queue_wire.Held(request.id, held), remember=True)


def close(session: Session, request: queue_wire.Close) -> None:
    session.desk.store.set_closed(request.channel, request.closed)
    session.desk.stir(request.channel)
    session.answer(wire.Done(request.id))


def channels(session: Session, request: queue_wire.Channels) -> None:
    session.answer(queue_wire.Names(request.id, session.desk.store.channels()))


def state(session: Session, request: queue_wire.State) -> None:
    found = session.desk.store.state(request.channel)
    session.answer(
        queue_wire.Numbers(
            request.id, found.waiting, found.delayed, found.held, found.dead, found.closed
        )
    )


def purge(session: Session, request: queue_wire.Purge) -> None:
    count = session.desk.store.purge(request.channel)
    session.desk.stir(request.channel)
    session.answer(queue_wire.Count(request.id, count), remember=True)


def dead_letters(session: Session, request: queue_wire.DeadLetters) -> None:
    letters: list[queue_wire.Letter] = []
    size = 0
    more = False
    for found in session.desk.store.dead_letters(
        request.channel, request.limit, request.skip, request.ids
    ):
        size += len(found.data)
        more = size > LETTER_BYTES and bool(letters)
        if more:
            break
        letters.append(
            queue_wire.Letter(found.id, found.data, found.attempts, found.reason, found.died_at)
        )
    session.answer(queue_wire.Letters(request.id, letters, more))


def replay(session: Session, request: queue_wire.Replay) -> None:
    count = session.desk.store.replay(request.channel, request.ids)
    session.desk.stir(request.channel)
    session.answer(queue_wire.Count(request.id, count), remember=True)


def discard(session: Session, request: queue_wire.Discard) -> None:
    count = session.desk.store.discard(request.channel, request.ids)
    session.answer(queue_wire.Count(request.id, count), remember=True)


def done_before(session: Session, request: wire.Question) -> None:
    """Answer a request that was taken up on an earlier connection."""
    client, id_ = session.client, request.id
    answer = client.answer(id_)
    if isinstance(request, queue_wire.Receive) and id_ in client.handed:
        channel, receipts = client.take_handed(id_)
        held = session.desk.store.deliveries(channel, receipts)
        if receipts and not held:  # the client was away for too long, and others have them
            receive(session, request)
            return
        client.remember_handed(id_, channel, receipts)
        _hand(session, id_, held)
    elif isinstance(answer, Position):
        session.answer(wire.Placed(id_, answer.epoch, answer.offset, 1))
    elif answer is not None:
        session.push(answer)
    else:
        reason = "The connection to the broker was lost for too long."
        session.answer(wire.Refused(id_, reason, wire.Cause.FORGOTTEN))


def _hand(session: Session, id_: int, deliveries: list[Delivery]) -> None:
    parcels = [
        queue_wire.Parcel(delivery.id, delivery.data, delivery.attempt, delivery.receipt)
        for delivery in deliveries
    ]
    session.answer(queue_wire.Handed(id_, parcels))


def _refuse(session: Session, id_: int, error: LayerError) -> None:
    cause = wire.Cause.FAILED
    if isinstance(error, ChannelFull):
        cause = wire.Cause.FULL
    elif isinstance(error, ChannelClosed):
        cause = wire.Cause.CLOSED
    session.answer(wire.Refused(id_, str(error), cause), remember=True)


HANDLERS: dict[type[Any], Callable[[Session, Any], None]] = {
    queue_wire.Send: send,
    queue_wire.Receive: receive,
    queue_wire.Cancel: cancel,
    queue_wire.Ack: ack,
    queue_wire.Nack: nack,
    queue_wire.Extend: extend,
    queue_wire.Close: close,
    queue_wire.Channels: channels,
    queue_wire.State: state,
    queue_wire.Purge: purge,
    queue_wire.DeadLetters: dead_letters,
    queue_wire.Replay: replay,
    queue_wire.Discard: discard,
}
#: What is done once however often it is asked under one id.
CHANGING = frozenset(
    {
        queue_wire.Send, queue_wire.Receive, queue_wire.Ack, queue_wire.Nack, queue_wire.Extend,
        queue_wire.Purge, queue_wire.Replay, queue_wire.Discard, wire.Publish,
    }
)  # fmt: skip
