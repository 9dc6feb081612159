"""Errors of pydantic that are safe to show: without the values that were given, and with the nearest name."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from mdstream_core._choices import suggest_choice
from mdstream_core._redaction import remove_credentials

if TYPE_CHECKING:
    from pydantic_core import ValidationError


def without_inputs(error: "ValidationError", fields: Collection[str] = ()) -> "ValidationError":
    """Copy a validation error without its input values, which `errors()` and `json()` would show.

    Args:
        error: An error of pydantic.
        fields: The names that the constructor accepts; an unknown field is reported with the nearest of them.
    """
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError  # noqa: PLC0415  (needed for errors only)

    details = []
    for detail in error.errors(include_url=False, include_input=False):
        context = detail.get("ctx", {})
        if isinstance(cause := context.get("error"), Exception):
            remove_credentials(cause)
        message = detail["msg"]
        if detail["type"] == "extra_forbidden":
            message += suggest_choice(str(detail["loc"][-1]), fields)
        kind = PydanticCustomError(detail["type"], "{message}", {"message": message, **context})
        details.append(InitErrorDetails(type=kind, loc=detail["loc"], input=None))
    return ValidationError.from_exception_data(error.title, details, hide_input=True)
