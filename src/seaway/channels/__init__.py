"""Go-like channels over the layer: named queues for Python values, and waiting for several of them.

What lives here: `channel`, its deliveries, `select`. What must not: engines, or running workers.
"""
