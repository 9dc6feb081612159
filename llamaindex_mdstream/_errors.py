"""The errors of LlamaIndex's own: its engines log every `ValueError` and `TypeError` and say "Empty Response"."""

from collections.abc import Iterator
from contextlib import contextmanager

from mdstream_core import MDStreamError


class RequestNotSent(MDStreamError):
    """The question was never sent: there is no credential, or a field or a message cannot be said to the service."""


class StructuredOutputError(MDStreamError):
    """The answer to a structured prediction is truncated or refused, or is no object of the requested class.

    `partial_response` is the response, `partial` its content, `raw` the text or the arguments that were received;
    `code` is `IncompleteOutput`, `ModelRefusal` or `InvalidOutput`. The cause is pydantic's or JSON's error, if any.
    """


@contextmanager
def map_value_errors() -> Iterator[None]:
    """Turn these into an error that nobody takes for an empty answer: of their own family, where they have one."""
    try:
        yield
    except (ValueError, TypeError) as error:
        families = (kind for kind in type(error).__mro__ if issubclass(kind, MDStreamError))
        kind = next((family for family in families if not issubclass(family, ValueError)), RequestNotSent)
        raise kind(str(error)) from error
