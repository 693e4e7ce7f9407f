from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from django.contrib.auth import get_user_model


@database_sync_to_async
def user_named(name):
    return get_user_model().objects.filter(username=name).first()


class TokenMiddleware(BaseMiddleware):
    """Whoever names a user in the query is that user: this is a sample."""

    async def __call__(self, scope, receive, send):
        scope = dict(scope)
        name = parse_qs(scope["query_string"].decode()).get("as", [""])[0]
        if name:
            scope["user"] = await user_named(name)
        return await super().__call__(scope, receive, send)
