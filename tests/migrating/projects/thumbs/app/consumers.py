from pathlib import Path

from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer, SyncConsumer


class Making(SyncConsumer):
    def make(self, message):
        Path(message["path"]).write_text(f"{message['width']} wide")


class Deleting(AsyncConsumer):
    async def delete(self, message):
        path = message["path"]
        await sync_to_async(Path(path).unlink)()
        await self.channel_layer.send(message["tell"], {"type": "deleted", "path": path})
