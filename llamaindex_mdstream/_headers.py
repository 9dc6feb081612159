"""Headers among the options of a call: sent as headers, and shown to nobody if they are secret."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.http import without_secrets

_NAMES = ("headers", "extra_headers")


def named(*options: Mapping[str, Any]) -> dict[str, str]:
    """The headers that options name, as `headers` or `extra_headers`; later ones count more.

    >>> named({"headers": {"x-a": "1"}}, {"extra_headers": {"x-a": "2"}, "seed": 1})
    {'x-a': '2'}
    """
    found = [option.get(name) or {} for option in options for name in _NAMES]
    return {name: value for headers in found for name, value in headers.items()}


def shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as observers may see them: without the credentials among their headers."""
    return {name: without_secrets(value) if name in _NAMES and value else value for name, value in options.items()}
