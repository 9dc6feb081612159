"""Errors for LlamaIndex, whose engines log every `ValueError` and `TypeError` and return "Empty Response"."""

from types import TracebackType
from typing import Any

from mdstream_core import MDStreamError


class RequestNotSent(MDStreamError):
    """The request was not sent: no credential was found, or a field or a message cannot be converted."""


class StructuredOutputError(MDStreamError):
    """The response to a structured prediction is truncated, refused, or not an instance of the requested class.

    `code` is `IncompleteOutput`, `ModelRefusal` or `InvalidOutput`. `partial_response` is the response, `partial` its
    content, `raw` the text or the arguments that were received. `__cause__` is the error of pydantic or JSON, if any.
    """


class _ValueErrorMapper:
    """Maps `ValueError` and `TypeError` to their `MDStreamError` base class, or else to `RequestNotSent`."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, ValueError | TypeError):
            return
        bases = (base for base in type(error).__mro__ if issubclass(base, MDStreamError))
        error_class = next((base for base in bases if not issubclass(base, ValueError)), RequestNotSent)
        raise error_class(str(error)) from error


#: The context in which these errors are mapped. It has no state: a context manager of `contextlib` costs more.
map_value_errors = _ValueErrorMapper()
