"""The NATS engine: JetStream streams that everything is stored in, and plain subjects for the news.

What lives here: nothing; `layer` puts the parts together. What must not: imports, so that a project
on another engine pays for none of this.
"""
