"""The names of ``channels.security``: `websocket`."""
