"""JSON as the fastest library at hand reads and writes it.

orjson comes with LangChain (through langsmith) and reads a chunk in half the time; pydantic is always there.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pydantic_core

#: Reads JSON that is as it should be, and raises `ValueError` for anything else.
parse: Callable[[bytes | str], Any]
try:
    import orjson
except ImportError:
    parse = pydantic_core.from_json
else:
    parse = orjson.loads

#: What the fast parsers raise: a string with half a surrogate pair is a `TypeError` of pydantic's.
UNPARSED = (ValueError, TypeError)


def loads(data: bytes | str) -> Any:
    """Read one JSON document; `ValueError` when it is none. What is no character becomes U+FFFD."""
    try:
        return parse(data)
    except UNPARSED:
        return _loads_nonstandard(data)


def loads_nonstandard(data: bytes) -> Any:
    """Read what `parse` refuses. Raises `ValueError` when it is no JSON.

    A server that counts UTF-16 units cuts an emoji between two payloads: the halves at the borders of a string are
    kept, for `SurrogateJoiner` to join them. All others become U+FFFD.
    """
    return _loads_nonstandard(data, keep_borders=True)


def loads_lenient(text: str) -> Any:
    """Read a JSON document whose strings may hold raw line breaks and tabs, as models write them."""
    try:
        return loads(text)
    except ValueError:
        return _loads_nonstandard(text, strict=False)


def dumps(value: Any) -> bytes:
    """Write compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


#: How deeply JSON that is kept may be nested, in levels; a security limit. What is deeper can be neither copied nor
#: pickled: both recurse, and Python's own limit is 1,000 calls.
MAX_DEPTH = 128


def check_depth(value: Any) -> Any:
    """The value, if it is not nested too deeply to be kept. Takes time in proportion to its size.

    >>> check_depth({"a": [1]})
    {'a': [1]}

    Raises:
        ValueError: It has more than `MAX_DEPTH` levels.
    """
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        level = [
            item for one in level for item in (one.values() if type(one) is dict else one) if type(item) in _CONTAINERS
        ]
        if not level:
            return value
    raise ValueError(f"JSON of more than {MAX_DEPTH} levels")


_CONTAINERS = frozenset({dict, list})


def to_text(value: Any) -> str:
    """A value as text: a text as it is, nothing for `None`, anything else as JSON, or by its name where it is none.

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
    """A number of tokens as a server writes it; `None` for what is no number, negative, or beyond all real counts.

    >>> to_count("12"), to_count(3.0), to_count(-1), to_count({}), to_count(10**40)
    (12, 3, None, None, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 10**_MAX_DIGITS else None


_MAX_DIGITS = 15


def replace_lone_surrogates(value: Any, *, keep_edges: bool = False) -> Any:
    """The value with surrogate pairs joined and single halves replaced by U+FFFD, in every string of it.

    Args:
        value: JSON values.
        keep_edges: Whether a low half that begins a string and a high half that ends one are kept.

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


def _replace_in_text(text: str, keep_borders: bool) -> str:
    if _LONE_SURROGATE.search(text) is None:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return (_INNER_LONE_SURROGATE if keep_borders else _LONE_SURROGATE).sub("\ufffd", joined)


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_INNER_LONE_SURROGATE = re.compile("[\ud800-\udbff](?!\\Z)|(?<!\\A)[\udc00-\udfff]")


def is_unfinished(text: str) -> bool:
    """Whether `text` is the beginning of a JSON document that was cut off.

    Another flaw before the cut (a raw line break in a string, a bad escape) hides it from a parser, which stops at the
    first one: then it is unfinished where a string is still open, or more brackets were opened than closed.

    >>> is_unfinished('{"city": "Par'), is_unfinished('{"city": "Paris"}'), is_unfinished("{city}")
    (True, False, False)
    """
    try:
        pydantic_core.from_json(text)
    except UNPARSED as error:
        return str(error).startswith("EOF while parsing") or _is_open(text)
    return False


def text_after_object(text: str) -> str:
    """What stands behind the JSON object with which a text begins; nothing where it begins with no object.

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


#: A string, or the rest of the text where it is not closed. What the possessive `*+` took is not tried again: linear.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|(\\?\Z))', re.DOTALL)


def _loads_nonstandard(data: bytes | str, *, keep_borders: bool = False, strict: bool = True) -> Any:
    """Read what the fast parsers refuse and real servers send: NaN, half an emoji, bytes that are not UTF-8."""
    text = data if isinstance(data, str) else _decode(data)
    try:
        value = json.loads(text, strict=strict)
        return replace_lone_surrogates(value, keep_edges=keep_borders) if _MAYBE_SURROGATE.search(text) else value
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


#: Where a surrogate may be: escaped, or as it is.
_MAYBE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def _decode(data: bytes) -> str:
    """The text; halves of surrogate pairs that were encoded one by one (CESU-8) stay halves."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
