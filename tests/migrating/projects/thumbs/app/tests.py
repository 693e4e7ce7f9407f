import tempfile
from pathlib import Path

from channels.layers import channel_layers, get_channel_layer
from channels.testing import ApplicationCommunicator
from django.test import SimpleTestCase

from app.consumers import Making


class ThumbnailTests(SimpleTestCase):
    async def test_made(self):
        path = Path(tempfile.mkdtemp()) / "thumb"
        scope = {"type": "channel", "channel": "thumbnails-make"}
        worker = ApplicationCommunicator(Making.as_asgi(), scope)
        await worker.send_input({"type": "make", "path": str(path), "width": 64})
        await worker.receive_nothing(timeout=0.2)
        assert path.read_text() == "64 wide"
        worker.stop()

    async def test_a_channel(self):
        assert channel_layers["default"] is get_channel_layer()
        layer = get_channel_layer()
        await layer.send("thumbnails-make", {"type": "make", "path": "x", "width": 1})
        assert (await layer.receive("thumbnails-make"))["width"] == 1
