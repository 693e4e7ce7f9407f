"""Worker processes: taking from channels and running the handlers.

What lives here: runners, and their start and stop. What must not: what a handler is.
"""
