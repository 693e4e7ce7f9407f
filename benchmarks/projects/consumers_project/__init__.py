"""Seaway with a consumer, as the Channels project has it: a change of imports."""
