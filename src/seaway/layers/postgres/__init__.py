"""The PostgreSQL engine: tables, NOTIFY as a wake-up, and publishing that commits with your data.

What lives here, one job per file: `layer` (the contract), `publishing`, `following`, `presence` and
`queues` (its parts), `line` and `link` (connections), `statements` and `values` (what is said on
them), `schema` (tables and start checks), `address`, `troubles`, and `within` (publishing in
somebody else's transaction). The SQL is in ``sql/``.
What must not: Django.
"""
