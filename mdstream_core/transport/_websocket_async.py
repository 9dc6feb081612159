"""Async WebSocket transport. Keep it parallel to the sync variant in `_websocket_sync`."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._async import AsyncTransport, TimeoutMap
from mdstream_core.transport._websocket import READ_SIZE, SCHEMES, WebSocketExchange

if TYPE_CHECKING:
    import httpx


class AsyncMessageBody:
    """Body of a response that arrives as WebSocket messages: yields one piece for each read."""

    def __init__(self, response: Any, exchange: WebSocketExchange, timeouts: TimeoutMap) -> None:
        self._response = response
        self._network = response.extensions["network_stream"]
        self._exchange = exchange
        self._timeouts = timeouts
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange, network = self._exchange, self._network
        try:
            while not exchange.is_complete:
                try:
                    await self.send_pending()
                    data = await network.read(READ_SIZE, exchange.read_timeout(self._timeouts))
                except exchange.ignored_errors:
                    break
                if (body := exchange.feed(data)) or not exchange.is_complete:
                    yield body
            with suppress(*exchange.ignored_errors):
                await self.send_pending()
            exchange.raise_error()
        finally:
            await self.aclose()

    async def send_pending(self) -> None:
        """Write the bytes that are to be sent."""
        if data := self._exchange.bytes_to_send():
            await self._network.write(data, self._timeouts.get("write"))

    async def aclose(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            await self._response.aclose()


class AsyncWebSocketTransport(AsyncTransport):
    """Transport that also supports ws:// and wss:// URLs."""

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        """Send a request, over a WebSocket if the URL has the scheme ws or wss."""
        if request.url.scheme not in SCHEMES:
            return await super().handle_async_request(request)
        content = b"".join([piece async for piece in request.stream])  # type: ignore[union-attr]
        exchange = WebSocketExchange(self.http_library, request)
        with self.http_library.map_exceptions():
            response = await self._pool.handle_async_request(self.http_library.to_core(exchange.request))
            if response.status != 101:
                return self.http_library.to_api(response, self.stream_type(self.http_library, response.stream))  # type: ignore[no-any-return]
            messages = AsyncMessageBody(response, exchange, request.extensions.get("timeout", {}))
            try:
                exchange.send_request(response, content)
                await messages.send_pending()
            except BaseException:
                await messages.aclose()
                raise
        return exchange.build_response(response, self.stream_type(self.http_library, messages))  # type: ignore[no-any-return]
