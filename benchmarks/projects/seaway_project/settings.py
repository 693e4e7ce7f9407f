"""The least that a Seaway project needs; where no LAYER is named, events go through the broker."""

import os

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["seaway", "benchmarks.projects.seaway_project"]
ROOT_URLCONF = "benchmarks.projects.seaway_project.urls"
ASGI_APPLICATION = "benchmarks.projects.seaway_project.asgi.application"
USE_TZ = True
if "BENCH_LAYER" in os.environ:
    SEAWAY = {"LAYER": os.environ["BENCH_LAYER"], "NAMESPACE": "bench-topic"}
