"""What ``seaway serve config.asgi:application`` serves: Django's pages and the topics."""

import os

from seaway.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application()
