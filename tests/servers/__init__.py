"""Real servers for tests, soaks and benchmarks: started, hurt and ended by their processes' ids.

What lives here: one module per engine. What must not: fixtures or tests.
"""
