"""Read and write JSON with the fastest library that is installed.

orjson comes with LangChain (through langsmith) and reads a chunk in half the time; pydantic is always installed.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pydantic_core

from mdstream_core._lazy import lazy_pattern

#: Parses valid JSON, and raises `ValueError` for anything else.
parse: Callable[[bytes | str], Any]

#: Whether `parse` rejects numbers that are not finite, such as NaN and 1e999.
REJECTS_INFINITY: bool
try:
    import orjson
except ImportError:
    parse = pydantic_core.from_json
    REJECTS_INFINITY = False

    def _dump(value: Any) -> bytes:
        raise TypeError
else:
    parse = orjson.loads
    REJECTS_INFINITY = True
    _dump = partial(orjson.dumps, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME)

#: Exceptions of the fast parsers; pydantic's raises `TypeError` for a string with a lone surrogate.
PARSE_ERRORS = (ValueError, TypeError)


def loads(data: bytes | str) -> Any:
    """Parse one JSON document; raise `ValueError` if it is invalid. Invalid characters become U+FFFD."""
    try:
        return parse(data)
    except PARSE_ERRORS:
        return _loads_nonstandard(data)


def loads_nonstandard(data: bytes) -> Any:
    """Parse JSON that `parse` rejects. Raises `ValueError` if it is invalid.

    A server that counts UTF-16 units may split an emoji between two payloads. Lone surrogates at the start or the end
    of a string are kept, so that `SurrogateJoiner` can join them. All others become U+FFFD.
    """
    return _loads_nonstandard(data, keep_edges=True)


def loads_lenient(text: str) -> Any:
    """Parse a JSON document whose strings may contain raw line breaks and tabs, as models write them."""
    try:
        return loads(text)
    except ValueError:
        return _loads_nonstandard(text, strict=False)


def dumps(value: Any) -> bytes:
    """Serialize to compact UTF-8 JSON.

    orjson is ten times as fast. Python's encoder writes what orjson rejects, such as half an emoji or a key that is a
    number, and numbers like NaN, for which orjson writes `null`.
    """
    try:
        data = _dump(value)
    except TypeError:
        return _dumps_nonstandard(value)
    return _dumps_nonstandard(value) if b"null" in data else data


def _dumps_nonstandard(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


#: Maximum nesting of JSON values that are kept, in levels; a security limit. Deeper values can neither be copied nor
#: pickled: both recurse, and Python's own limit is 1,000 calls.
MAX_DEPTH = 128


def check_depth(value: Any) -> Any:
    """Return the value if its nesting is within `MAX_DEPTH`. Takes time in proportion to its size.

    >>> check_depth({"a": [1]})
    {'a': [1]}

    Raises:
        ValueError: It has more than `MAX_DEPTH` levels.
    """
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [
            item
            for parent in level
            for item in (parent.values() if type(parent) is dict else parent)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return value
    raise ValueError(f"the JSON has more than {MAX_DEPTH} levels")


_CONTAINERS = frozenset({dict, list})


def to_text(value: Any) -> str:
    """Convert a value to a string: "" for `None`, JSON for other values, or the type's name if that fails.

    >>> to_text("a"), to_text(None), to_text({"code": 5})
    ('a', '', '{"code":5}')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return dumps(value).decode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return f"<{type(value).__name__}>"


def to_count(value: Any) -> int | None:
    """Convert a token count of a server to an integer; `None` for what is not a number, negative or implausibly large.

    >>> to_count("12"), to_count(3.0), to_count(-1), to_count({}), to_count(10**40)
    (12, 3, None, None, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < MAX_COUNT else None


_MAX_DIGITS = 15

#: All token counts are below this number.
MAX_COUNT = 10**_MAX_DIGITS


def replace_lone_surrogates(value: Any, *, keep_edges: bool = False) -> Any:
    """Join surrogate pairs and replace lone surrogates by U+FFFD in all strings of a JSON value.

    Args:
        value: A JSON value.
        keep_edges: Whether to keep a low surrogate that starts a string and a high surrogate that ends one.

    >>> replace_lone_surrogates({"a": ["\\ud83d\\ude00", "x\\ud83d"]})
    {'a': ['😀', 'x�']}
    """
    if isinstance(value, str):
        return value if value.isascii() else _replace_in_text(value, keep_edges)
    if isinstance(value, list):
        return [replace_lone_surrogates(item, keep_edges=keep_edges) for item in value]
    if isinstance(value, dict):
        return {
            replace_lone_surrogates(name): replace_lone_surrogates(item, keep_edges=keep_edges)
            for name, item in value.items()
        }
    return value


def _replace_in_text(text: str, keep_edges: bool) -> str:
    if _LONE_SURROGATE.search(text) is None:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return (_INNER_LONE_SURROGATE if keep_edges else _LONE_SURROGATE).sub("\ufffd", joined)


_LONE_SURROGATE = lazy_pattern("[\ud800-\udfff]")
_INNER_LONE_SURROGATE = lazy_pattern("[\ud800-\udbff](?!\\Z)|(?<!\\A)[\udc00-\udfff]")


def is_unfinished(text: str) -> bool:
    """Whether `text` is the beginning of a truncated JSON document.

    Another error before the end (a raw line break in a string, a bad escape) hides the truncation from a parser, which
    stops at the first error. Then the document is unfinished if a string or a bracket is still open.

    >>> is_unfinished('{"city": "Par'), is_unfinished('{"city": "Paris"}'), is_unfinished("{city}")
    (True, False, False)
    """
    try:
        pydantic_core.from_json(text)
    except PARSE_ERRORS as error:
        return str(error).startswith("EOF while parsing") or _is_open(text)
    return False


def text_after_object(text: str) -> str:
    """Return the text after the JSON object that a text starts with; "" if it does not start with one.

    >>> text_after_object('{"a": 1} {"b": 2}'), text_after_object('{"a": 1} '), text_after_object("[1] 2")
    ('{"b": 2}', '', '')
    """
    text = text.lstrip(_WHITESPACE)
    if not text.startswith("{"):
        return ""
    try:
        _, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return ""
    return text[end:].strip(_WHITESPACE)


_WHITESPACE = " \t\r\n"
_DECODER = json.JSONDecoder(strict=False)


def _is_open(text: str) -> bool:
    bare = _STRING.sub(lambda match: "" if match[1] is None else '"', text)
    opened, closed = bare.count("{") + bare.count("["), bare.count("}") + bare.count("]")
    return '"' in bare or opened > closed


#: A string, or the rest of the text if it is not closed. The possessive `*+` does not backtrack, so the time is linear.
_STRING = lazy_pattern(r'"(?:[^"\\]|\\.)*+(?:"|(\\?\Z))', re.DOTALL)


def _loads_nonstandard(data: bytes | str, *, keep_edges: bool = False, strict: bool = True) -> Any:
    """Parse what real servers send and the fast parsers reject: NaN, half an emoji, bytes that are not UTF-8."""
    text = data if isinstance(data, str) else _decode(data)
    try:
        value = json.loads(text, strict=strict)
        return replace_lone_surrogates(value, keep_edges=keep_edges) if _MAYBE_SURROGATE.search(text) else value
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


#: A surrogate, escaped or raw.
_MAYBE_SURROGATE = lazy_pattern(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _decode(data: bytes) -> str:
    """Decode UTF-8; surrogates that were encoded one by one (CESU-8) stay lone surrogates."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
