"""The project that the tests of transports serve."""
