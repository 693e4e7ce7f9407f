"""The Django project that is served while it is reloaded."""
