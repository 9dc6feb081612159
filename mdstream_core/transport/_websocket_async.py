"""WebSocket for tasks. Its twin is `_websocket_sync`: whoever changes one changes the other."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._async import AsyncTransport, TimeoutMap
from mdstream_core.transport._websocket import READ_SIZE, SCHEMES, WebSocketExchange

if TYPE_CHECKING:
    import httpx


class AsyncMessageBody:
    """The body of an answer that comes as messages, one piece for each read."""

    def __init__(self, response: Any, exchange: WebSocketExchange, timeouts: TimeoutMap) -> None:
        self._response = response
        self._network = response.extensions["network_stream"]
        self._exchange = exchange
        self._timeouts = timeouts
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        talk, network = self._exchange, self._network
        try:
            while not talk.is_complete:
                try:
                    await self.send_pending()
                    data = await network.read(READ_SIZE, talk.read_timeout(self._timeouts))
                except talk.ignored_errors:
                    break
                if (body := talk.feed(data)) or not talk.is_complete:
                    yield body
            with suppress(*talk.ignored_errors):
                await self.send_pending()
            talk.raise_error()
        finally:
            await self.aclose()

    async def send_pending(self) -> None:
        """Write what is due."""
        if due := self._exchange.bytes_to_send():
            await self._network.write(due, self._timeouts.get("write"))

    async def aclose(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            await self._response.aclose()


class AsyncWebSocketTransport(AsyncTransport):
    """The transport, for requests to ws:// and wss:// too."""

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        """Ask; over a WebSocket if the URL says so."""
        if request.url.scheme not in SCHEMES:
            return await super().handle_async_request(request)
        question = b"".join([piece async for piece in request.stream])  # type: ignore[union-attr]
        talk = WebSocketExchange(self.http_library, request)
        with self.http_library.map_exceptions():
            response = await self._pool.handle_async_request(self.http_library.to_core(talk.request))
            if response.status != 101:
                return self.http_library.to_api(response, self.stream_type(self.http_library, response.stream))  # type: ignore[no-any-return]
            messages = AsyncMessageBody(response, talk, request.extensions.get("timeout", {}))
            try:
                talk.send_request(response, question)
                await messages.send_pending()
            except BaseException:
                await messages.aclose()
                raise
        return talk.build_response(response, self.stream_type(self.http_library, messages))  # type: ignore[no-any-return]
