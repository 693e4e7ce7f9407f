from channels.testing import WebsocketCommunicator
from django.test import TransactionTestCase
from site_config.asgi import application


class ChatTests(TransactionTestCase):
    async def both_hear(self, kind):
        one = WebsocketCommunicator(application, f"/ws/{kind}/hall/", [(b"host", b"localhost")])
        two = WebsocketCommunicator(application, f"/ws/{kind}/hall/", [(b"host", b"localhost")])
        for each in (one, two):
            connected, _ = await each.connect()
            assert connected
        await one.send_json_to({"message": "hello"})
        for each in (one, two):
            assert await each.receive_json_from() == {"message": "hello"}
        for each in (one, two):
            await each.disconnect()

    async def test_coroutines(self):
        await self.both_hear("chat")

    async def test_plain_methods(self):
        await self.both_hear("slow-chat")
