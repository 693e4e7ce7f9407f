"""Checks from outside: fuzz targets and suites, one command each. See README.md."""
