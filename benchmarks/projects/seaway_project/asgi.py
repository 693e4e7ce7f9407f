"""What `seaway serve` serves."""

import os

from seaway.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.seaway_project.settings")

application = get_asgi_application()
