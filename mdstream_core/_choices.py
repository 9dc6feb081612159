"""Find the known name that a user meant: values of options with fixed choices, misspelt fields."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, TypeVar, cast

Choice = TypeVar("Choice", bound=str)


def normalize_choice(value: str) -> str:
    """Normalize a name for comparisons: lower case, `_` for hyphens, spaces and dots.

    >>> normalize_choice(" Session-Token ")
    'session_token'
    """
    return value.strip().lower().replace("-", "_").replace(" ", "_").replace(".", "_")


def find_choice(field: str, value: Any, choices: Collection[Choice]) -> Choice:
    """Find the choice that equals `value`, in any case and with `-` or `_`.

    Raises:
        ValueError: There is none. The message has the field, the nearest choice, and all choices.

    >>> find_choice("auth_type", "API_KEY", ["api_key", "none"])
    'api_key'
    """
    if isinstance(value, str):
        if value in choices:  # each request looks up its dialect: an exact name costs one lookup
            return cast("Choice", value)
        name = normalize_choice(value)
        if match := next((choice for choice in choices if normalize_choice(choice) == name), None):
            return match
    near = suggest_choice(str(value), choices)
    raise ValueError(f"{field}={value!r} is unknown{near} (hint: use one of {', '.join(choices)})")


def suggest_choice(value: str, choices: Collection[str]) -> str:
    """Build the part of a message that suggests the choice nearest to `value`; empty if none is close.

    >>> suggest_choice("temprature", ["temperature", "top_p"])
    "; did you mean 'temperature'?"
    """
    by_spelling = {normalize_choice(choice): choice for choice in choices}
    close = get_close_matches(normalize_choice(value), by_spelling, n=1, cutoff=0.7)
    return f"; did you mean {by_spelling[close[0]]!r}?" if close else ""
