"""Validate header names and values before they are sent. Error messages name the header, and never show its value."""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mdstream_core._redaction import HIDDEN, RequestHeaders, SecretHeaders

#: A field name (RFC 9110 §5.1) and a field value; leading and trailing white space is not part of a value (§5.5).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?")
_OUTSIDE = re.compile(r"[^\x20-\x7e]")

#: Unicode categories of invisible characters: format characters and separators.
_INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp"})

#: Query parameters whose values may be displayed: versions and locations. Any other may be a key.
_SAFE_PARAMETERS = frozenset(
    "api-version api_version version v stream region model deployment service project_id projectid".split()
)

_PROXIES = frozenset({"http", "https", "socks5", "socks5h"})

_STRIP = "strip values that are read from a file or a variable"
_SPACE = "white space at its beginning or end"
_BREAK = "a line break"
_INVISIBLE_CHARACTER = "an invisible character"
_NOT_ASCII = "a character outside ASCII"

#: Hint for each problem.
_HINTS = {
    _BREAK: _STRIP,
    _SPACE: _STRIP,
    _INVISIBLE_CHARACTER: "type the value, or copy it from another source; copied text often has such characters",
    _NOT_ASCII: "percent-encode the value, or encode it as base64",
}


def describe_problem(text: str) -> str | None:
    """Describe why a text cannot be a header's value, with a hint; `None` if it can.

    >>> describe_problem("abc"), describe_problem("abc ")
    (None, 'white space at its beginning or end (hint: strip values that are read from a file or a variable)')
    """
    if _VALUE.fullmatch(text):
        return None
    outside = _OUTSIDE.search(text)
    problem = _describe_character(outside[0]) if outside else _SPACE
    code = f", U+{ord(outside[0]):04X}," if outside and outside[0] > "\x7f" else ""
    position = f"{code} at position {outside.start()}" if outside else ""
    hint = _HINTS.get(problem)
    return f"{problem}{position} (hint: {hint})" if hint else f"{problem}{position}"


def _describe_character(character: str) -> str:
    if character in "\r\n":
        return _BREAK
    if character == "\0":
        return "a NUL character"
    if character < " " or character == "\x7f":
        return "a control character"
    return _INVISIBLE_CHARACTER if unicodedata.category(character) in _INVISIBLE else _NOT_ASCII


def check_sendable(name: str, value: str | None) -> None:
    """Check a value that is sent in a header or as part of a URL.

    Args:
        name: The name of the field, for the error message.
        value: The value; `None` is valid.

    Raises:
        ValueError: It cannot be sent; the message does not show it.

    >>> check_sendable("route", "/v1/chat")
    """
    if value is not None and (problem := describe_problem(value)):
        raise ValueError(f"{name} cannot be sent: it has {problem}")


def check_key(name: str, value: str | None) -> None:
    """Check a credential like `check_sendable`; it must not be empty either.

    Raises:
        ValueError: It is empty or cannot be sent.
    """
    if value is None:
        return
    if not value:
        raise ValueError(f"{name} is empty")
    check_sendable(name, value)


def check_route(name: str, value: str | None) -> None:
    """Check a path, and that its query contains no key: paths appear in dumps and traces.

    Raises:
        ValueError: It cannot be sent, or has a query parameter that may be a key.
    """
    check_sendable(name, value)
    if value:
        check_query(name, value.partition("?")[2])


