"""Combine the sync and async transports with the base classes of httpx or httpx2."""

from functools import cache
from types import ModuleType
from typing import Any, cast

from mdstream_core.transport import _async, _asyncio_backend, _socket_backend, _sync, _websocket_async, _websocket_sync
from mdstream_core.transport._http_library import HTTPLibrary


@cache
def build_transport_classes(library: ModuleType, core: ModuleType) -> tuple[type[Any], type[Any]]:
    """Create `(Transport, AsyncTransport)` for a library and its core."""
    http_library = HTTPLibrary(library, core)
    sync_attributes = {
        "http_library": http_library,
        "backend": _socket_backend.SocketBackend(core),
        "connection_type": _sync.Connection,
        "pool_type": _sync.Pool,
        "stream_type": type("Stream", (_sync.ResponseStream, library.SyncByteStream), {}),
    }
    async_attributes = {
        "http_library": http_library,
        "backend": _asyncio_backend.AutoBackend(core),
        "connection_type": _async.AsyncConnection,
        "pool_type": _async.AsyncPool,
        "stream_type": type("AsyncStream", (_async.AsyncResponseStream, library.AsyncByteStream), {}),
    }
    return (
        cast(
            "type[Any]",
            type("Transport", (_websocket_sync.WebSocketTransport, library.BaseTransport), sync_attributes),
        ),
        cast(
            "type[Any]",
            type(
                "AsyncTransport",
                (_websocket_async.AsyncWebSocketTransport, library.AsyncBaseTransport),
                async_attributes,
            ),
        ),
    )
