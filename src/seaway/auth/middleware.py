"""The user in the scope.

What lives here: `AuthMiddleware` and the stack that it needs.
What must not: how a user is found (`users`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.functional import LazyObject

from seaway.auth.users import find_user
from seaway.middleware import BaseMiddleware, Receive, Scope, Send
from seaway.pool import run_in_pool
from seaway.sessions import CookieMiddleware, SessionMiddleware

if TYPE_CHECKING:
    _LazyObject = LazyObject[Any]
else:
    _LazyObject = LazyObject


class UserLazyObject(_LazyObject):
    """The user's place in the scope until he is loaded."""

    def _setup(self) -> None:
        raise ValueError("Accessing scope user before it is ready.")


class AuthMiddleware(BaseMiddleware):
    """Puts ``scope["user"]`` there, by ``scope["session"]``.

    A subclass that authenticates otherwise overrides `resolve_scope`, which sets
    ``scope["user"]._wrapped``. The user is loaded once, before the application is called.
    """

    def populate_scope(self, scope: Scope) -> None:
        """Make the place for the user.

        :raises ValueError: there is no session.
        """
        if "session" not in scope:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it."
            )
        if "user" not in scope:
            scope["user"] = UserLazyObject()

    async def resolve_scope(self, scope: Scope) -> None:
        """Load the user into his place."""
        scope["user"]._wrapped = await run_in_pool(find_user, scope, scope["session"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        scope = dict(scope)
        self.populate_scope(scope)
        await self.resolve_scope(scope)
        return await self.call_inner(scope, receive, send)


def AuthMiddlewareStack(inner: Any) -> CookieMiddleware:  # noqa: N802 - the Channels API has it so
    """Cookies, session and user around an application."""
    return CookieMiddleware(SessionMiddleware(AuthMiddleware(inner)))
