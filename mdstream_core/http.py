"""Values that cross walls: what is asked, how an answer begins, how long to wait."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mdstream_core._header_validation import (
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
    without_inputs,
)

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
    "sendable_headers",
    "without_inputs",
]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before or after it was signed. Header names are lower case; reprs show no values."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", RequestHeaders(self.headers))

    def __repr__(self) -> str:
        url = re.split("[;?#]", redact_url(self.url))[0]  # either may hold a key
        return f"<Request {self.method} {url} {', '.join(self.headers)}; {len(self.content)} bytes>"


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """How an answer begins: the status and the headers (lower-case names; repeated ones joined by `, `)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", ResponseHeaders(self.headers))

    @classmethod
    def from_fields(cls, status: int, headers: Iterable[tuple[str, str]]) -> "ResponseHead":
        """Collect header fields as they came."""
        collected: dict[str, str] = {}
        for name, value in headers:
            name = name.lower()
            collected[name] = f"{collected[name]}, {value}" if name in collected else value
        return cls(status, collected)

    @property
    def content_type(self) -> str:
        """The media type alone: lower case, without parameters, empty when there is none."""
        return re.split("[;,]", self.headers.get("content-type", ""), maxsplit=1)[0].strip().lower()

    def __repr__(self) -> str:
        return f"<Head {self.status} {redact_headers(self.headers)}>"


#: A limit in seconds; `None` is none, and "default" the one of the service that is asked.
TimeoutValue = float | None | Literal["default"]

#: How much longer the default of `total` is than a longer `read` that was given.
_READ_MARGIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long to wait, in seconds; `None` waits without end.

    What is not given is the service's default, which lies just above the service's own limit, so that its own reason
    arrives first. The defaults stand in each platform's `default_timeout`, and in the documentation ("Timeouts").

    Args:
        connect: To reach the service, DNS and TLS included.
        read: The longest silence. Keep-alive comments and pings are not progress and do not extend it. A whole response
            that does not come in this time is not asked for again: the server may still be working on it, and bill it.
        write: To hand over one piece of the request.
        pool: For a free connection.
        first_token: From sending the question to the first event.
        total: For the whole call, retries included; an answer that is gone on with (`resume`) has it anew. By default
            never less than a `read` or `first_token` that was given, and without end where `read` is.

    >>> Timeout(read=5).with_defaults(Timeout(connect=10, read=65, write=30, pool=30, first_token=None, total=330)).read
    5
    """

    connect: TimeoutValue = "default"
    read: TimeoutValue = "default"
    write: TimeoutValue = "default"
    pool: TimeoutValue = "default"
    first_token: TimeoutValue = "default"  # noqa: S105  # no secret
    total: TimeoutValue = "default"

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value != "default" and (isinstance(value, str) or value <= 0):
                raise ValueError(f"timeout {name}={value!r} must be a positive number of seconds, or None for no limit")

    @classmethod
    def from_value(cls, value: "float | Timeout | None") -> "Timeout":
        """A number is the longest silence, `None` the service's defaults."""
        if value is None:
            return cls()
        return value if isinstance(value, Timeout) else cls(read=float(value))

    def with_defaults(self, defaults: "Timeout") -> "Timeout":
        """The same with `defaults` where nothing was given."""
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) != "default"}
        total = defaults.total
        if "total" not in given and given.get("read", total) is None:
            given["total"] = None
        waits = [wait for name in ("read", "first_token") if isinstance(wait := given.get(name), int | float)]
        if waits and "total" not in given and isinstance(total, int | float):
            given["total"] = max(total, max(waits) + _READ_MARGIN)
        return replace(defaults, **given)


#: What every service has in common: connecting takes as long as Oracle's SDK allows it (10 s), the rest is ours.
DEFAULT_TIMEOUT = Timeout(connect=10.0, read=65.0, write=30.0, pool=30.0, first_token=None, total=330.0)
