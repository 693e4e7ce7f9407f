"""How a consumer sees its messages, and how it ends: what Channels' users complained of, mended."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from seaway.consumers import AsyncWebsocketConsumer, StopConsumer, WebsocketConsumer
from seaway.exceptions import CloseCode
from seaway.testing import WebsocketCommunicator
from tests.consumers.conftest import layer_of
from tests.waiting import until

BOTH = pytest.mark.parametrize("alias", ["default", "memory", "foreign"])


async def group_send(alias: str = "default", **message: Any) -> None:
    await layer_of(alias).group_send("chat", {"type": "chat.message", **message})


async def members(alias: str) -> list[str]:
    layer = layer_of(alias)
    if alias == "foreign":
        return sorted(layer.groups["chat"])
    found: list[str] = await layer.group_channels("chat")
    return found


class Chat(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def chat_message(self, event: Any) -> None:
        await self.send(text_data=event["text"])


# Groups ------------------------------------------------------------------------------------------


@BOTH
async def test_a_refused_connection_never_joins(alias: str) -> None:
    heard: list[Any] = []

    class Refusing(Chat):
        channel_layer_alias = alias

        async def connect(self) -> None:
            await self.close()

        async def chat_message(self, event: Any) -> None:
            heard.append(event)

    communicator = WebsocketCommunicator(Refusing.as_asgi(), "/")
    assert await communicator.connect() == (False, 1000)
    await group_send(alias, text="hello")
    assert await communicator.receive_nothing()
    assert heard == []
    await communicator.disconnect()


@BOTH
async def test_nothing_reaches_a_client_before_it_is_accepted_nor_is_lost_after(alias: str) -> None:
    class Busy(Chat):
        channel_layer_alias = alias

        async def connect(self) -> None:
            await group_send(alias, text="too early: not a member yet")
            await self.accept()
            await group_send(alias, text="from now on")
            await self.send(text_data="welcome")

    communicator = WebsocketCommunicator(Busy.as_asgi(), "/")
    assert await communicator.connect() == (True, None)
    assert await communicator.receive_from() == "welcome"
    assert await communicator.receive_from() == "from now on"
    assert await communicator.receive_nothing()
    await communicator.disconnect()


async def test_groups_may_be_decided_in_connect() -> None:
    class Deciding(Chat):
        async def connect(self) -> None:
            self.groups = ["chat"] if self.scope["path"] == "/chat" else []
            await self.accept()

    member = WebsocketCommunicator(Deciding.as_asgi(), "/chat")
    other = WebsocketCommunicator(Deciding.as_asgi(), "/elsewhere")
    await member.connect()
    await other.connect()
    await group_send(text="hello")
    assert await member.receive_from() == "hello"
    assert await other.receive_nothing()
    await member.disconnect()
    await other.disconnect()


@BOTH
async def test_a_consumer_that_stops_by_itself_leaves_its_groups(alias: str) -> None:
    class Stopping(Chat):
        channel_layer_alias = alias

        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise StopConsumer

    communicator = WebsocketCommunicator(Stopping.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="stop")
    await communicator.wait()
    assert await members(alias) == []


async def test_a_group_message_is_no_word_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
    await communicator.connect()
    layer = layer_of()
    await layer.group_send("chat", {"type": "websocket.disconnect", "code": 1000})
    await group_send(text="still there")
    assert await communicator.receive_from() == "still there"
    assert "only a client sends websocket.disconnect" in caplog.text
    await communicator.disconnect()


async def test_a_class_may_take_wire_types_from_the_layer() -> None:
    class Taking(Chat):
        layer_types = frozenset({"websocket.receive"})

        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.send(text_data=f"got {text_data}")

    communicator = WebsocketCommunicator(Taking.as_asgi(), "/")
    await communicator.connect()
    await layer_of().group_send("chat", {"type": "websocket.receive", "text": "this"})
    assert await communicator.receive_from() == "got this"
    await communicator.disconnect()


# Order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
async def test_messages_are_handled_one_at_a_time_in_order(base: Any) -> None:
    class Sync(WebsocketConsumer):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            self.send(text_data=f"begin {text_data}")
            self.send(text_data=f"end {text_data}")

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.send(text_data=f"begin {text_data}")
            await asyncio.sleep(0)
            await self.send(text_data=f"end {text_data}")

    consumer: Any = Sync if base is WebsocketConsumer else Async
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    for number in range(100):
        await communicator.send_to(text_data=str(number))
    heard = [await communicator.receive_from(timeout=10) for _ in range(200)]
    assert heard == [f"{when} {number}" for number in range(100) for when in ("begin", "end")]
    await communicator.disconnect()


async def test_context_variables_last_as_long_as_the_consumer() -> None:
    import contextvars

    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")

    class Tenant(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            tenant.set("acme")
            await self.accept()

        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.send(text_data=tenant.get())

    communicator = WebsocketCommunicator(Tenant.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="who?")
    assert await communicator.receive_from() == "acme"
    assert tenant.get() == "nobody"
    await communicator.disconnect()


# Failing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
async def test_disconnect_is_called_after_an_exception(base: Any) -> None:
    codes: list[int] = []

    class Sync(WebsocketConsumer):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise KeyError(text_data)

        def disconnect(self, code: int) -> None:
            codes.append(code)

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise KeyError(text_data)

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    consumer: Any = Sync if base is WebsocketConsumer else Async
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    with pytest.raises(KeyError):
        await communicator.wait()
    assert codes == [1011]


async def test_an_exception_in_disconnect_does_not_hide_the_first() -> None:
    class Failing(Chat):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise KeyError("first")

        async def disconnect(self, code: int) -> None:
            raise RuntimeError("second")

    communicator = WebsocketCommunicator(Failing.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    with pytest.raises(KeyError, match="first"):
        await communicator.wait()
    assert await members("default") == []


async def test_who_fails_before_accepting_was_never_connected() -> None:
    called: list[int] = []

    class Failing(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            raise KeyError("no")

        async def disconnect(self, code: int) -> None:
            called.append(code)

    communicator = WebsocketCommunicator(Failing.as_asgi(), "/")
    with pytest.raises(KeyError):
        await communicator.connect()
    assert called == []


# Going -------------------------------------------------------------------------------------------


async def test_a_slow_handler_sees_that_its_client_has_gone() -> None:
    seen: list[str] = []

    class Slow(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await until(self.disconnected)
            seen.append("saw it")
            await self.send(text_data="to nobody: no error")

        async def disconnect(self, code: int) -> None:
            seen.append("disconnect")

    communicator = WebsocketCommunicator(Slow.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    await communicator.disconnect(timeout=10)
    assert seen == ["saw it", "disconnect"]


async def test_a_handler_that_does_not_look_is_cancelled_after_the_grace() -> None:
    seen: list[str] = []

    class Stuck(AsyncWebsocketConsumer):
        disconnect_grace = 0.01

        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            seen.append(str(text_data))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        async def disconnect(self, code: int) -> None:
            seen.append("disconnect")

    communicator = WebsocketCommunicator(Stuck.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="first")
    await communicator.send_to(text_data="never begun")
    await communicator.disconnect(timeout=10)
    assert seen == ["first", "cancelled", "disconnect"]


async def test_a_thread_cannot_be_cancelled_but_is_told(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    begun = threading.Event()

    class Slow(WebsocketConsumer):
        disconnect_grace = 0.01

        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            begun.set()
            while not self.disconnected() or "still runs" not in caplog.text:
                threading.Event().wait(0.001)
            seen.append("ended")

        def disconnect(self, code: int) -> None:
            seen.append("disconnect")

    communicator = WebsocketCommunicator(Slow.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    await until(begun.is_set)
    with caplog.at_level(logging.WARNING):
        await communicator.disconnect(timeout=10)
    assert seen == ["ended", "disconnect"]


async def test_who_cancels_the_application_cancels_the_handler_and_leaves_the_groups() -> None:
    running = asyncio.Event()

    class Stuck(Chat):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            running.set()
            await asyncio.Event().wait()

    communicator = WebsocketCommunicator(Stuck.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    await running.wait()
    before = asyncio.all_tasks()
    communicator.stop()
    await until(communicator.future.done)
    await until(lambda: len(asyncio.all_tasks()) < len(before))
    assert await members("default") == []


# Too much ----------------------------------------------------------------------------------------


async def test_a_full_mailbox_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()
    waiting = asyncio.Event()

    class Slow(Chat):
        mailbox_size = 3

        async def chat_message(self, event: Any) -> None:
            waiting.set()
            await go_on.wait()

    communicator = WebsocketCommunicator(Slow.as_asgi(), "/chat/")
    await communicator.connect()
    await group_send(text="handled")
    await waiting.wait()
    for _ in range(4):
        await group_send(text="waits, or not any more")
    closed = await communicator.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", CloseCode.SLOW_CLIENT)
    assert "3 messages of the channel layer waited" in caplog.text
    assert "path=/chat/" in caplog.text
    go_on.set()
    await communicator.disconnect()


async def test_a_client_that_sends_too_much_is_read_no_further() -> None:
    go_on = asyncio.Event()

    class Slow(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await go_on.wait()
            await self.send(text_data=text_data)

    communicator = WebsocketCommunicator(Slow.as_asgi(), "/")
    await communicator.connect()
    for number in range(200):
        await communicator.send_to(text_data=str(number))
    await until(lambda: communicator.input_queue.qsize() < 200)
    assert await communicator.receive_nothing()
    assert communicator.input_queue.qsize() > 100
    go_on.set()
    assert [await communicator.receive_from() for _ in range(200)] == [str(n) for n in range(200)]
    await communicator.disconnect()


async def test_a_foreign_layer_that_breaks_ends_its_consumers() -> None:
    class Broken(Chat):
        channel_layer_alias = "foreign"

        async def connect(self) -> None:
            await self.accept()

    layer = layer_of("foreign")
    break_it = asyncio.Event()

    async def receive(channel: str) -> Any:
        await break_it.wait()
        raise ConnectionError("the engine has gone")

    layer.receive = receive
    communicator = WebsocketCommunicator(Broken.as_asgi(), "/")
    await communicator.connect()
    break_it.set()
    with pytest.raises(ConnectionError):
        await communicator.wait()
