"""WebSocket for threads. Its twin is `_websocket_async`: whoever changes one changes the other."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mdstream_core.transport._sync import TimeoutMap, Transport
from mdstream_core.transport._websocket import READ_SIZE, SCHEMES, WebSocketExchange

if TYPE_CHECKING:
    import httpx


class MessageBody:
    """The body of an answer that comes as messages, one piece for each read."""

    def __init__(self, response: Any, exchange: WebSocketExchange, timeouts: TimeoutMap) -> None:
        self._response = response
        self._network = response.extensions["network_stream"]
        self._exchange = exchange
        self._timeouts = timeouts
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        talk, network = self._exchange, self._network
        try:
            while not talk.is_complete:
                try:
                    self.send_pending()
                    data = network.read(READ_SIZE, talk.read_timeout(self._timeouts))
                except talk.ignored_errors:
                    break
                if (body := talk.feed(data)) or not talk.is_complete:
                    yield body
            with suppress(*talk.ignored_errors):
                self.send_pending()
            talk.raise_error()
        finally:
            self.close()

    def send_pending(self) -> None:
        """Write what is due."""
        if due := self._exchange.bytes_to_send():
            self._network.write(due, self._timeouts.get("write"))

    def close(self) -> None:
        """Close the socket at once."""
        if not self._closed:
            self._closed = True
            self._response.close()


class WebSocketTransport(Transport):
    """The transport, for requests to ws:// and wss:// too."""

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        """Ask; over a WebSocket if the URL says so."""
        if request.url.scheme not in SCHEMES:
            return super().handle_request(request)
        question = b"".join([piece for piece in request.stream])  # type: ignore[union-attr]  # noqa: C416
        talk = WebSocketExchange(self.http_library, request)
        with self.http_library.map_exceptions():
            response = self._pool.handle_request(self.http_library.to_core(talk.request))
            if response.status != 101:
                return self.http_library.to_api(response, self.stream_type(self.http_library, response.stream))  # type: ignore[no-any-return]
            messages = MessageBody(response, talk, request.extensions.get("timeout", {}))
            try:
                talk.send_request(response, question)
                messages.send_pending()
            except BaseException:
                messages.close()
                raise
        return talk.build_response(response, self.stream_type(self.http_library, messages))  # type: ignore[no-any-return]
