"""A question asked over a WebSocket, as httpx sees it: a request to ws:// or wss:// whose answer has a body.

The request is sent as the handshake's GET, its body as one text message, and the messages that come are the body of
the answer (`mdstream_core.wire.websocket_messages`). A handshake that is refused is the answer itself. What waits is
in the twins
`_websocket_sync` and `_websocket_async`.

No standard says how an answer ends where the image leaves the socket open for the next question. So `[DONE]` ends it,
as it does in a stream of events, and the first message where the request accepts no stream: we say goodbye then, and
a service that failed in the meantime has its chance to say so. After that, silence and a cut are an end too.
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

#: Bytes that are read at once: every two of them may be a message, and these are read one by one.
READ_SIZE = 8_192

_CLOSE_TIMEOUT = 2.0  # seconds that the other side may take to answer our goodbye
_DONE = b"[DONE]"

#: The handshake has these of its own, and no body.
_HANDSHAKE_HEADERS = frozenset(
    {"connection", "content-length", "te", "transfer-encoding", "upgrade", "accept-encoding"}
)
#: Of the answer to the handshake only what says something of the answer is handed on.
_DROPPED_HEADERS = _HANDSHAKE_HEADERS | {"content-encoding", "content-type"}


class WebSocketExchange:
    """One question and its answer. Knows no socket; the twins read and write.

    Attributes:
        request: The handshake, as httpx's request.
        ignored_errors: What may be raised by a socket because all was said.
        is_complete: Nothing more is to be read.
    """

    def __init__(self, http_library: HTTPLibrary, request: Any) -> None:
        self._http_library = http_library
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._conversation = WebSocketProtocol(client=True)
        self._is_stream = "text/event-stream" in request.headers.get("accept", "text/event-stream")
        self.ignored_errors: tuple[type[Exception], ...] = ()
        self.is_complete = False
        own = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self._key),
        ]
        kept = [(name, value) for name, value in request.headers.multi_items() if name not in _HANDSHAKE_HEADERS]
        self.request = http_library.api.Request(
            "GET", request.url, headers=[*kept, *own], extensions=request.extensions
        )

    def send_request(self, response: Any, content: bytes) -> None:
        """The service has agreed: the question is due. Raises the library's `RemoteProtocolError` if it has not."""
        headers = {name.lower(): value for name, value in response.headers}
        agreed = headers.get(b"sec-websocket-accept", b"").strip().decode("latin-1")
        switched = (
            headers.get(b"upgrade", b"").lower() == b"websocket"
            and b"upgrade" in headers.get(b"connection", b"").lower()
        )
        if not switched or agreed != accept_key(self._key) or b"sec-websocket-extensions" in headers:
            raise self._http_library.core.RemoteProtocolError(
                "the service switched to something that is no WebSocket of ours"
            )
        self._conversation.send(TEXT, content)

    def bytes_to_send(self) -> bytes:
        """What must be written before the next read."""
        return self._conversation.bytes_to_send()

    def read_timeout(self, timeouts: Mapping[str, float | None]) -> float | None:
        """How long the next read may take."""
        limit = timeouts.get("read")
        return min(_CLOSE_TIMEOUT, limit or _CLOSE_TIMEOUT) if self._conversation.is_closing else limit

    def feed(self, data: bytes) -> bytes:
        """What the body gets for these bytes; pings are no progress, and bring nothing. `b""` is the end of them."""
        conversation = self._conversation
        messages = conversation.feed(data)
        if not data and not conversation.is_closing:
            raise self._http_library.core.RemoteProtocolError("the WebSocket was cut, without a close frame")
        body, count = conversation.ready_texts
        if len(messages) > count:
            body += b"".join([encode_frame(opcode, said) for opcode, said, _ in messages[count:]])
        if not conversation.is_closing and (_DONE in body or not self._is_stream) and any(map(self._is_last, messages)):
            conversation.close()
        if conversation.is_closing and not self.ignored_errors:
            core = self._http_library.core
            self.ignored_errors = (core.TimeoutException, core.NetworkError)
        self.is_complete = conversation.is_closed or not data
        return body

    def raise_error(self) -> None:
        """Raise what was wrong with what came; what came before it was handed out."""
        if self._conversation.error is not None:
            raise MalformedStream(f"the WebSocket cannot be read: {self._conversation.error}")

    def build_response(self, response: Any, stream: Any) -> Any:
        """The answer as httpx sees it."""
        fields = [(name, value) for name, value in response.headers if not _is_dropped(name.decode("latin-1").lower())]
        extensions = {**response.extensions, "trailers": []}
        return self._http_library.api.Response(
            200, headers=[*fields, (b"content-type", CONTENT_TYPE.encode())], stream=stream, extensions=extensions
        )

    def _is_last(self, message: Message) -> bool:
        return not self._is_stream or message.data.rstrip().endswith(_DONE)


def _is_dropped(name: str) -> bool:
    return name in _DROPPED_HEADERS or name.startswith("sec-websocket-")
