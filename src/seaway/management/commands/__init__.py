"""One module per command, found by Django."""
