"""Soaks: the server under load while something is done to it, with every answer counted."""
