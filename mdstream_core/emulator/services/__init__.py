"""The emulated services; the path of a request decides which one handles it."""
