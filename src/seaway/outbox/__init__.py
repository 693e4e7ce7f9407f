"""The outbox: events kept in the database of the transaction that they belong to, until they are
out.

An app of its own, for those who want it: ``"seaway.outbox"`` in ``INSTALLED_APPS``, and the names
of databases in ``SEAWAY["OUTBOX"]``.
"""
