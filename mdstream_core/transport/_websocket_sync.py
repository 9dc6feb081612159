"""Sync WebSocket transport. Keep it parallel to the async variant in `_websocket_async`."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._sync import TimeoutMap, Transport
from mdstream_core.transport._websocket import READ_SIZE, SCHEMES, WebSocketExchange

if TYPE_CHECKING:
    import httpx


class MessageBody:
    """Body of a response that arrives as WebSocket messages: yields one piece for each read."""

    def __init__(self, response: Any, exchange: WebSocketExchange, timeouts: TimeoutMap) -> None:
        self._response = response
        self._network = response.extensions["network_stream"]
        self._exchange = exchange
        self._timeouts = timeouts
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        exchange, network = self._exchange, self._network
        try:
            while not exchange.is_complete:
                try:
                    self.send_pending()
                    data = network.read(READ_SIZE, exchange.read_timeout(self._timeouts))
                except exchange.ignored_errors:
                    break
                if (body := exchange.feed(data)) or not exchange.is_complete:
                    yield body
            with suppress(*exchange.ignored_errors):
                self.send_pending()
            exchange.raise_error()
        finally:
            self.close()

    def send_pending(self) -> None:
        """Write the bytes that are to be sent."""
        if data := self._exchange.bytes_to_send():
            self._network.write(data, self._timeouts.get("write"))

    def close(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            self._response.close()


class WebSocketTransport(Transport):
    """Transport that also supports ws:// and wss:// URLs."""

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        """Send a request, over a WebSocket if the URL has the scheme ws or wss."""
        if request.url.scheme not in SCHEMES:
            return super().handle_request(request)
        content = b"".join([piece for piece in request.stream])  # type: ignore[union-attr]  # noqa: C416
        exchange = WebSocketExchange(self.http_library, request)
        with self.http_library.map_exceptions():
            response = self._pool.handle_request(self.http_library.to_core(exchange.request))
            if response.status != 101:
                return self.http_library.to_api(response, self.stream_type(self.http_library, response.stream))  # type: ignore[no-any-return]
            messages = MessageBody(response, exchange, request.extensions.get("timeout", {}))
            try:
                exchange.send_request(response, content)
                messages.send_pending()
            except BaseException:
                messages.close()
                raise
        return exchange.build_response(response, self.stream_type(self.http_library, messages))  # type: ignore[no-any-return]
