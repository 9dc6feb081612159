"""Shared constructor of the transports: TLS, proxy, pool limits."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.transport._pool import PoolState
from mdstream_core.transport._route import Route, direct_route, proxy_route
from mdstream_core.transport._tls import Cert, create_context_factory

MAX_CONNECTIONS = 512
KEEPALIVE_EXPIRY = 30.0


class TransportConfig:
    """Base class of both transports with their constructor.

    Args:
        verify: `True` for the CAs of the HTTP library (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`, if `trust_env`),
            `False` to disable verification, a file or directory of CAs, or an `ssl.SSLContext`, whose ALPN protocol is
            set to HTTP/1.1.
        cert: Client certificate: file, (file, key) or (file, key, password).
        trust_env: Whether to use the environment variables above.
        proxy: An `http://` or `https://` proxy: URL or `httpx.Proxy`. For SOCKS, httpx's own transport is used.
        limits: An `httpx.Limits`. Default: 512 connections, idle ones are closed after 30 seconds.
        uds: Path of a Unix domain socket to connect to.
        local_address: Local IP address to bind to.
        socket_options: Arguments of `socket.setsockopt`, one tuple per option.
    """

    http_library: HTTPLibrary
    pool_type: Callable[..., Any]
    stream_type: Callable[[HTTPLibrary, Any], Any]
    connection_type: Callable[..., Any]
    backend: Any

    def __init__(
        self,
        *,
        verify: bool | str | ssl.SSLContext = True,
        cert: Cert | None = None,
        trust_env: bool = True,
        proxy: Any = None,
        limits: Any = None,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Sequence[Any] = (),
    ) -> None:
        api, core = self.http_library.api, self.http_library.core
        limits = limits or default_limits(api)
        tls = create_context_factory(api, verify, cert, trust_env=trust_env)
        route_to = partial(_route_factory(api, proxy), tls=tls)

        def connect(origin: Any) -> Any:
            route = replace(route_to(origin), uds=uds, local_address=local_address, socket_options=socket_options)
            return self.connection_type(core, route, self.backend)

        state = PoolState(
            connect,
            self.backend.create_event,
            max_connections=limits.max_connections,
            max_idle=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
        )
        self._pool = self.pool_type(core, self.backend, state)


def default_limits(api: ModuleType) -> Any:
    """Return the default pool limits: hundreds of concurrent streams, and 30 seconds for idle connections."""
    return api.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_EXPIRY
    )


def _route_factory(api: ModuleType, proxy: Any) -> Callable[..., Route]:
    if proxy is None:
        return direct_route
    proxy = proxy if isinstance(proxy, api.Proxy) else api.Proxy(proxy)
    if proxy.url.scheme not in {"http", "https"}:
        raise ValueError(
            f"the proxy has the scheme {proxy.url.scheme}:// (hint: use http:// or https://, or http_client(proxy=…))"
        )
    return partial(proxy_route, proxy)
