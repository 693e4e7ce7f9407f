"""Topics: what a Django developer writes, and what runs it."""
