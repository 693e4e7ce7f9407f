"""RFC 6455 and RFC 7692 for a server: handshake, frames, messages; sans-I/O."""
