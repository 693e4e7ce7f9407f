"""A project for tests of transactions: its databases and its layer come from the environment."""

import json
import os

from tests.settings import *  # noqa: F403

DATABASES = json.loads(os.environ["TEST_DATABASES"])
SEAWAY = json.loads(os.environ["TEST_SEAWAY"])
INSTALLED_APPS = ["seaway", "seaway.outbox", "django.contrib.auth", "django.contrib.contenttypes"]
