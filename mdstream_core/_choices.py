"""Which of the known names a user meant: for options with a fixed set of values, and for misspelt fields."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, TypeVar

Choice = TypeVar("Choice", bound=str)


def normalize_choice(value: str) -> str:
    """A spelling with which names are compared: without case, with `_` for `-`, spaces and dots.

    >>> normalize_choice(" Session-Token ")
    'session_token'
    """
    return value.strip().lower().replace("-", "_").replace(" ", "_").replace(".", "_")


def find_choice(field: str, value: Any, choices: Collection[Choice]) -> Choice:
    """The one of `choices` that `value` is, in any case and with `-` or `_`.

    Raises:
        ValueError: It is none of them. The message names the field, the nearest choice, and all of them.

    >>> find_choice("auth_type", "API_KEY", ["api_key", "none"])
    'api_key'
    """
    if isinstance(value, str):
        name = normalize_choice(value)
        if match := next((choice for choice in choices if normalize_choice(choice) == name), None):
            return match
    near = suggestion(str(value), choices)
    raise ValueError(f"{field}={value!r} is unknown{near} (hint: use one of {', '.join(choices)})")


def suggestion(value: str, choices: Collection[str]) -> str:
    """`; did you mean 'temperature'?` where a choice is close to `value`, else an empty string.

    >>> suggestion("temprature", ["temperature", "top_p"])
    "; did you mean 'temperature'?"
    """
    by_spelling = {normalize_choice(choice): choice for choice in choices}
    close = get_close_matches(normalize_choice(value), by_spelling, n=1, cutoff=0.7)
    return f"; did you mean {by_spelling[close[0]]!r}?" if close else ""
