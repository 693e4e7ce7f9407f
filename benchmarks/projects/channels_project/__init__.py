"""Channels 4 with its in-memory layer, served by Daphne or uvicorn."""
