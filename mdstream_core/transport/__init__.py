"""httpx clients and transports with a connection pool, an HTTP/1.1 parser (llhttp) and support for trailers."""

from typing import TYPE_CHECKING, Any

from mdstream_core.transport._clients import async_http_client, http_client
from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.transport._tls import tls_context
from mdstream_core.transport._transport_classes import build_transport_classes

if TYPE_CHECKING:
    import httpx

    from mdstream_core.transport import _async, _sync

    class Transport(_sync.Transport, httpx.BaseTransport): ...

    class AsyncTransport(_async.AsyncTransport, httpx.AsyncBaseTransport): ...


__all__ = ["AsyncTransport", "Transport", "async_http_client", "build_transport_classes", "http_client", "tls_context"]


def __getattr__(name: str) -> Any:
    """Create `Transport` and `AsyncTransport` on first access, so that httpx is not imported before."""
    if name not in {"Transport", "AsyncTransport"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    http_library = HTTPLibrary.from_name("httpx")
    return build_transport_classes(http_library.api, http_library.core)[name == "AsyncTransport"]
