"""Many inputs in several requests.

`plan` splits a list into batches, and `execute` sends them concurrently. `stream_plan` and `stream` do the same for an
iterable, which is read while results are delivered.
"""
