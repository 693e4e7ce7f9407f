"""Streams and presence across processes."""
