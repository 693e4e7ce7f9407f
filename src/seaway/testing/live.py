"""A real server for tests that drive a browser, or anything else that needs one.

What lives here: `ChannelsLiveServerTestCase`.
What must not: communicators, which need no server.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import TransactionTestCase, modify_settings

from seaway import pool
from seaway.asgi import get_asgi_application
from seaway.http import with_static_files
from seaway.routing import get_default_application
from seaway.server.application import Announcement
from seaway.server.config import ServerConfig
from seaway.server.run import Runner

#: Seconds within which the server has to start, and to stop.
PATIENCE = 30.0


class ChannelsLiveServerTestCase(TransactionTestCase):
    """Django's ``LiveServerTestCase`` with WebSockets: Seaway's server in a thread of the test's
    process, for all tests of the class.

    It serves ``ASGI_APPLICATION``, or Seaway's own application without that setting.

    :cvar host: where to listen.
    :cvar port: 0 for a free one.
    :cvar serve_static: serve static files from where ``collectstatic`` would find them.
    :cvar live_server_url: ``http://host:port``, once the server runs.
    :cvar live_server_ws_url: ``ws://host:port``.

    :raises ImproperlyConfigured: one of the test's ``databases`` is SQLite in memory, which other
        threads do not see: give it ``TEST["NAME"]``.
    """

    host = "localhost"
    port = 0
    serve_static = True
    live_server_url: ClassVar[str]
    live_server_ws_url: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        for alias in cls.databases:
            connection: Any = connections[alias]
            if connection.vendor == "sqlite" and connection.is_in_memory_db():
                raise ImproperlyConfigured(
                    f"{cls.__name__} cannot be used with the in-memory database {alias!r}: name a "
                    'file in DATABASES[...]["TEST"]["NAME"].'
                )
        super().setUpClass()
        cls.enterClassContext(modify_settings(ALLOWED_HOSTS={"append": cls.host}))
        server = _LiveServer(cls._application(), f"{cls.host}:{cls.port}")
        cls.addClassCleanup(server.stop)
        # By the name that is allowed, not by the address that it stands for.
        host = f"[{cls.host}]" if ":" in cls.host else cls.host
        cls.live_server_url = f"http://{host}:{server.start()}"
        cls.live_server_ws_url = cls.live_server_url.replace("http", "ws", 1)

    @classmethod
    def _application(cls) -> Any:
        try:
            application = get_default_application()
        except ImproperlyConfigured:
            application = get_asgi_application()
        if cls.serve_static and apps.is_installed("django.contrib.staticfiles"):
            return with_static_files(application)
        return application


class _LiveServer:
    def __init__(self, application: Any, bind: str) -> None:
        config = ServerConfig(bind=(bind,), drain_timeout=1.0)
        self._url = ""
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._runner = Runner(application, config, announce=self._announce)
        self._thread = threading.Thread(target=self._run, name="seaway-live", daemon=True)

    def start(self) -> int:
        """Returns the port, once it listens."""
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise TimeoutError(f"The live server did not start within {PATIENCE} s.")
        if self._failure is not None:
            raise self._failure
        port = urlsplit(self._url).port
        assert port is not None  # noqa: S101  an announced address has one
        return port

    def stop(self) -> None:
        self._runner.stop()
        self._thread.join(PATIENCE)
        # Their database connections would keep the test database from being destroyed.
        pool.close_threads()

    def _announce(self, announcement: Announcement) -> None:
        self._url = announcement.urls[0]
        self._ready.set()

    def _run(self) -> None:
        try:
            self._runner.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error
        finally:
            self._ready.set()
            connections.close_all()
