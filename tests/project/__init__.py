"""A small realtime project that tests serve with real servers."""
