"""Who is connecting: by the session cookie, for topics and for consumers.

What lives here: the public names. `visitor` is what topics use; `users` and `middleware` have the
Channels API.
What must not: permissions; those are the topics' and consumers' own.
"""

from seaway.auth.middleware import AuthMiddleware, AuthMiddlewareStack, UserLazyObject
from seaway.auth.users import get_user, login, logout
from seaway.auth.visitor import Identity, Nobody, Visitor, anonymous, sessions_available

__all__ = [
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "Identity",
    "Nobody",
    "UserLazyObject",
    "Visitor",
    "anonymous",
    "get_user",
    "login",
    "logout",
    "sessions_available",
]
