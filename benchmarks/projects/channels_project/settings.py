"""The least that Channels needs; its layer with default options, on a Redis where one is named."""

import os

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels"]
if "BENCH_REDIS" in os.environ:
    LAYER = {
        "BACKEND": os.environ["BENCH_CHANNEL_LAYER"],
        "CONFIG": {"hosts": [os.environ["BENCH_REDIS"]]},
    }
else:
    LAYER = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
CHANNEL_LAYERS = {"default": LAYER}
USE_TZ = True
