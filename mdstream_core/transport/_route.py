"""The way to an origin: directly, over a proxy that forwards, or through a tunnel."""

import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mdstream_core.transport._http11 import Headers

ContextFactory = Callable[[], ssl.SSLContext]  # called when the first TLS is needed: a context is dear


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a connection does before it speaks to `origin`.

    Attributes:
        host: Whom to connect to, at `port`; or the Unix socket `uds`.
        proxy_tls: TLS with the proxy itself.
        tunnel: The target of a CONNECT, if one is needed.
        tls: TLS with the origin.
        forward: Ask for the whole URL, because a proxy fetches it.
        proxy_headers: What the proxy wants to hear (Proxy-Authorization).
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
        """The request target: the path, or the whole URL for a proxy that forwards."""
        return bytes(request.url if self.forward else request.url.target)

    def headers(self, request: Any) -> Headers:
        """The request's header fields and, for a proxy that forwards, the proxy's own."""
        given: Headers = list(request.headers)
        if not self.forward:
            return given
        names = {name.lower() for name, _ in given}
        return [header for header in self.proxy_headers if header[0].lower() not in names] + given


def direct_route(origin: Any, *, trust: ContextFactory) -> Route:
    """Straight to the origin."""
    secure = origin.scheme in {b"https", b"wss"}
    return Route(origin=origin, host=origin.host.decode("ascii"), port=origin.port, tls=trust if secure else None)


def proxy_route(proxy: Any, origin: Any, *, trust: ContextFactory) -> Route:
    """Over an HTTP proxy (an `httpx.Proxy`): it forwards plain requests and tunnels secure ones."""
    url, over = proxy.url, direct_route(origin, trust=trust)
    own: ContextFactory = trust if proxy.ssl_context is None else lambda: proxy.ssl_context
    return replace(
        over,
        host=url.raw_host.decode("ascii"),
        port=url.port or (443 if url.scheme == "https" else 80),
        proxy_tls=own if url.scheme == "https" else None,
        tunnel=b"%b:%d" % (origin.host, origin.port) if over.tls else None,
        forward=not over.tls,
        proxy_headers=_proxy_headers(proxy),
    )


def _proxy_headers(proxy: Any) -> Headers:
    headers: Headers = list(proxy.headers.raw)
    if proxy.raw_auth is not None:
        headers.append((b"Proxy-Authorization", b"Basic " + b64encode(b":".join(proxy.raw_auth))))
    return headers
