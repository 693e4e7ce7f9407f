"""Consumers come and go: what is left of a thousand is what is left of one."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest

from seaway.consumers import AsyncWebsocketConsumer, WebsocketConsumer
from seaway.consumers.run import Run
from tests.consumers.conftest import layer_of
from tests.server.harness import (
    CLOSE,
    TEXT,
    RunningServer,
    masked,
    serving,
    upgrade_request,
    wait_until,
)

#: Connections of one round, all open at the same time.
CONNECTIONS = 60
WARM_UP, ROUNDS = 2, 5
NORMAL = (1000).to_bytes(2, "big")


class Echo(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data=text_data)

    async def chat_message(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncEcho(WebsocketConsumer):
    groups = ["chat"]

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.send(text_data=text_data)

    def chat_message(self, event: Any) -> None:
        self.send(text_data=event["text"])


def consumers() -> int:
    """How many there are, collected or not."""
    return sum(isinstance(one, Run) for one in gc.get_objects())


def come_and_go(server: RunningServer) -> None:
    """Connect, echo, hear from the group, close: half of them in order, half without a word."""
    clients = [server.connect() for _ in range(CONNECTIONS)]
    for number, client in enumerate(clients):
        client.send(upgrade_request() + masked(TEXT, b"%d" % number))
        assert b" 101 " in client.receive_until(b"\r\n\r\n")
        assert client.frame() == (TEXT, b"%d" % number)
    message = {"type": "chat.message", "text": "all"}
    on_loop(server, layer_of().group_send("chat", message))
    for client in clients:
        assert client.frame() == (TEXT, b"all")
    for client in clients[::2]:
        client.send(masked(CLOSE, NORMAL))
        assert client.frame() == (CLOSE, NORMAL)
    for client in clients:
        client.__exit__()


def on_loop(server: RunningServer, work: Any) -> Any:
    """Await something on the server's loop."""
    loop = server.runner._loop
    assert loop is not None
    return asyncio.run_coroutine_threadsafe(work, loop).result(20)


def settled_blocks(server: RunningServer, others: int) -> int:
    """The blocks of memory that Python's objects take, once all that can go has gone.

    :param others: consumers of other tests.
    """
    wait_until(lambda: gc.collect() >= 0 and consumers() <= others, "the consumers to go")
    numbers = on_loop(server, layer_of().statistics())
    assert (numbers["channels"], numbers["groups"]) == (0, 0)
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
def test_connections_that_have_gone_leave_nothing(consumer: Any) -> None:
    gc.collect()
    others = consumers()
    with serving(consumer.as_asgi()) as server:
        held = []
        for _ in range(WARM_UP + ROUNDS):
            come_and_go(server)
            held.append(settled_blocks(server, others))
    growth = held[-1] - held[WARM_UP - 1]
    assert growth < ROUNDS * CONNECTIONS // 2, held
