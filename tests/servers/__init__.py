"""Real servers for tests, soaks and benchmarks: started, hurt and ended by their processes' ids.

What lives here: one module per engine, and the cable between a client and a server.
What must not: fixtures, or tests of anything but what lives here.
"""
