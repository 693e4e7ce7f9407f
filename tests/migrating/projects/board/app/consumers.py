import json

from channels.auth import get_user, login
from channels.db import database_sync_to_async
from channels.exceptions import DenyConnection
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User


class Board(AsyncJsonWebsocketConsumer):
    groups = ["announcements"]

    async def connect(self):
        if self.scope["url_route"]["kwargs"]["number"] == 13:
            raise DenyConnection
        await self.accept(subprotocol=next(iter(self.scope["subprotocols"]), None))

    async def receive_json(self, content):
        if content["do"] == "whoami":
            user = self.scope["user"]
            await self.send_json({"you": user.username, "known": user.is_authenticated})
        elif content["do"] == "login":
            user = await database_sync_to_async(User.objects.get)(username=content["name"])
            await login(self.scope, user, "django.contrib.auth.backends.ModelBackend")
            await database_sync_to_async(self.scope["session"].save)()
            again = await get_user(self.scope)
            await self.send_json({"you": again.username, "known": again.is_authenticated})
        elif content["do"] == "count":
            count = await database_sync_to_async(get_user_model().objects.count)()
            await self.send_json({"users": count})
        else:
            await self.close(code=4001, reason="unknown")

    async def announcement(self, event):
        await self.send_json({"announcement": event["text"]})


class Notices(AsyncHttpConsumer):
    async def handle(self, body):
        text = json.dumps({"method": self.scope["method"], "size": len(body)}).encode()
        await self.send_response(200, text, headers=[(b"Content-Type", b"application/json")])
