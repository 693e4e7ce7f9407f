"""The settings of Seaway's tests, with a layer of the environment's choice and a real database."""

import os
from pathlib import Path

from tests.settings import *  # noqa: F403

FOLDER = Path(os.environ["TEST_PROJECT_FOLDER"])
INSTALLED_APPS = [*INSTALLED_APPS, "tests.project"]  # noqa: F405
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / "db.sqlite3")}
}
SEAWAY = {"LAYER": f"local://{FOLDER}"}
