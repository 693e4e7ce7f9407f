"""What `startproject` makes, with two views: the same project under every server."""
