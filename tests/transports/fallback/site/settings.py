"""Settings by environment: where the broker and the sessions live."""

import os

SECRET_KEY = "tests-of-transports-only"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "seaway",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "tests.transports.fallback.site",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "tests.transports.fallback.site.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.file"
SESSION_FILE_PATH = os.environ["SITE_DIRECTORY"]
STATIC_URL = "/static/"
USE_TZ = True
KEY = "a-key-for-tests-that-is-long-enough-0123456789"
SEAWAY = {
    "LAYER": f"local://{os.environ['SITE_DIRECTORY']}",
    "PING_SECONDS": float(os.environ.get("SITE_PING_SECONDS", "2")),
    "ALLOWED_ORIGINS": ["127.0.0.1", "https://friend.example"],
    "PUBLISH_KEYS": ["another-key-that-is-long-enough-as-well-0123", KEY],
    "MAX_REQUESTS": 8,
}
