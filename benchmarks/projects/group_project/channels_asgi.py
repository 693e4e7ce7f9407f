"""What Daphne and uvicorn serve."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault(
    "DJANGO_SETTINGS_MODULE", "benchmarks.projects.group_project.channels_settings"
)
django_application = get_asgi_application()

# Django has to be set up first (E402).
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from benchmarks.projects.group_project.consumer import group_consumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter([path("group/", group_consumer(AsyncWebsocketConsumer).as_asgi())]),
    }
)
