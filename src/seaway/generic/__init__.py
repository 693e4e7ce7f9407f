"""The names of ``channels.generic``: `websocket` and `http`."""
