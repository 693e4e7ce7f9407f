"""The least that a Seaway project with consumers needs; on the engine that is measured."""

import os

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["seaway"]
ROOT_URLCONF = "benchmarks.projects.seaway_project.urls"
SEAWAY = {"LAYER": os.environ["BENCH_LAYER"], "NAMESPACE": "bench"}
USE_TZ = True
