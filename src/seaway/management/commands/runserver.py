"""``manage.py runserver`` with topics: Django's command around Seaway's server.

What lives here: what differs from Django's command: the application and the server that runs it.
Autoreload, checks, migrations notice and addresses are Django's own.
What must not: production serving; that is the ``seaway`` command.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands.runserver import Command as RunserverCommand
from django.db import connections
from django.utils import autoreload
from django.utils.module_loading import import_string

from seaway.exceptions import ConfigurationError
from seaway.http import with_static_files
from seaway.server import logs
from seaway.server.application import Announcement
from seaway.server.config import ServerConfig
from seaway.server.run import run


class Command(RunserverCommand):
    help = "Starts a development server that speaks HTTP and WebSocket, topics included."

    # Django's command sets these from ADDRPORT.
    addr: str
    port: str

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--nostatic",
            action="store_false",
            dest="use_static_handler",
            help="Do not serve static files at STATIC_URL.",
        )
        parser.add_argument(
            "--insecure",
            action="store_true",
            dest="insecure_serving",
            help="Serve static files even if DEBUG is False.",
        )

    def get_handler(self, *args: Any, **options: Any) -> Any:
        """``ASGI_APPLICATION``, else Seaway's own, with static files as the options say."""
        application = self._application()
        if not apps.is_installed("django.contrib.staticfiles"):
            return application
        if options["use_static_handler"] and (settings.DEBUG or options["insecure_serving"]):
            return with_static_files(application)
        return application

    def inner_run(self, *args: Any, **options: Any) -> None:
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):
            connection.close()
        try:
            config = ServerConfig(bind=(self._bind(),), drain_timeout=0, access_log=True)
            logs.configure(config)
            run(self.get_handler(*args, **options), config, announce=self._announce)
        except ConfigurationError as error:
            self.stderr.write(f"Error: {error}")
            # sys.exit() ends only the thread in which the autoreloader runs this.
            sys.stdout.flush()
            os._exit(1)

    def _application(self) -> Any:
        path = getattr(settings, "ASGI_APPLICATION", None)
        if not path:
            from seaway.asgi import get_asgi_application

            return get_asgi_application()
        try:
            return import_string(path)
        except ImportError as error:
            raise ConfigurationError(f"ASGI_APPLICATION: {error}") from error

    def _bind(self) -> str:
        host = {"0": "0.0.0.0"}.get(self.addr, self.addr)  # noqa: S104 - what "0:8000" asks for
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def _announce(self, announcement: Announcement) -> None:
        quit_command = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"{announcement}\n"
            f"For development only. Quit the server with {quit_command}."
        )
        self.stdout.flush()
