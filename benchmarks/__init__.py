"""Benchmarks of the cost of a streamed chunk, compared with floors and peers: `python -m benchmarks --help`.

A floor is the minimal code that a framework requires; a target is a ratio to it, so that a slow or busy machine changes
the figures but not the verdict.
"""
