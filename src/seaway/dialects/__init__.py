"""Wire protocols spoken over transports: messages to requests, answers and events to messages."""
