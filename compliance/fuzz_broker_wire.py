"""Fuzz the embedded broker: a real one, hostile bytes, and a well-behaved client beside them.

Run ``python -m compliance.fuzz_broker_wire [--seconds 30] [--seed 0]``. Exits with 1 when the
broker dies, loses a member or an event of the well-behaved client, or answers it too late. The seed
is printed: a failure can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable

import msgspec

from seaway.layers.base import Position, PresenceChange, Publication
from seaway.layers.local import frames, queue_wire, wire
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import find_place, lock_of

SAMPLES: list[wire.Request] = [
    wire.Hello(wire.WIRE_VERSION, 10.0, "hostile"),
    wire.Publish(1, "topic", b"data", 10, 60.0),
    wire.Watch(2, "topic"),
    wire.Unwatch(3, "topic"),
    wire.Where(4, "topic"),
    wire.Read(5, "topic", "epoch", 0, 100),
    wire.Enter(6, "topic", {"member": b"info"}, {"member": "person"}),
    wire.Leave(7, "topic", "member"),
    wire.Members(8, "topic"),
    wire.Renew(9),
    wire.Headcount(10, "topic"),
    wire.Bye(11),
    queue_wire.Send(12, "channel", b"data", 5, 0.01, 0.01, 1.0, "order", "once"),
    queue_wire.Receive(13, "channel", 3, 0.01, 0.02, 2),
    queue_wire.Receive(14, "channel", 3, 1000.0, 0.02, 2),
    queue_wire.Cancel(15, 14),
    queue_wire.Ack(16, "channel", "receipt"),
    queue_wire.Nack(17, "channel", "receipt", 1.0, True, "reason"),
    queue_wire.Extend(18, "channel", "receipt", 1.0),
    queue_wire.Close(19, "channel", False),
    queue_wire.Channels(20),
    queue_wire.State(21, "channel"),
    queue_wire.Purge(22, "channel"),
    queue_wire.DeadLetters(23, "channel", 10),
    queue_wire.Replay(24, "channel", None),
    queue_wire.Discard(25, "channel", ["id"]),
]
STRANGE: list[object] = [
    None,
    True,
    -1,
    2**63,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x" * 1000,
    b"",
    [],
    {},
    "ü",
]


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(1, 200))


def noise_in_a_frame(rng: random.Random) -> bytes:
    return frame(rng.randbytes(rng.randint(0, 100)))


def flipped(rng: random.Random) -> bytes:
    """A sound conversation with a few wrong bytes."""
    data = bytearray(b"".join(map(frames.frame, rng.choices(SAMPLES, k=5))))
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def strange_fields(rng: random.Random) -> bytes:
    """The right shape with a field of the wrong type or an extreme value."""
    fields = msgspec.msgpack.decode(frames.frame(rng.choice(SAMPLES))[4:])
    fields[rng.randrange(len(fields))] = rng.choice(STRANGE)
    if rng.random() < 0.3:
        fields = fields[: rng.randint(0, len(fields))] + rng.choices(STRANGE, k=rng.randint(0, 3))
    return frame(msgspec.msgpack.encode(fields))


def broken_off(rng: random.Random) -> bytes:
    data = frames.frame(rng.choice(SAMPLES))
    return data[: rng.randrange(len(data))]


def sound(rng: random.Random) -> bytes:
    return b"".join(map(frames.frame, rng.choices(SAMPLES[1:], k=rng.randint(1, 50))))


ATTACKS: list[Callable[[random.Random], bytes]] = [
    noise, noise_in_a_frame, flipped, strange_fields, broken_off, sound,
]  # fmt: skip


class Listener:
    """Counts the events of a topic that only the well-behaved client publishes on."""

    def __init__(self) -> None:
        self.last = 0
        self.left: list[str] = []

    def published(self, topic: str, publication: Publication) -> None:
        if publication.position.offset != self.last + 1:
            raise SystemExit(f"a hole: {publication.position.offset} after {self.last}")
        self.last = publication.position.offset

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.left += change.left

    def restored(self, topic: str, position: Position) -> None:
        raise SystemExit("the broker was lost")


async def attack(path: str, rng: random.Random) -> None:
    """One hostile connection; greets properly in most cases, to get further."""
    reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.suppress(ConnectionError, TimeoutError):
        if rng.random() < 0.8:
            writer.write(frames.frame(SAMPLES[0]))
        for _ in range(rng.randint(1, 4)):
            writer.write(rng.choice(ATTACKS)(rng))
            await writer.drain()
        async with asyncio.timeout(0.02):
            await reader.read(2**16)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def fuzz(seconds: float, seed: int) -> int:
    rng = random.Random(seed)  # noqa: S311  repeatable, not secret
    with tempfile.TemporaryDirectory() as directory:
        place = find_place("fuzz", directory)
        layer, listener = LocalLayer(place, linger=0.2), Listener()
        await layer.start(listener)
        await layer.watch("ours")
        await layer.enter("ours", "we", b"")
        pid = lock_of(place.socket).read_text()
        attacks = published = 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await asyncio.gather(*(attack(str(place.socket), rng) for _ in range(8)))
            attacks += 8
            published += 1
            position = await layer.publish("ours", b"x")
            if position.offset != published or listener.last != published:
                raise SystemExit(f"published {published}, at {position}, heard {listener.last}")
            await layer.send("ours", b"x%d" % published)
            [delivery] = await layer.receive("ours")
            if delivery.data != b"x%d" % published or not await layer.ack(delivery):
                raise SystemExit(f"sent {published}, received {delivery}")
            if await layer.members("ours") != {"we": b""} or listener.left:
                raise SystemExit("our member is gone")
        if lock_of(place.socket).read_text() != pid:
            raise SystemExit("the broker is another process now")
        log = place.log.read_text()
        if "Traceback" in log:
            raise SystemExit(
                f"the broker's log has a traceback: {log[log.index('Traceback') :][:3000]}"
            )
        await layer.close()
    return attacks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    attacks = asyncio.run(fuzz(options.seconds, options.seed))
    sys.stdout.write(f"{attacks} hostile connections; the broker kept all its promises\n")


if __name__ == "__main__":
    main()
