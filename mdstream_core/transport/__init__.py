"""The only sockets: httpx transports over a pool of our own, HTTP/1.1 by llhttp, trailers handed out."""

from typing import TYPE_CHECKING, Any

from mdstream_core.transport._classes import transports
from mdstream_core.transport._clients import async_http_client, http_client
from mdstream_core.transport._pair import Pair
from mdstream_core.transport._tls import tls_context

if TYPE_CHECKING:
    import httpx

    from mdstream_core.transport import _async, _sync

    class Transport(_sync.Transport, httpx.BaseTransport): ...

    class AsyncTransport(_async.AsyncTransport, httpx.AsyncBaseTransport): ...


__all__ = ["AsyncTransport", "Transport", "async_http_client", "http_client", "tls_context", "transports"]


def __getattr__(name: str) -> Any:
    """`Transport` and `AsyncTransport` for httpx, which is not imported before somebody asks."""
    if name not in {"Transport", "AsyncTransport"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    pair = Pair.of("httpx")
    return transports(pair.face, pair.core)[name == "AsyncTransport"]
