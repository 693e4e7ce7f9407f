"""The same project under Seaway; it has no topics, so Seaway need not be installed as an app."""

import os

from seaway.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.django_project.settings")

application = get_asgi_application()
