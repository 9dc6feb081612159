"""Errors of `/v1/responses`, with OpenAI's messages and codes."""

from collections.abc import Iterable

from mdstream_core.emulator.model_server._errors import ModelServerError


def invalid(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> ModelServerError:
    """Build an error of the kind `invalid_request_error`."""
    return ModelServerError(status, message, "invalid_request_error", param, code)


def missing(param: str) -> ModelServerError:
    """Build the error for a missing parameter."""
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def unsupported_value(value: object, param: str, known: Iterable[str]) -> ModelServerError:
    """Build the error for a value that is none of the known ones."""
    names = [f"'{name}'" for name in known]
    listed = f"{', '.join(names[:-1])}, and {names[-1]}" if len(names) > 2 else " and ".join(names)
    return invalid(f"Invalid value: '{str(value)[:100]}'. Supported values are: {listed}.", param, "invalid_value")


def wrong_type(param: str, expected: str, value: object) -> ModelServerError:
    """Build the error for a value of a wrong type."""
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array"}
    got = "null" if value is None else names.get(type(value), "an object")
    return invalid(f"Invalid type for '{param}': expected {expected}, but got {got} instead.", param, "invalid_type")
