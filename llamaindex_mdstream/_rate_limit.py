"""`RateLimit` of the core, which is imported when it is first used."""

from mdstream_core import RateLimit

__all__ = ["RateLimit"]
