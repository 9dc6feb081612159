"""The one error of LlamaIndex's own: its engines catch every `ValueError`, log it, and answer "Empty Response"."""

from collections.abc import Iterator
from contextlib import contextmanager

from mdstream_core import MDStreamError


class NotAsked(MDStreamError):
    """The question was never sent: there is no credential, or a field or a message cannot be said to the service."""


@contextmanager
def heeded() -> Iterator[None]:
    """Turn a `ValueError` into an error that nobody takes for an empty answer, of its own family if it has one."""
    try:
        yield
    except ValueError as error:
        families = (kind for kind in type(error).__mro__ if issubclass(kind, MDStreamError))
        kind = next((family for family in families if not issubclass(family, ValueError)), NotAsked)
        raise kind(str(error)) from error
