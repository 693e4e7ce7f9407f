"""Settings of the seat map demo: an ordinary Django project with ``seaway`` in its apps.

A few environment variables change what the tests and the curious want to change; the defaults are
those of ``make demo``. This is a demo for one's own machine: DEBUG is on and the key is public.
"""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("SEATMAP_DEBUG", "1") == "1"
SECRET_KEY = os.environ.get("SEATMAP_SECRET_KEY", "seatmap-demo-not-for-production")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "seaway",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "seats",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "Europe/Amsterdam"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Several processes write to one SQLite file: readers must not block the writer (WAL), a transaction
# takes the write lock when it begins rather than fail half way (IMMEDIATE), and waits for it.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SEATMAP_DATABASE", str(BASE_DIR / "db.sqlite3")),
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
        },
    }
}

# Nothing to configure: without SEAWAY, Seaway's own broker joins all processes of this project.
# The tests keep theirs apart from yours.
if "SEATMAP_LAYER" in os.environ:
    SEAWAY = {"LAYER": os.environ["SEATMAP_LAYER"]}

# Tasks travel on the same layer, to `manage.py runworker`.
TASKS = {"default": {"BACKEND": "seaway.tasks.backend.SeawayBackend"}}

# The box office's printer: a file, and the seconds that one ticket takes.
SEATMAP_PRINTER = os.environ.get("SEATMAP_PRINTER", str(BASE_DIR / "tickets.txt"))
SEATMAP_PRINT_SECONDS = float(os.environ.get("SEATMAP_PRINT_SECONDS", "0.02"))

# How long a click holds a seat, and how long a seat waits for an owner who left.
SEATMAP_HOLD_SECONDS = float(os.environ.get("SEATMAP_HOLD_SECONDS", "120"))
SEATMAP_GRACE_SECONDS = float(os.environ.get("SEATMAP_GRACE_SECONDS", "8"))
