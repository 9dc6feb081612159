"""Sync transport: connections, pool and httpx transport. Keep it parallel to the async variant in `_async`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mdstream_core.http import Request
from mdstream_core.transport._config import TransportConfig
from mdstream_core.transport._deadline import compute_deadline, remaining_seconds
from mdstream_core.transport._direct import (
    TRANSPORT,
    DirectRequest,
    DirectRequests,
    DirectResponse,
    PoolResponse,
    check_headers,
)
from mdstream_core.transport._fairness import checkpoint
from mdstream_core.transport._http11 import READ_SIZE, RequestWriter, ResponseParser
from mdstream_core.transport._http_library import ExceptionMapper, HTTPLibrary
from mdstream_core.transport._pool import PendingRequest, PooledConnection, PoolState

if TYPE_CHECKING:
    import httpcore
    import httpx

TimeoutMap = Mapping[str, float | None]


Release = Callable[..., None]


class Connection(PooledConnection):
    """HTTP/1.1 connection to one origin, for one request at a time."""

    def handle_request(self, request: "httpcore.Request | DirectRequest", release: Release) -> PoolResponse:
        """Send a request and return the head of its response; iterating over the body reads it.

        Args:
            request: The request.
            release: Called with this connection and `reusable=…` once the body was read or closed.
        """
        timeouts: TimeoutMap = request.extensions.get("timeout", {})
        if self._stream is None:
            self._connect(compute_deadline(timeouts, "connect"), request.extensions.get("sni_hostname"))
        elif self._is_closed_by_server():
            raise self._core.ConnectionNotAvailable  # nothing was sent yet, so the pool can use another connection
        self.log_request()
        self.watch(request.extensions)
        parser = ResponseParser(request.method, error=self._core.RemoteProtocolError)
        try:
            self._send(request, timeouts)
        except self._core.WriteError:
            # the server may have sent an error response and closed: read that response instead of failing here
            parser.prevent_reuse()
        deadline = compute_deadline(timeouts, "read")
        while not parser.has_head:
            parser.feed(self._stream.read(READ_SIZE, remaining_seconds(deadline, self._core.ReadTimeout)))
        body = Body(self._stream, parser, timeouts, partial(release, self), timeout_error=self._core.ReadTimeout)
        stream = UpgradedStream(self._stream, parser) if parser.status == 101 else self._stream
        extensions = {
            "http_version": parser.version,
            "reason_phrase": parser.reason,
            "network_stream": stream,
            "trailers": parser.trailers,
        }
        return PoolResponse(parser.status, parser.headers, body, extensions)

    def _connect(self, deadline: float, sni: str | None) -> None:
        route, timeout_error = self._route, self._core.ConnectTimeout
        if route.uds is not None:
            self._stream = self._backend.connect_unix_socket(
                route.uds, remaining_seconds(deadline, timeout_error), route.socket_options
            )
        else:
            self._stream = self._backend.connect_tcp(
                route.host,
                route.port,
                remaining_seconds(deadline, timeout_error),
                route.local_address,
                route.socket_options,
            )
        if route.proxy_tls is not None:
            self._stream = self._stream.start_tls(
                route.proxy_tls(), route.host, remaining_seconds(deadline, timeout_error)
            )
        if route.tunnel is not None:
            self._open_tunnel(route.tunnel, deadline)
        if route.tls is not None:
            name = sni or route.server_hostname
            self._stream = self._stream.start_tls(route.tls(), name, remaining_seconds(deadline, timeout_error))

    def _open_tunnel(self, target: bytes, deadline: float) -> None:
        timeout_error = self._core.ConnectTimeout
        headers = [(b"Host", target), (b"Accept", b"*/*"), *self._route.proxy_headers]
        writer = RequestWriter(b"CONNECT", target, headers, error=self._core.LocalProtocolError)
        parser = ResponseParser(b"CONNECT", error=self._core.RemoteProtocolError)
        self._stream.write(writer.head, remaining_seconds(deadline, timeout_error))
        while not parser.has_head:
            parser.feed(self._stream.read(READ_SIZE, remaining_seconds(deadline, timeout_error)))
        if not 200 <= parser.status < 300:
            raise self._core.ProxyError(f"{parser.status} {parser.reason.decode('ascii', 'ignore')}")

    def _send(self, request: "httpcore.Request | DirectRequest", timeouts: TimeoutMap) -> None:
        route, timeout_error = self._route, self._core.WriteTimeout
        if isinstance(request, DirectRequest) and request.head is not None and not route.forward:
            self._stream.write(
                request.head + request.content,
                remaining_seconds(compute_deadline(timeouts, "write"), timeout_error),
            )
            return
        headers, target = route.headers(request), route.target(request)
        writer = RequestWriter(request.method, target, headers, error=self._core.LocalProtocolError)
        head = writer.head  # sent together with the first piece of the body, in one segment
        for piece in request.stream:  # type: ignore[union-attr]
            self._stream.write(
                head + writer.body_chunk(piece), remaining_seconds(compute_deadline(timeouts, "write"), timeout_error)
            )
            head = b""
        self._stream.write(
            head + writer.finish(), remaining_seconds(compute_deadline(timeouts, "write"), timeout_error)
        )

    def close(self) -> None:
        """Close the socket at once."""
        if self._stream is not None:
            self._backend.close(self._stream)


class Body:
    """Body of a response: yields the data of each read that contained a part of the body."""

    def __init__(
        self,
        stream: Any,
        parser: ResponseParser,
        timeouts: TimeoutMap,
        release: Release,
        *,
        timeout_error: type[Exception],
    ) -> None:
        self._release = release
        self._stream = stream
        self._parser = parser
        self._timeouts = timeouts
        self._timeout_error = timeout_error
        self._closed = False
        #: Maps exceptions that reading raises to those of httpx; `None` if something else does.
        self.mapper: ExceptionMapper | None = None

    def __iter__(self) -> Iterator[bytes]:
        parser, timeouts, read = self._parser, self._timeouts, self._stream.read
        try:
            deadline = None
            while True:
                data = parser.take_body()
                if data:
                    yield data
                if parser.is_complete:
                    return
                parser.raise_error()
                if data:
                    deadline, limit = None, timeouts.get("read")  # looked up each time, because it may change
                else:  # reads without body data share one timeout, because the caller does not see them
                    deadline = compute_deadline(timeouts, "read") if deadline is None else deadline
                    limit = remaining_seconds(deadline, self._timeout_error)
                parser.feed(read(READ_SIZE, limit))
        except BaseException as error:
            self.close()
            if self.mapper is not None:
                self.mapper.__exit__(type(error), error, error.__traceback__)
            raise

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._release(reusable=self._parser.is_reusable)


class UpgradedStream:
    """Network stream after a 101 response: returns the bytes that were read together with the head first."""

    def __init__(self, stream: Any, parser: ResponseParser) -> None:
        self._stream = stream
        self._leading = parser.leading
        self.write, self.close = stream.write, stream.close
        self.start_tls, self.get_extra_info = stream.start_tls, stream.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._leading:
            return self._stream.read(max_bytes, timeout)  # type: ignore[no-any-return]
        data, self._leading = self._leading[:max_bytes], self._leading[max_bytes:]
        return data


class Pool:
    """Connection pool: sends each request over its own connection, and keeps idle connections for later requests."""

    def __init__(self, core: Any, backend: Any, state: PoolState) -> None:
        self._core = core
        self._backend = backend
        self._state = state

    def handle_request(self, request: "httpcore.Request | DirectRequest") -> PoolResponse:
        """Send a request and return the head of its response. Waits for a connection up to the pool timeout."""
        checkpoint()  # a thousand requests that start at once must not block the event loop
        pending = self._state.create_request(request.url)
        try:
            if closing := self._state.acquire(pending):
                self._close(closing)
            if pending.connection is None:
                self._wait(pending, request.extensions.get("timeout", {}))
            while True:
                try:
                    return pending.connection.handle_request(request, self._release)  # type: ignore[no-any-return]
                except self._core.ConnectionNotAvailable:
                    self._close(self._state.replace(pending))
        except BaseException:
            self._close(self._state.withdraw(pending))
            raise

    def close(self) -> None:
        """Close all connections at once."""
        self._close(self._state.close())

    def _wait(self, pending: PendingRequest, timeouts: TimeoutMap) -> None:
        pending.event.wait(remaining_seconds(compute_deadline(timeouts, "pool"), self._core.PoolTimeout))
        if pending.connection is None:
            raise self._core.ConnectError("the client was closed while the request waited for a connection")

    def _release(self, connection: Connection, *, reusable: bool) -> None:
        if closing := self._state.release(connection, reusable=reusable):
            self._close(closing)

    def _close(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.close()


class ResponseStream:
    """Response body that raises httpx's exceptions; combined with `SyncByteStream` of httpx or httpx2."""

    def __init__(self, http_library: HTTPLibrary, stream: Any) -> None:
        self._http_library = http_library
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with self._http_library.map_exceptions():
            for data in self._stream:  # noqa: UP028 (parallel to the async variant)
                yield data

    def close(self) -> None:
        with self._http_library.map_exceptions():
            self._stream.close()


