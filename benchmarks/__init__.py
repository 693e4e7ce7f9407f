"""Seaway measured side by side with its peers; README.md here says how and with what result."""
