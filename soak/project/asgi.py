"""The application."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "soak.project.settings")

from seaway.asgi import get_asgi_application

application = get_asgi_application()
