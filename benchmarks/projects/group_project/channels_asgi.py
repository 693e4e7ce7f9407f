"""What Daphne and uvicorn serve."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault(
    "DJANGO_SETTINGS_MODULE", "benchmarks.projects.group_project.channels_settings"
)
django_application = get_asgi_application()

# Django has to be set up first (E402), and Channels has no type hints.
from channels.generic.websocket import (  # type: ignore[import-untyped]  # noqa: E402
    AsyncWebsocketConsumer,
)
from channels.routing import (  # type: ignore[import-untyped]  # noqa: E402
    ProtocolTypeRouter,
    URLRouter,
)
from django.urls import path  # noqa: E402

from benchmarks.projects.group_project.consumer import group_consumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter([path("group/", group_consumer(AsyncWebsocketConsumer).as_asgi())]),
    }
)
