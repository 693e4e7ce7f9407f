"""Django's default middleware, and a layer of this soak's own."""

import os

SECRET_KEY = "for a soak on this machine only"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "soak.project.urls"
INSTALLED_APPS = ["seaway", "django.contrib.contenttypes", "django.contrib.auth", "soak.project"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATABASES: dict[str, dict[str, str]] = {}
USE_TZ = True
SEAWAY = {
    "LAYER": os.environ.get("SOAK_LAYER") or f"local://{os.environ['SOAK_FOLDER']}",
    "NAMESPACE": "soak",
}
