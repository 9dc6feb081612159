"""JSON as the fastest library at hand reads and writes it.

orjson comes with LangChain (through langsmith) and reads a chunk in half the time; pydantic is always there.
"""

import json
from collections.abc import Callable
from typing import Any

import pydantic_core

_parse: Callable[[bytes | str], Any]
try:
    import orjson
except ImportError:
    _parse = pydantic_core.from_json
else:
    _parse = orjson.loads


def loads(data: bytes | str) -> Any:
    """Read one JSON document; `ValueError` when it is none."""
    try:
        return _parse(data)
    except ValueError:
        # Both refuse lone surrogates and NaN, which real servers send (half an emoji, a logprob of -Infinity).
        return json.loads(data)


def dumps(value: Any) -> bytes:
    """Write compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def is_unfinished(text: str) -> bool:
    """Whether `text` is the beginning of a JSON document that was cut off.

    >>> is_unfinished('{"city": "Par'), is_unfinished('{"city": "Paris"}'), is_unfinished("{city}")
    (True, False, False)
    """
    try:
        pydantic_core.from_json(text, allow_partial=False)
    except ValueError:
        pass
    else:
        return False
    try:
        pydantic_core.from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True
