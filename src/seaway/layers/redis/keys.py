"""The names of keys, and the hash slots that they are in.

What lives here: how a topic's, a channel's and a process's keys are called.
What must not: what is kept under them; the scripts in ``lua/`` say so.

All keys of one topic have one hash tag, and so one slot of a cluster. It begins with a letter and a
dot, so that no legal name can make an empty one. The name of a topic's stream, or of a channel, is
the name under which its news are announced, too; those names do not know databases, hence `root`.
"""

from __future__ import annotations

from binascii import crc_hqx

SLOTS = 16384

#: What follows the tag in the keys that the scripts of queues name, in their order.
_QUEUE_PARTS = (
    b"", b".records", b".data", b".ready", b".delayed", b".held", b".expiring", b".lines",
    b".dead", b".graves", b".once", b".onceends", b".ids0", b".ids1",
)  # fmt: skip


def root(namespace: str, database: int) -> bytes:
    """What every key and channel of a project begins with."""
    return (f"{namespace}@{database}" if database else namespace).encode()


def stream_keys(root: bytes, topic: str) -> list[bytes]:
    """KEYS of ``stream.lua``."""
    base = root + b":{t." + topic.encode() + b"}"
    return [base, base + b".history", base + b".ids0", base + b".ids1"]


def once_keys(root: bytes, topic: str, once: str) -> list[bytes]:
    """What KEYS of ``publish.lua`` has besides: nothing without ``once``."""
    return [root + b":{t." + topic.encode() + b"}.once." + once.encode()] if once else []


def presence_keys(root: bytes, topic: str) -> list[bytes]:
    """KEYS of ``presence.lua``."""
    base = root + b":{t." + topic.encode() + b"}"
    return [base, base + b".members", base + b".people"]


def queue_keys(root: bytes, channel: str) -> list[bytes]:
    """KEYS of ``queue.lua``."""
    base = root + b":{c." + channel.encode() + b"}"
    return [base + part for part in _QUEUE_PARTS]


def channels_key(root: bytes) -> bytes:
    """The register of channels."""
    return root + b":{channels}"


def process_keys(root: bytes, process: bytes) -> list[bytes]:
    """The register of processes, and the topics in which one has members."""
    return [root + b":{processes}", root + b":{processes}." + process]


def slot(key: bytes) -> int:
    """A key's hash slot, by the rules of Redis Cluster's specification, "Keys distribution model".

    CRC16 there is XMODEM's, which `binascii.crc_hqx` computes.
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS
