"""Tests of the server: real sockets, raw bytes, real processes."""
