"""What can be sent in an HTTP header. What cannot is named here, with its header and without its value."""

import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mdstream_core._redaction import HIDDEN, RequestHeaders, SecretHeaders

#: A field name (RFC 9110 §5.1) and a field value; white space at its ends is no part of a value (§5.5).
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?")
_OUTSIDE = re.compile(r"[^\x20-\x7e]")

#: Categories of characters that nobody sees: format characters and separators.
_INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp"})

#: Parameters of a query whose values are shown with the address: versions and places. Any other may be a key.
_SHOWN_PARAMETERS = frozenset(
    "api-version api_version version v stream region model deployment service project_id projectid".split()
)

_PROXIES = frozenset({"http", "https", "socks5", "socks5h"})

_STRIP = "strip what was read from a file or a variable"
_SPACE = "white space at its beginning or end"
_BREAK = "a line break"
_INVISIBLE_CHARACTER = "an invisible character"
_NOT_ASCII = "a character outside ASCII"

#: What to do about each flaw.
_HINTS = {
    _BREAK: _STRIP,
    _SPACE: _STRIP,
    _INVISIBLE_CHARACTER: "it often comes with copy and paste: type the value, or copy it from another place",
    _NOT_ASCII: "percent-encode the value, or encode it as base64",
}


def describe_problem(text: str) -> str | None:
    """What keeps a text from being a header's value, with a hint; `None` where nothing does.

    >>> describe_problem("abc"), describe_problem("abc ")
    (None, 'white space at its beginning or end (hint: strip what was read from a file or a variable)')
    """
    if _VALUE.fullmatch(text):
        return None
    outside = _OUTSIDE.search(text)
    kind = _describe_character(outside[0]) if outside else _SPACE
    code = f", U+{ord(outside[0]):04X}," if outside and outside[0] > "\x7f" else ""
    place = f"{code} at position {outside.start()}" if outside else ""
    hint = _HINTS.get(kind)
    return f"{kind}{place} (hint: {hint})" if hint else f"{kind}{place}"


def _describe_character(character: str) -> str:
    if character in "\r\n":
        return _BREAK
    if character == "\0":
        return "a NUL character"
    if character < " " or character == "\x7f":
        return "a control character"
    return _INVISIBLE_CHARACTER if unicodedata.category(character) in _INVISIBLE else _NOT_ASCII


def check_sendable(name: str, value: str | None) -> None:
    """Check a field whose value goes into a header, or whose text goes into an address.

    Args:
        name: The field's, for the message.
        value: Its text; `None` is none.

    Raises:
        ValueError: It cannot be sent; the message shows no value.

    >>> check_sendable("route", "/v1/chat")
    """
    if value is not None and (found := describe_problem(value)):
        raise ValueError(f"{name} cannot be sent: it has {found}")


def check_key(name: str, value: str | None) -> None:
    """The same for a credential, which must not be empty either.

    Raises:
        ValueError: It is empty or cannot be sent.
    """
    if value is None:
        return
    if not value:
        raise ValueError(f"{name} is empty")
    check_sendable(name, value)


def check_route(name: str, value: str | None) -> None:
    """Check a path, and that its query shows no key: paths stand in dumps and traces.

    Raises:
        ValueError: It cannot be sent, or has a parameter whose value must not be shown.
    """
    check_sendable(name, value)
    if value:
        check_query(name, value.partition("?")[2])


def check_proxy(name: str, url: str | None) -> None:
    """Check a proxy's URL, which may hold a password and so is shown nowhere.

    Raises:
        ValueError: It is no URL; the message does not show it.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        whole = parts.scheme in _PROXIES and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        whole = False
    if not whole or describe_problem(url) or " " in url:
        raise ValueError(
            f"{name} is no URL of a proxy, such as http://host:3128 or http://user:password@host:3128 (hint: percent-"
            "encode what is special in the password)"
        )


def check_query(name: str, query: str) -> None:
    """Check that a query holds nothing but what may be shown.

    Raises:
        ValueError: It has a parameter whose value may be a key; the message names the parameter.
    """
    for parameter, _ in parse_qsl(query, keep_blank_values=True):
        if parameter.lower() not in _SHOWN_PARAMETERS:
            raise ValueError(
                f"{name} has a credential in its query ({parameter}=…), or what may be one, and addresses are shown in "
                "dumps and traces: give a key as api_key, token or auth, and other parameters in an event hook of an "
                "http_client of your own"
            )


def sendable_headers(field: str, headers: Any) -> RequestHeaders:
    """Headers as they are sent: values are texts; numbers become texts, and a `SecretStr` gives its secret.

    Args:
        field: The field's or the argument's name, for the message.
        headers: A mapping of names to values.

    Raises:
        ValueError: A name or a value cannot be sent, or is missing; the message names it and shows no value.

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
    """Check that no value was left out when an object was saved.

    Raises:
        ValueError: Some were; the message names the headers.
    """
    if lost := [name for name, value in headers.items() if value == HIDDEN]:
        names = ", ".join(map(repr, lost))
        raise ValueError(
            f"{field}: the value of {names} is missing, because values of headers are kept out of pickles, dumps and "
            f"caches (hint: give {field} again where the object was loaded)"
        )


def drop_missing_values(field: str, headers: RequestHeaders) -> RequestHeaders:
    """Headers without those whose value was left out when an object was saved; a `RuntimeWarning` names these."""
    try:
        require_values(field, headers)
    except ValueError as error:
        warnings.warn(f"{error}; these headers are not sent", RuntimeWarning, stacklevel=4)
        return RequestHeaders({name: value for name, value in headers.items() if value != HIDDEN})
    return headers


def _check_header_name(field: str, name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{field}: the name of a header must be a text, not {_type(name)}")
    if not name:
        raise ValueError(f"{field}: the name of a header is empty")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{field}: header {name[:80]!r} has a name that cannot be sent: only letters, digits and !#$%&'*+-.^_`|~ "
            "can stand there"
        )
    return name


def _check_header_value(field: str, name: str, value: Any) -> str:
    secret = getattr(value, "get_secret_value", None)
    value = secret() if secret is not None else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(
            f"{field}: header {name!r} has a value that cannot be sent: it must be a text, not {_type(value)}"
        )
    if value != HIDDEN and (found := describe_problem(value)):
        raise ValueError(f"{field}: header {name!r} has a value that cannot be sent: {found}")
    return value


def _type(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
