"""The Channels API's channel layer, on every engine. Django-free: `seaway.channel_layers` has the
settings."""
