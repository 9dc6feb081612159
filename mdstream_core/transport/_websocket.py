"""A question asked over a WebSocket, as httpx sees it: a request to ws:// or wss:// whose answer has a body.

The request is sent as the handshake's GET, its body as one text message, and the messages that come are the body of
the answer (`mdstream_core.wire.messages`). A handshake that is refused is the answer itself. What waits is in the twins
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
from mdstream_core.transport._pair import Pair
from mdstream_core.wire.messages import CONTENT_TYPE
from mdstream_core.wire.websocket import TEXT, Conversation, Message, accept, framed

SCHEMES = frozenset({"ws", "wss"})

#: Bytes that are read at once: every two of them may be a message, and these are read one by one.
READ_SIZE = 8_192

_FAREWELL = 2.0  # seconds that the other side may take to answer our goodbye
_DONE = b"[DONE]"

#: The handshake has these of its own, and no body.
_OURS = frozenset({"connection", "content-length", "te", "transfer-encoding", "upgrade", "accept-encoding"})
#: Of the answer to the handshake only what says something of the answer is handed on.
_SPENT = _OURS | {"content-encoding", "content-type"}


class Talk:
    """One question and its answer. Knows no socket; the twins read and write.

    Attributes:
        request: The handshake, as httpx's request.
        forgiven: What may be raised by a socket because all was said.
        over: Nothing more is to be read.
    """

    def __init__(self, pair: Pair, request: Any) -> None:
        self._pair = pair
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._conversation = Conversation(client=True)
        self._streams = "text/event-stream" in request.headers.get("accept", "text/event-stream")
        self.forgiven: tuple[type[Exception], ...] = ()
        self.over = False
        own = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self._key),
        ]
        kept = [(name, value) for name, value in request.headers.multi_items() if name not in _OURS]
        self.request = pair.face.Request("GET", request.url, headers=[*kept, *own], extensions=request.extensions)

    def ask(self, response: Any, question: bytes) -> None:
        """The service has agreed: the question is due. Raises the library's `RemoteProtocolError` if it has not."""
        headers = {name.lower(): value for name, value in response.headers}
        agreed = headers.get(b"sec-websocket-accept", b"").strip().decode("latin-1")
        switched = (
            headers.get(b"upgrade", b"").lower() == b"websocket"
            and b"upgrade" in headers.get(b"connection", b"").lower()
        )
        if not switched or agreed != accept(self._key) or b"sec-websocket-extensions" in headers:
            raise self._pair.core.RemoteProtocolError("the service switched to something that is no WebSocket of ours")
        self._conversation.send(TEXT, question)

    def due(self) -> bytes:
        """What must be written before the next read."""
        return self._conversation.due()

    def wait(self, timeouts: Mapping[str, float | None]) -> float | None:
        """How long the next read may take."""
        limit = timeouts.get("read")
        return min(_FAREWELL, limit or _FAREWELL) if self._conversation.closing else limit

    def feed(self, data: bytes) -> bytes:
        """What the body gets for these bytes; pings are no progress, and bring nothing. `b""` is the end of them."""
        conversation = self._conversation
        messages = conversation.feed(data)
        if not data and not conversation.closing:
            raise self._pair.core.RemoteProtocolError("the WebSocket was cut, without a close frame")
        body, count = conversation.ready
        if len(messages) > count:
            body += b"".join([framed(opcode, said) for opcode, said, _ in messages[count:]])
        if not conversation.closing and (_DONE in body or not self._streams) and any(map(self._last, messages)):
            conversation.close()
        if conversation.closing and not self.forgiven:
            core = self._pair.core
            self.forgiven = (core.TimeoutException, core.NetworkError)
        self.over = conversation.closed or not data
        return body

    def check(self) -> None:
        """Raise what was wrong with what came; what came before it was handed out."""
        if self._conversation.broken is not None:
            raise MalformedStream(f"the WebSocket cannot be read: {self._conversation.broken}")

    def answer(self, response: Any, stream: Any) -> Any:
        """The answer as httpx sees it."""
        fields = [(name, value) for name, value in response.headers if not _is_spent(name.decode("latin-1").lower())]
        extensions = {**response.extensions, "trailers": []}
        return self._pair.face.Response(
            200, headers=[*fields, (b"content-type", CONTENT_TYPE.encode())], stream=stream, extensions=extensions
        )

    def _last(self, message: Message) -> bool:
        return not self._streams or message.data.rstrip().endswith(_DONE)


def _is_spent(name: str) -> bool:
    return name in _SPENT or name.startswith("sec-websocket-")
