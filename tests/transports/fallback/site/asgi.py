"""What the servers of the tests run."""

import os
from typing import Any

from seaway.asgi import get_asgi_application
from seaway.http import with_static_files

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.transports.fallback.site.settings")

application: Any = with_static_files(get_asgi_application())
