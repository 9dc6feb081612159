"""HTTP requests over a WebSocket: httpx sends requests to ws:// and wss:// URLs like any others.

The request is sent as the GET of the opening handshake, its body as one text message, and the messages received are
the body of the response (`mdstream_core.wire.websocket_messages`). A rejected handshake is the response itself. The
sync and async I/O is in `_websocket_sync` and `_websocket_async`.

No standard defines the end of a response if the server leaves the socket open for the next request. So `[DONE]` ends
it, as in a stream of events, and if the request does not accept a stream, the first message does. Then the client
starts the closing handshake, in which the service can still report a failure. After that, a timeout or disconnect also
ends the response.
"""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from mdstream_core.errors import MalformedStream
from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.wire.websocket import TEXT, Message, WebSocketProtocol, accept_key, encode_frame
from mdstream_core.wire.websocket_messages import CONTENT_TYPE

SCHEMES = frozenset({"ws", "wss"})

#: Bytes per read. Small, because a message may have only two bytes, and the messages are decoded one by one.
READ_SIZE = 8_192

_CLOSE_TIMEOUT = 2.0  # seconds to wait for the server's close frame
_DONE = b"[DONE]"

#: Request headers that the handshake replaces; it has no body.
_HANDSHAKE_HEADERS = frozenset(
    {"connection", "content-length", "te", "transfer-encoding", "upgrade", "accept-encoding"}
)
#: Headers of the handshake response that are not part of the response.
_DROPPED_HEADERS = _HANDSHAKE_HEADERS | {"content-encoding", "content-type"}


class WebSocketExchange:
    """One request and its response. It has no socket; the sync and async variants read and write.

    Attributes:
        request: The opening handshake, as a request of httpx.
        ignored_errors: Exceptions of a socket to ignore, because the response is complete.
        is_complete: Whether the response is complete, so that reading stops.
    """

    def __init__(self, http_library: HTTPLibrary, request: Any) -> None:
        self._http_library = http_library
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._protocol = WebSocketProtocol(client=True)
        self._is_stream = "text/event-stream" in request.headers.get("accept", "text/event-stream")
        self.ignored_errors: tuple[type[Exception], ...] = ()
        self.is_complete = False
        own = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self._key),
        ]
        users = [(name, value) for name, value in request.headers.multi_items() if name not in _HANDSHAKE_HEADERS]
        self.request = http_library.api.Request(
            "GET", request.url, headers=[*users, *own], extensions=request.extensions
        )

    def send_request(self, response: Any, content: bytes) -> None:
        """Queue the request's body after the handshake. Raises `RemoteProtocolError` if the handshake is invalid."""
        headers = {name.lower(): value for name, value in response.headers}
        accept = headers.get(b"sec-websocket-accept", b"").strip().decode("latin-1")
        switched = (
            headers.get(b"upgrade", b"").lower() == b"websocket"
            and b"upgrade" in headers.get(b"connection", b"").lower()
        )
        if not switched or accept != accept_key(self._key) or b"sec-websocket-extensions" in headers:
            raise self._http_library.core.RemoteProtocolError(
                "the service accepted the upgrade with an invalid WebSocket handshake"
            )
        self._protocol.send(TEXT, content)

    def bytes_to_send(self) -> bytes:
        """Return the bytes to write before the next read."""
        return self._protocol.bytes_to_send()

    def read_timeout(self, timeouts: Mapping[str, float | None]) -> float | None:
        """Return the timeout of the next read in seconds."""
        limit = timeouts.get("read")
        return min(_CLOSE_TIMEOUT, limit or _CLOSE_TIMEOUT) if self._protocol.is_closing else limit

    def feed(self, data: bytes) -> bytes:
        """Decode further bytes to a piece of the body, which is empty for pings; `b""` means the end of the stream."""
        protocol = self._protocol
        messages = protocol.feed(data)
        if not data and not protocol.is_closing:
            raise self._http_library.core.RemoteProtocolError("the WebSocket ended without a close frame")
        body, count = protocol.ready_texts
        if len(messages) > count:
            body += b"".join([encode_frame(opcode, payload) for opcode, payload, _ in messages[count:]])
        if not protocol.is_closing and (_DONE in body or not self._is_stream) and any(map(self._is_last, messages)):
            protocol.close()
        if protocol.is_closing and not self.ignored_errors:
            core = self._http_library.core
            self.ignored_errors = (core.TimeoutException, core.NetworkError)
        self.is_complete = protocol.is_closed or not data
        return body

    def raise_error(self) -> None:
        """Raise the protocol violation that ended the WebSocket, if there is one."""
        if self._protocol.error is not None:
            raise MalformedStream(f"the WebSocket is invalid: {self._protocol.error}")

    def build_response(self, response: Any, stream: Any) -> Any:
        """Build the response of httpx."""
        fields = [(name, value) for name, value in response.headers if not _is_dropped(name.decode("latin-1").lower())]
        extensions = {**response.extensions, "trailers": []}
        return self._http_library.api.Response(
            200, headers=[*fields, (b"content-type", CONTENT_TYPE.encode())], stream=stream, extensions=extensions
        )

    def _is_last(self, message: Message) -> bool:
        return not self._is_stream or message.data.rstrip().endswith(_DONE)


def _is_dropped(name: str) -> bool:
    return name in _DROPPED_HEADERS or name.startswith("sec-websocket-")
