"""One live client on any transport: its joined topics, its requests, its limits."""
