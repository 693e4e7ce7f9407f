from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client, TestCase, TransactionTestCase
from site_config.asgi import application


def socket(path, **options):
    headers = [(b"origin", b"https://board.example")]
    return WebsocketCommunicator(application, path, headers, **options)


class BoardTests(TransactionTestCase):
    async def test_who_you_are(self):
        await sync_to_async(User.objects.create_user)("ann")
        one = socket("/board/1/?as=ann")
        assert (await one.connect())[0]
        await one.send_json_to({"do": "whoami"})
        assert await one.receive_json_from() == {"you": "ann", "known": True}
        await one.disconnect()

    async def test_login(self):
        await sync_to_async(User.objects.create_user)("bob")
        one = socket("/board/1/")
        await one.connect()
        await one.send_json_to({"do": "whoami"})
        assert await one.receive_json_from() == {"you": "", "known": False}
        await one.send_json_to({"do": "login", "name": "bob"})
        assert await one.receive_json_from() == {"you": "bob", "known": True}
        await one.disconnect()

    async def test_a_view_reaches_a_socket(self):
        one = socket("/board/1/", subprotocols=["board.v1"])
        assert await one.connect() == (True, "board.v1")
        answer = await sync_to_async(Client().get)("/announce/", {"text": "Fire drill"})
        assert answer.status_code == 200
        assert await one.receive_json_from() == {"announcement": "Fire drill"}
        await one.disconnect()

    async def test_a_close_has_its_code(self):
        one = socket("/board/1/")
        await one.connect()
        await one.send_json_to({"do": "something else"})
        closed = await one.receive_output()
        assert (closed["type"], closed["code"]) == ("websocket.close", 4001)
        await one.wait()

    async def test_denied(self):
        one = socket("/board/13/")
        assert not (await one.connect())[0]

    async def test_http(self):
        http = HttpCommunicator(application, "POST", "/notices/", body=b"abc")
        answer = await http.get_response()
        assert (answer["status"], answer["body"]) == (200, b'{"method": "POST", "size": 3}')


class InATransactionTests(TestCase):
    async def test_consumers_see_the_test_s_data(self):
        await sync_to_async(User.objects.create_user)("eve")
        one = socket("/board/1/")
        await one.connect()
        await one.send_json_to({"do": "count"})
        assert await one.receive_json_from() == {"users": 1}
        await one.disconnect()