class Transport(TransportConfig):
    """httpx transport over this module's pool; combined with `BaseTransport` of httpx or httpx2."""

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        """Send a request; `response.extensions["trailers"]` is complete once the body was read to its end."""
        with self.http_library.map_exceptions():
            response = self._pool.handle_request(self.http_library.to_core(request))
        response.extensions[TRANSPORT] = self
        return self.http_library.to_api(response, self.stream_type(self.http_library, response.stream))  # type: ignore[no-any-return]

    def send(self, request: DirectRequest) -> DirectResponse:
        """Send a direct request; see `handle_request`."""
        library = self.http_library
        with library.map_exceptions(request):
            response = self._pool.handle_request(request)
        response.stream.mapper = library.map_exceptions()
        return DirectResponse(library.api, request, response)

    def close(self) -> None:
        with self.http_library.map_exceptions():
            self._pool.close()


class RequestSender:
    """Sends the requests of an httpx client: through httpx, or directly to its transport where that is the same.

    Args:
        http: The client.
        direct: Builds its direct requests; `None` for a client of the user, who can change it.
    """

    def __init__(self, http: "httpx.Client", direct: DirectRequests | None = None) -> None:
        self.http = http
        self._direct = direct

    def send(self, request: Request, extensions: dict[str, Any], options: dict[str, Any]) -> Any:
        """Send a request and return the head of its response, whose body is not read yet.

        Args:
            request: The signed request.
            extensions: Extensions of the request, such as its timeouts.
            options: Arguments of httpx's `send`: `auth`.

        Raises:
            InvalidRequest: A header cannot be sent; the message names it without its value.
        """
        direct = None if self._direct is None or options else self._direct.build(request, extensions)
        if direct is None or direct.head is None:  # the values of a serialized head were checked
            check_headers(request)
        if direct is not None:
            return direct.transport.send(direct)
        built = self.http.build_request(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.content,
            extensions=extensions,
        )
        response = self.http.send(built, stream=True, follow_redirects=False, **options)
        if self._direct is not None:
            self._direct.learn(request, response)
        return response

    def close(self) -> None:
        """Close the client."""
        self.http.close()