def check_proxy(name: str, url: str | None) -> None:
    """Check the URL of a proxy. It may contain a password, so it is not displayed.

    Raises:
        ValueError: It is not a URL; the message does not show it.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in _PROXIES and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        is_complete = False
    if not is_complete or describe_problem(url) or " " in url:
        raise ValueError(
            f"{name} is not the URL of a proxy (hint: use a URL such as http://host:3128 or "
            "http://user:password@host:3128, and percent-encode special characters of the password)"
        )


def check_query(name: str, query: str) -> None:
    """Check that a query contains only parameters that may be displayed.

    Raises:
        ValueError: It has a parameter that may be a key; the message names the parameter.
    """
    for parameter, _ in parse_qsl(query, keep_blank_values=True):
        if parameter.lower() not in _SAFE_PARAMETERS:
            raise ValueError(
                f"{name} may have a credential in its query ({parameter}=…), and URLs appear in dumps and traces "
                "(hint: pass a key as api_key, token or auth, and other parameters in an event hook of your own "
                "http_client)"
            )


def are_sendable(headers: Mapping[str, str]) -> bool:
    """Whether all names and values can be sent; for those that cannot, `sendable_headers` raises the error.

    >>> are_sendable({"x-count": "3"}), are_sendable({"x-name": "a\\n"})
    (True, False)
    """
    try:
        return all(map(_NAME.fullmatch, headers)) and are_values_sendable(headers.values())
    except TypeError:  # a name is no string
        return False


def are_values_sendable(values: Iterable[str]) -> bool:
    """Whether all values can be sent. They are checked at once, which takes a quarter of the time.

    >>> are_values_sendable(["3", "a b", ""]), are_values_sendable(["a "])
    (True, False)
    """
    values = tuple(values)
    try:
        text = "|".join(values)
    except TypeError:  # a value is no string
        return False
    # What is ASCII and printable is a character from U+0020 to U+007E.
    if text.isascii() and text.isprintable() and text.strip() == text and "| " not in text and " |" not in text:
        return True
    return all(map(_VALUE.fullmatch, values))  # the bar may be part of a value


def sendable_headers(field: str, headers: Any) -> RequestHeaders:
    """Convert headers to strings and validate them; numbers become strings, and a `SecretStr` its secret.

    Args:
        field: The name of the field or argument, for the error message.
        headers: A mapping of names to values.

    Raises:
        ValueError: A name or a value cannot be sent, or is missing; the message names it without its value.

    >>> sendable_headers("headers", {"x-count": 3})["x-count"]
    '3'
    """
    if isinstance(headers, SecretHeaders):
        headers = headers.get_secret_values()
    if not isinstance(headers, Mapping):
        raise ValueError(f"{field} must be a mapping of names to values, not {_type(headers)}")
    checked = RequestHeaders()
    for name, value in headers.items():
        checked[_check_header_name(field, name)] = _check_header_value(field, name, value)
    return checked


def require_values(field: str, headers: Mapping[str, str]) -> None:
    """Check that no header lost its value when an object was serialized.

    Raises:
        ValueError: Some did; the message names them.
    """
    if missing := [name for name, value in headers.items() if value == HIDDEN]:
        names = ", ".join(map(repr, missing))
        raise ValueError(
            f"{field}: the value of {names} is missing, because pickles, dumps and caches do not contain header values "
            f"(hint: set {field} again after loading the object)"
        )


def drop_missing_values(field: str, headers: RequestHeaders) -> RequestHeaders:
    """Return the headers without those that lost their value in serialization; a `RuntimeWarning` names these."""
    try:
        require_values(field, headers)
    except ValueError as error:
        warnings.warn(f"{error}; these headers are not sent", RuntimeWarning, stacklevel=4)
        return RequestHeaders({name: value for name, value in headers.items() if value != HIDDEN})
    return headers


def _check_header_name(field: str, name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{field}: the name of a header must be a string, not {_type(name)}")
    if not name:
        raise ValueError(f"{field}: the name of a header is empty")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{field}: header {name[:80]!r} has a name that cannot be sent (hint: use only letters, digits and "
            "!#$%&'*+-.^_`|~)"
        )
    return name


def _check_header_value(field: str, name: str, value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    value = secret() if secret is not None else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(
            f"{field}: header {name!r} has a value that cannot be sent: it must be a string, not {_type(value)}"
        )
    if value != HIDDEN and (problem := describe_problem(value)):
        raise ValueError(f"{field}: header {name!r} has a value that cannot be sent: {problem}")
    return value


def _type(value: Any) -> str:
    return "None" if value is None else type(value).__name__
