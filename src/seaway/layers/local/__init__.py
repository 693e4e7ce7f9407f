"""The embedded broker: the memory engine for every process of one machine."""
