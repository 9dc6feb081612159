"""HTTP values that all layers share: `Request`, `ResponseHead`, `Timeout`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from mdstream_core import _frozen
from mdstream_core._header_validation import (
    are_sendable,
    are_values_sendable,
    check_key,
    check_proxy,
    check_query,
    check_route,
    check_sendable,
    describe_problem,
    drop_missing_values,
    require_values,
    sendable_headers,
)
from mdstream_core._redaction import (
    HIDDEN,
    RequestHeaders,
    ResponseHeaders,
    ResponseTrailers,
    SecretHeaders,
    SecretText,
    fingerprint,
    is_secret_name,
    redact_headers,
    redact_url,
    redact_urls,
    remove_credentials,
    scrub_credentials,
    scrub_error,
)
from mdstream_core._validation_errors import without_inputs

__all__ = [
    "DEFAULT_TIMEOUT",
    "HIDDEN",
    "Request",
    "RequestHeaders",
    "ResponseHead",
    "ResponseHeaders",
    "ResponseTrailers",
    "SecretHeaders",
    "SecretText",
    "Timeout",
    "TimeoutValue",
    "are_sendable",
    "are_values_sendable",
    "check_key",
    "check_proxy",
    "check_query",
    "check_route",
    "check_sendable",
    "describe_problem",
    "drop_missing_values",
    "fingerprint",
    "is_secret_name",
    "redact_headers",
    "redact_url",
    "redact_urls",
    "remove_credentials",
    "require_values",
    "scrub_credentials",
    "scrub_error",
    "sendable_headers",
    "without_inputs",
]


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, init=False)
class Request:
    """One HTTP request, unsigned or signed. Its repr shows no header values and no body."""

    method: str
    """HTTP method, such as `POST`."""
    url: str
    """Absolute URL."""
    headers: Mapping[str, str]
    """Header fields; names are lower case."""
    content: bytes
    """The body."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str] = _NO_HEADERS, content: bytes = b"") -> None:
        set_field = object.__setattr__  # three times as fast as the `__init__` of a dataclass with `__post_init__`
        set_field(self, "method", method)
        set_field(self, "url", url)
        set_field(self, "headers", RequestHeaders(headers))
        set_field(self, "content", content)

    def __repr__(self) -> str:
        url = re.split("[;?#]", redact_url(self.url))[0]  # each of these parts may contain a key
        return f"<Request {self.method} {url} {', '.join(self.headers)}; {len(self.content)} bytes>"


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status code and headers of a response."""

    status: int
    """HTTP status code."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header fields; names are lower case, and repeated fields are joined by `, `."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", ResponseHeaders(self.headers))

    @classmethod
    def from_fields(cls, status: int, headers: Iterable[tuple[str, str]]) -> "ResponseHead":
        """Build from header fields as they were received; repeated fields are joined."""
        collected = ResponseHeaders()
        for name, value in headers:
            name = name.lower()
            collected[name] = f"{collected[name]}, {value}" if name in collected else value
        return _new_head(status, collected)

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty if there is none."""
        return _parse_media_type(self.headers.get("content-type", ""))

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} {redact_headers(self.headers)}>"


@lru_cache(maxsize=64)  # most responses have one of a few types
def _parse_media_type(value: str) -> str:
    return value.partition(";")[0].partition(",")[0].strip().lower()


_new_head = _frozen.fast_constructor(ResponseHead)

#: A timeout in seconds; `None` disables it, and "default" selects the platform's default.
TimeoutValue = float | None | Literal["default"]

#: How many seconds the default of `total` exceeds a `read` or `first_token` that the user set to more than it.
_READ_MARGIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Timeouts of a call, in seconds; `None` disables a timeout.

    The default of each is the platform's (its `default_timeout`). It lies just above the service's own limit, so that
    the service's own error arrives first. The documentation has a table of them ("Timeouts").

    >>> Timeout(read=5).with_defaults(Timeout(connect=10, read=65, write=30, pool=30, first_token=None, total=330)).read
    5
    """

    connect: TimeoutValue = "default"
    """Timeout of connecting, DNS lookup and TLS handshake included."""
    read: TimeoutValue = "default"
    """Maximum time between two pieces of data. Keep-alive comments and pings are not data. A request without streaming
    is not retried after this timeout, because the server may still be working on it, and bill it."""
    write: TimeoutValue = "default"
    """Timeout of writing one piece of the request."""
    pool: TimeoutValue = "default"
    """Timeout of waiting for a free connection."""
    first_token: TimeoutValue = "default"  # noqa: S105  # no secret
    """Timeout from sending the request to the first event."""
    total: TimeoutValue = "default"
    """Timeout of the whole call, retries included; a resumed stream starts anew. Its default is raised above a `read`
    or `first_token` that is longer, and is `None` if `read` is."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value != "default" and (isinstance(value, str) or value <= 0):
                raise ValueError(f"timeout.{name}={value!r} must be a positive number of seconds, or None for no limit")

    @classmethod
    def from_value(cls, value: "float | Timeout | None") -> "Timeout":
        """Convert a user's value: a number is the `read` timeout, `None` selects all defaults."""
        if value is None:
            return cls()
        return value if isinstance(value, Timeout) else cls(read=float(value))

    def with_defaults(self, defaults: "Timeout") -> "Timeout":
        """Replace each "default" by the value of `defaults`."""
        key = id(self), id(defaults)
        known = _resolved.get(key)
        if known is None:
            if len(_resolved) >= _MAX_RESOLVED:
                _resolved.clear()
            # The operands are stored too, so that their ids are not reused.
            known = _resolved[key] = self, defaults, self._replace_defaults(defaults)
        return known[2]

    def _replace_defaults(self, defaults: "Timeout") -> "Timeout":
        values = {name: value for name in self.__slots__ if (value := getattr(self, name)) != "default"}
        total = defaults.total
        if "total" not in values and values.get("read", total) is None:
            values["total"] = None
        longer = [seconds for name in ("read", "first_token") if isinstance(seconds := values.get(name), int | float)]
        if longer and "total" not in values and isinstance(total, int | float):
            values["total"] = max(total, max(longer) + _READ_MARGIN)
        return replace(defaults, **values)


#: Results of `with_defaults` by the identity of its operands, which all calls of a service share. Not by their values,
#: because messages show 5 and 5.0 as the user wrote them.
_resolved: dict[tuple[int, int], tuple[Timeout, Timeout, Timeout]] = {}

_MAX_RESOLVED = 256


#: Defaults that all platforms start from. `connect` is that of Oracle's SDK (10 s); the others have no source.
DEFAULT_TIMEOUT = Timeout(connect=10.0, read=65.0, write=30.0, pool=30.0, first_token=None, total=330.0)
