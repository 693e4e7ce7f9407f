"""Seaway with every setting at its default: the embedded broker, one worker."""
