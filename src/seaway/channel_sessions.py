"""Channel sessions: what is known of one connection, for every process that knows its channel.

What lives here: `channel_session`. What must not: sessions of visitors (`seaway.sessions`).

A consumer keeps what it needs on ``self``. A worker that answers to a consumer's channel is another
process, perhaps on another machine: this is where both of them look. Channels 1 had it.
"""

from __future__ import annotations

import hashlib
import importlib

from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase
from django.core.exceptions import ImproperlyConfigured

#: Seconds after which a session that nobody has flushed is gone: longer than a connection lasts.
LIFE_SECONDS = 2 * 24 * 3600


def channel_session(channel_name: str) -> SessionBase:
    """The session of a channel, made if there is none, in the project's session engine.

    Synchronous, like Django's sessions: ``await database_sync_to_async(channel_session)(name)``.
    Changes need a ``save()``; ``flush()`` it in ``disconnect``, or it goes after two days.

    :raises ImproperlyConfigured: the engine keeps sessions in cookies, and a channel has none.
    """
    if settings.SESSION_ENGINE.endswith("signed_cookies"):
        raise ImproperlyConfigured("A channel has no cookies: choose another SESSION_ENGINE.")
    store: type[SessionBase] = importlib.import_module(settings.SESSION_ENGINE).SessionStore
    # Not to be taken for a visitor's key, nor to be guessed from a channel's name.
    named = f"seaway.channel\0{settings.SECRET_KEY}\0{channel_name}".encode()
    key = "channel" + hashlib.sha256(named).hexdigest()[:25]
    session = store(key)
    if session.exists(key):
        return session
    session = store()
    session.set_expiry(LIFE_SECONDS)
    session._session_key = key  # there is no public way to choose it
    try:
        session.save(must_create=True)
    except CreateError:
        session = store(key)  # another process was faster
    return session
