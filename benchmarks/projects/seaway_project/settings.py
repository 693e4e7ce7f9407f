"""The least that a Seaway project needs; LAYER is left out, so events go through the broker."""

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["seaway", "benchmarks.projects.seaway_project"]
ROOT_URLCONF = "benchmarks.projects.seaway_project.urls"
ASGI_APPLICATION = "benchmarks.projects.seaway_project.asgi.application"
USE_TZ = True
