"""What a streamed chunk costs, beside the floor and the peers: `python -m benchmarks --help`.

A floor is the least that a framework asks for; a target is a ratio to it, so that a slow or busy machine changes the
figures and not the verdict.
"""
