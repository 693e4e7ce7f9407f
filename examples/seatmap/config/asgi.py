"""What ``seaway serve config.asgi:application`` serves: Django's pages and the topics."""

import os

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from seaway.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_asgi_application()
if settings.DEBUG:
    # In production a web server or WhiteNoise does this, as for every Django project.
    application = ASGIStaticFilesHandler(application)
