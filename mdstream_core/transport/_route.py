"""`Route`: how to reach an origin: directly, through a forwarding proxy, or through a tunnel."""

import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mdstream_core.transport._http11 import Headers

ContextFactory = Callable[[], ssl.SSLContext]  # called for the first TLS connection: creating a context is expensive


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a connection reaches `origin`.

    Attributes:
        origin: Scheme, host and port of the requests (httpcore's `Origin`).
        host: Host to connect to, at `port`.
        port: Port to connect to.
        uds: Path of a Unix domain socket to connect to instead.
        local_address: Local IP address to bind to.
        socket_options: Arguments of `socket.setsockopt`, one tuple per option.
        proxy_tls: TLS context for the proxy itself; `None` without TLS.
        tunnel: Target of a CONNECT request; `None` without a tunnel.
        tls: TLS context for the origin; `None` without TLS.
        forward: Whether the request target is the absolute URL, for a forwarding proxy.
        proxy_headers: Header fields for the proxy, such as Proxy-Authorization.
    """

    origin: Any
    host: str
    port: int
    uds: str | None = None
    local_address: str | None = None
    socket_options: Sequence[Any] = ()
    proxy_tls: ContextFactory | None = None
    tunnel: bytes | None = None
    tls: ContextFactory | None = None
    forward: bool = False
    proxy_headers: Headers = field(default_factory=list, repr=False)

    @property
    def server_hostname(self) -> str:
        return str(self.origin.host.decode("ascii"))

    def target(self, request: Any) -> bytes:
        """Return the request target: the path, or the absolute URL for a forwarding proxy."""
        return bytes(request.url if self.forward else request.url.target)

    def headers(self, request: Any) -> Headers:
        """Return the request's header fields, with those for the proxy if it is a forwarding proxy."""
        headers: Headers = list(request.headers)
        if not self.forward:
            return headers
        names = {name.lower() for name, _ in headers}
        return [header for header in self.proxy_headers if header[0].lower() not in names] + headers


def direct_route(origin: Any, *, tls: ContextFactory) -> Route:
    """Create a direct route to the origin."""
    secure = origin.scheme in {b"https", b"wss"}
    return Route(origin=origin, host=origin.host.decode("ascii"), port=origin.port, tls=tls if secure else None)


def proxy_route(proxy: Any, origin: Any, *, tls: ContextFactory) -> Route:
    """Create a route through an HTTP proxy (an `httpx.Proxy`): plain requests are forwarded, secure ones tunneled."""
    url, direct = proxy.url, direct_route(origin, tls=tls)
    proxy_tls: ContextFactory = tls if proxy.ssl_context is None else lambda: proxy.ssl_context
    return replace(
        direct,
        host=url.raw_host.decode("ascii"),
        port=url.port or (443 if url.scheme == "https" else 80),
        proxy_tls=proxy_tls if url.scheme == "https" else None,
        tunnel=b"%b:%d" % (origin.host, origin.port) if direct.tls else None,
        forward=not direct.tls,
        proxy_headers=_proxy_headers(proxy),
    )


def _proxy_headers(proxy: Any) -> Headers:
    headers: Headers = list(proxy.headers.raw)
    if proxy.raw_auth is not None:
        headers.append((b"Proxy-Authorization", b"Basic " + b64encode(b":".join(proxy.raw_auth))))
    return headers
