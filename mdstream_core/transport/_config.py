"""What a transport is built from."""

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
    """The constructor of both transports.

    Args:
        verify: `True` for the library's own CAs (`SSL_CERT_FILE` and `SSL_CERT_DIR` count when `trust_env`), `False`
            for none, a file or directory of CAs, or a context. A context is told to speak HTTP/1.1 (ALPN).
        cert: The client's certificate: file, (file, key) or (file, key, password).
        proxy: An `http://` or `https://` proxy: URL or `httpx.Proxy`. SOCKS is left to httpx's own transport.
        limits: An `httpx.ServerLimits`.
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
        find = partial(_route(api, proxy), trust=create_context_factory(api, verify, cert, trust_env=trust_env))

        def connect(origin: Any) -> Any:
            route = replace(find(origin), uds=uds, local_address=local_address, socket_options=socket_options)
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
    """Room for some hundreds of streams at once; an idle connection is kept for half a minute."""
    return api.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_EXPIRY
    )


def _route(api: ModuleType, proxy: Any) -> Callable[..., Route]:
    if proxy is None:
        return direct_route
    proxy = proxy if isinstance(proxy, api.Proxy) else api.Proxy(proxy)
    if proxy.url.scheme not in {"http", "https"}:
        raise ValueError(f"a proxy must be http:// or https://, not {proxy.url.scheme}://; see http_client(proxy=…)")
    return partial(proxy_route, proxy)
