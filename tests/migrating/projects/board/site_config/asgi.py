import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
django_asgi_app = get_asgi_application()

import channels.auth  # noqa: E402
import channels.sessions  # noqa: E402
from app.consumers import Board, Notices  # noqa: E402
from app.middleware import TokenMiddleware  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.urls import path  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [path("notices/", Notices.as_asgi()), path("<path:rest>", django_asgi_app)]
        ),
        "websocket": OriginValidator(
            channels.sessions.SessionMiddlewareStack(
                channels.auth.AuthMiddleware(
                    TokenMiddleware(URLRouter([path("board/<int:number>/", Board.as_asgi())]))
                )
            ),
            ["https://board.example", "*"],
        ),
    }
)
