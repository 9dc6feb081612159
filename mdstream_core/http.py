"""Values that cross walls: what is asked, how an answer begins, how long to wait."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

_SECRET_PARTS = ("authorization", "cookie", "token", "secret", "appcode", "password", "credential", "key", "signature")


def is_secret(name: str) -> bool:
    """Whether a header of this name may carry a credential.

    >>> is_secret("Authorization"), is_secret("X-Api-Key"), is_secret("opc-request-id")
    (True, True, False)
    """
    return any(part in name.lower() for part in _SECRET_PARTS)


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """A copy of `headers` that may be shown: credentials left out, also those in the URL of a redirect."""
    shown = {name: value for name, value in headers.items() if not is_secret(name)}
    return {name: strip_credentials(value) if name.lower() in _URLS else value for name, value in shown.items()}


#: Headers whose values are URLs.
_URLS = frozenset({"location", "content-location", "refresh"})

#: A URL's user and password; and what stands behind its path: parameters, query, fragment.
_USER = re.compile(r"(?<=//)[^/?#]*@")
_BEHIND_PATH = re.compile(r"[;?#].*", re.DOTALL)


def strip_credentials(url: str) -> str:
    """A URL without what may hold a credential; `…` stands for what was left out behind the path.

    >>> strip_credentials("https://bob:s3cret@host/path?token=x")
    'https://host/path?…'
    """
    bare = _USER.sub("", url)
    return _BEHIND_PATH.sub(lambda match: f"{match[0][0]}…", bare)


#: A URL in a text, or a path with something behind it.
_URL_IN_TEXT = re.compile(r"(?:https?:)?//[^\s\"'<>]+|/[^\s\"'<>]*[;?#][^\s\"'<>]*", re.IGNORECASE)


def strip_url_credentials(text: str) -> str:
    """A text whose URLs are without what may hold a credential.

    >>> strip_url_credentials("Found. Redirecting to https://bob:s3cret@host/path?token=x")
    'Found. Redirecting to https://host/path?…'
    """
    return _URL_IN_TEXT.sub(lambda match: strip_credentials(match[0]), text)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before or after it was signed. Header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def __repr__(self) -> str:
        url = _USER.sub("", _BEHIND_PATH.sub("", self.url))  # either may hold a key
        return f"<Request {self.method} {url} {without_secrets(self.headers)} {len(self.content)} bytes>"


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins: the status and the headers (lower-case names; repeated ones joined by `, `)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[str, str]]) -> "Head":
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
        return f"<Head {self.status} {without_secrets(self.headers)}>"


#: A limit in seconds; `None` is none, and "default" the one of the service that is asked.
Limit = float | None | Literal["default"]

#: How much longer the default of `total` is than a longer `read` that was given.
_BEYOND = 30.0


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

    connect: Limit = "default"
    read: Limit = "default"
    write: Limit = "default"
    pool: Limit = "default"
    first_token: Limit = "default"  # noqa: S105  # no secret
    total: Limit = "default"

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value != "default" and (isinstance(value, str) or value <= 0):
                raise ValueError(f"timeout {name}={value!r} must be a positive number of seconds, or None for no limit")

    @classmethod
    def of(cls, value: "float | Timeout | None") -> "Timeout":
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
            given["total"] = max(total, max(waits) + _BEYOND)
        return replace(defaults, **given)


#: What every service has in common: connecting takes as long as Oracle's SDK allows it (10 s), the rest is ours.
COMMON = Timeout(connect=10.0, read=65.0, write=30.0, pool=30.0, first_token=None, total=330.0)
