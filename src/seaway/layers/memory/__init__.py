"""The memory engine: what topics and channels are, as plain data in one process.

What lives here: nothing; `layer.MemoryLayer` is the engine. Its stores, and the `desk` at which
callers wait, are what the embedded broker runs on, too (`seaway.layers.local`).
"""
