"""Requests that skip the steps of an httpx client which change nothing.

For each request httpx parses the URL, merges headers, cookies and authentication, selects a transport, and reads
cookies from the response. For a client that mdstream has created, and nobody else can change, the result of all that
follows from the URL and the client's headers, and a request is passed to the transport with the same bytes. If the
environment has proxies, the first request of each URL goes through httpx, which selects the transport.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from mdstream_core.errors import InvalidRequest
from mdstream_core.http import (
    Request,
    are_sendable,
    are_values_sendable,
    require_values,
    scrub_credentials,
    sendable_headers,
)
from mdstream_core.transport._http11 import FRAMING, Headers, serialize_head

#: Key of a response's extensions: the transport of mdstream that has sent the request.
TRANSPORT = "mdstream_transport"

#: Schemes of direct requests. A WebSocket's handshake is built by the transport.
_SCHEMES = frozenset({"http", "https"})

#: In place of the target of a URL that was not requested before.
_UNKNOWN = object()

#: Maximum number of URLs whose parts are stored.
_MAX_TARGETS = 64

#: In place of a value in the head of a request, which cannot have this character.
_PLACEHOLDER = "\x01"

#: The type of values that are formatted. `%s` would call the `__str__` of a subclass, such as that of an enumeration.
_VALUE_TYPES = frozenset({str})

#: Methods whose requests have a `Content-Length` even without a body (`httpx._models.Request`).
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})

#: Methods of httpx's clients that other packages replace, to trace requests or to record them.
_PATCHED_METHODS = ("send", "_send_single_request", "_send_handling_auth", "_transport_for_url")


class Target(NamedTuple):
    """What a URL contributes to a request.

    Attributes:
        transport: The transport that httpx has selected for it.
        url: httpcore's URL.
        host: The field `Host`.
        heads: Formats of heads, by method, whether the body is empty, and names; `None` for heads without a format.
    """

    transport: Any
    url: Any
    host: tuple[bytes, bytes]
    heads: "dict[tuple[Any, ...], HeadFormat | None]"


class ClientFields(NamedTuple):
    """What a client contributes to requests with certain header names.

    Attributes:
        fields: The client's header fields that the request does not replace.
        has_host: Whether the request has a field `Host`.
        has_length: Whether it has a field `Content-Length`.
    """

    fields: Headers
    has_host: bool
    has_length: bool


def check_headers(request: Request) -> None:
    """Check that all headers of a request can be sent.

    Raises:
        InvalidRequest: One cannot; the message names it without its value.
    """
    if are_sendable(request.headers):
        return
    try:
        with scrub_credentials:
            require_values("the request", sendable_headers("the request", request.headers))
    except ValueError as error:
        raise InvalidRequest(str(error), code="InvalidHeader") from None


class HeadFormat(NamedTuple):
    """The head of all requests to a URL with the same header names.

    Attributes:
        text: The head, with `%s` in place of each value.
        has_length: Whether one of the request's values is the length of its body.
        adds_length: Whether that length follows the request's values.
    """

    text: str
    has_length: bool
    adds_length: bool

    def serialize(self, request: Request) -> bytes | None:
        """Return the head of a request; `None` if its values have to be checked one by one."""
        values = tuple(request.headers.values())
        if not (_VALUE_TYPES.issuperset(map(type, values)) and are_values_sendable(values)):
            return None
        if self.has_length or self.adds_length:
            length = str(len(request.content))
            if self.adds_length:
                values += (length,)
            elif request.headers["content-length"] != length:
                return None
        return (self.text % values).encode("ascii")


class DirectRequest:
    """A request for a connection pool: httpcore's `Request`, without its checks of every value.

    Attributes:
        head: Its serialized head; `None` if `headers` have to be serialized.
        content: Its body.
    """

    __slots__ = ("_merge_headers", "_request", "_target", "content", "extensions", "head", "method", "transport", "url")

    def __init__(
        self,
        target: Target,
        request: Request,
        head: bytes | None,
        merge_headers: Callable[[Request, Target], Headers],
        extensions: Mapping[str, Any],
    ) -> None:
        self.transport = target.transport
        self.method = request.method.encode("ascii")
        self.url = target.url
        self.head = head
        self.content = request.content
        self.extensions = extensions
        self._request = request
        self._target = target
        self._merge_headers = merge_headers

    @property
    def headers(self) -> Headers:
        """The header fields, of the client and of the request."""
        return self._merge_headers(self._request, self._target)

    @property
    def stream(self) -> "DirectRequest":
        """The body: this object, because iterating over it yields its content."""
        return self

    def __iter__(self) -> Iterator[bytes]:
        return iter((self.content,))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content

    def to_api(self, api: Any) -> Any:
        """Convert to a request of httpx without headers and body, for exceptions."""
        return api.Request(self.method.decode("ascii"), bytes(self.url).decode("ascii"))


class Fields:
    """Header fields of a response, with the methods of `httpx.Headers` that are used here."""

    def __init__(self, raw: Headers) -> None:
        try:  # like httpx: all fields as UTF-8 if they are valid, else all as Latin-1
            self._items = [(name.decode().lower(), value.decode()) for name, value in raw]
        except UnicodeDecodeError:
            self._items = [(name.decode("iso-8859-1").lower(), value.decode("iso-8859-1")) for name, value in raw]

    def multi_items(self) -> list[tuple[str, str]]:
        """The fields as (name, value) pairs; names are lower case."""
        return self._items

    def get(self, name: str, default: Any = None) -> Any:
        """The values of a field, joined with a comma."""
        values = [value for key, value in self._items if key == name]
        return ", ".join(values) if values else default

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._items)


class PoolResponse:
    """The head of a response, and its body: httpcore's `Response`, without its checks of every value."""

    __slots__ = ("extensions", "headers", "status", "stream")

    def __init__(self, status: int, headers: Headers, stream: Any, extensions: dict[str, Any]) -> None:
        self.status = status
        self.headers = headers
        self.stream = stream
        self.extensions = extensions

    def close(self) -> None:
        """Close the connection, or return it to the pool if the body was read."""
        self.stream.close()

    async def aclose(self) -> None:
        """Async variant of `close`."""
        await self.stream.aclose()


