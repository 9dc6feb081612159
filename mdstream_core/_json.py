"""JSON as the fastest library at hand reads and writes it.

orjson comes with LangChain (through langsmith) and reads a chunk in half the time; pydantic is always there.
"""

import json
import re
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
        return _loads_bent(data)


def dumps(value: Any) -> bytes:
    """Write compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def is_unfinished(text: str) -> bool:
    """Whether `text` is the beginning of a JSON document that was cut off.

    Another flaw before the cut (a raw line break in a string, a bad escape) hides it from a parser, which stops at the
    first one: then it is unfinished where a string is still open, or more brackets were opened than closed.

    >>> is_unfinished('{"city": "Par'), is_unfinished('{"city": "Paris"}'), is_unfinished("{city}")
    (True, False, False)
    """
    try:
        pydantic_core.from_json(text)
    except ValueError as error:
        return str(error).startswith("EOF while parsing") or _is_open(text)
    return False


def _is_open(text: str) -> bool:
    bare = _STRING.sub(lambda match: "" if match[1] is None else '"', text)
    opened, closed = bare.count("{") + bare.count("["), bare.count("}") + bare.count("]")
    return '"' in bare or opened > closed


#: A string, or the rest of the text where it is not closed. What the possessive `*+` took is not tried again: linear.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|(\\?\Z))', re.DOTALL)


def _loads_bent(data: bytes | str) -> Any:
    """What both refuse and real servers send: NaN, half an emoji, bytes that are not UTF-8.

    What is no character becomes U+FFFD: text with half a character in it could be neither printed nor stored.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return json.loads(_HALF.sub(lambda match: match["whole"] or "\ufffd", text))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"

#: Half of a surrogate pair, escaped or as it is; an escaped backslash and a whole pair are stepped over.
_HALF = re.compile(rf"(?P<whole>\\\\|{_HIGH}{_LOW})|{_HIGH}|{_LOW}|[\ud800-\udfff]")
