"""Ways to stay connected: from an ASGI scope to a live connection."""
