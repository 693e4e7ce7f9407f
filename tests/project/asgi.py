"""The application of the small project."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")

from seaway.asgi import get_asgi_application

application = get_asgi_application()