class DirectResponse:
    """A response with the attributes of `httpx.Response` that are used here."""

    #: Whether an event hook has read the body.
    is_stream_consumed = False

    def __init__(self, api: Any, request: DirectRequest, response: PoolResponse) -> None:
        self._api = api
        self._request = request
        self.status_code = response.status
        self.headers = Fields(response.headers)
        self.extensions = response.extensions
        self.stream = response.stream

    @property
    def request(self) -> Any:
        """The request that was sent, with its headers."""
        request = self._request.to_api(self._api)
        request.headers.update(self._request.headers)
        return request

    def close(self) -> None:
        """Close the connection, or return it to the pool if the body was read."""
        self.stream.close()

    async def aclose(self) -> None:
        """Async variant of `close`."""
        await self.stream.aclose()


class DirectRequests:
    """Builds the direct requests of one client.

    Args:
        http: The client, sync or async. Nobody else may have a reference to it.
        transport: Its transport; `None` if that depends on the URL.
    """

    def __init__(self, http: Any, transport: Any) -> None:
        package = type(http).__module__.partition(".")[0]
        self._logger = logging.getLogger(package)
        self._type = type(http)
        self._get_methods = attrgetter(*(name for name in _PATCHED_METHODS if hasattr(self._type, name)))
        self._transport = transport
        self._methods: Any = None
        self._static = [(name.lower(), (name, value)) for name, value in http.headers.raw]
        self._fields: dict[tuple[str, ...], ClientFields] = {}
        self._targets: dict[str, Target | None] = {}

    def build(self, request: Request, extensions: Mapping[str, Any]) -> DirectRequest | None:
        """Build a direct request; `None` if this one must go through httpx."""
        target: object = self._targets.get(request.url, _UNKNOWN)
        if target is _UNKNOWN and self._transport is not None:
            target = self._add_target(request.url, self._transport)
        if not isinstance(target, Target) or self._is_observed():
            return None
        key = (request.method, not request.content, *request.headers)
        head = target.heads.get(key, _UNKNOWN)
        if head is _UNKNOWN:
            head = self._add_format(request, target, key)
        serialized = head.serialize(request) if isinstance(head, HeadFormat) else None
        return DirectRequest(target, request, serialized, self._merge_headers, extensions)

    def learn(self, request: Request, response: Any) -> None:
        """Store the transport that httpx has selected, if it is one of mdstream's."""
        if request.url not in self._targets:
            self._add_target(request.url, response.extensions.get(TRANSPORT))

    def _add_target(self, url: str, transport: Any) -> Target | None:
        """Store what a URL contributes; `None` for requests that must go through httpx."""
        target = None if transport is None else _parse_target(url, transport)
        if len(self._targets) >= _MAX_TARGETS:
            self._targets.clear()
        self._targets[url] = target
        return target

    def _add_format(self, request: Request, target: Target, key: tuple[Any, ...]) -> HeadFormat | None:
        """Store the format of a head; `None` if its names cannot be sent, or say something else about the length."""
        names = dict.fromkeys(request.headers, "")
        head = self._create_format(request, target) if are_sendable(names) else None
        if len(target.heads) >= _MAX_TARGETS:
            target.heads.clear()
        target.heads[key] = head
        return head

    def _create_format(self, request: Request, target: Target) -> HeadFormat | None:
        client = self._client_fields(tuple(request.headers))
        lengths = [name for name in request.headers if name.lower().encode("ascii") in FRAMING]
        if lengths not in ([], ["content-length"]) or any(name.lower() in FRAMING for name, _ in client.fields):
            return None
        placeholder = dict.fromkeys(request.headers, _PLACEHOLDER)
        fields = self._merge_headers(Request(request.method, request.url, placeholder, request.content), target)
        adds_length = bool(request.content) and not lengths
        if adds_length:
            fields[-1] = fields[-1][0], _PLACEHOLDER.encode("ascii")
        try:
            head = serialize_head(request.method.encode("ascii"), target.url.target, fields, error=ValueError)
            text = head.decode("ascii")
        except ValueError:
            return None
        return HeadFormat(text.replace("%", "%%").replace(_PLACEHOLDER, "%s"), bool(lengths), adds_length)

    def _is_observed(self) -> bool:
        """Whether somebody observes the requests of httpx: its log is enabled, or its methods are replaced."""
        if self._logger.isEnabledFor(logging.INFO):
            return True
        methods = self._get_methods(self._type)
        if methods != self._methods:
            if not all(_is_own(method, self._type) for method in methods):
                return True
            self._methods = methods
        return False

    def _merge_headers(self, request: Request, target: Target) -> Headers:
        """Merge the headers like httpx: `Host`, the client's, the request's, `Content-Length`."""
        names = tuple(request.headers)
        client = self._client_fields(names) if (known := self._fields.get(names)) is None else known
        merged = [] if client.has_host else [target.host]
        if not (request.content or client.has_length) and request.method in _WITH_LENGTH:
            merged.append((b"Content-Length", b"0"))
        merged += client.fields
        merged += [(name.encode("ascii"), value.encode("ascii")) for name, value in request.headers.items()]
        if request.content and not client.has_length:
            merged.append((b"Content-Length", b"%d" % len(request.content)))
        return merged

    def _client_fields(self, names: tuple[str, ...]) -> ClientFields:
        replaced = {name.lower().encode("ascii") for name in names}
        fields = [field for name, field in self._static if name not in replaced]
        if len(self._fields) >= _MAX_TARGETS:
            self._fields.clear()
        client = self._fields[names] = ClientFields(fields, b"host" in replaced, b"content-length" in replaced)
        return client


def _parse_target(url: str, transport: Any) -> Target | None:
    parsed = transport.http_library.api.URL(url)
    if parsed.scheme not in _SCHEMES or not parsed.host or parsed.userinfo or parsed.fragment:
        return None
    core_url = transport.http_library.core.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )
    return Target(transport, core_url, (b"Host", parsed.netloc), {})


def _is_own(method: Any, client_type: type[Any]) -> bool:
    """Whether a method is the HTTP library's own: its code is in the library's directory."""
    code = getattr(method, "__code__", None)
    if method is None or code is None:
        return method is None
    return Path(code.co_filename).parent.name == client_type.__module__.partition(".")[0]
