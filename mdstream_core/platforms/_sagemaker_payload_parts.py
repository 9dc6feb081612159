"""Decoders for SageMaker's responses: the container's output arrives in `PayloadPart`s, split at any byte.

A message with the `:message-type` `exception` (an exception frame) or `error` reports that the stream failed; the HTTP
status is 200.
Source: botocore, `sagemaker-runtime/2017-05-13` (`ResponseStream`).
"""

from collections.abc import Iterable, Iterator, Mapping

from mdstream_core import _json
from mdstream_core.errors import MalformedStream, MDStreamError, StreamFailure, StreamTimeout, to_readable_text
from mdstream_core.wire import CHUNK_SIZE, MAX_FRAME_BYTES, Frame, FrameDecoder, FramesThenError
from mdstream_core.wire.eventstream import EventStreamDecoder, Message, Value
from mdstream_core.wire.jsonlines import DocumentDecoder, JSONLinesDecoder
from mdstream_core.wire.sse import SSEDecoder

_WHITESPACE = b" \t\r\n\xef\xbb\xbf"

#: Maximum length of an error code in characters.
_MAX_CODE = 200

#: Error class, status and hint of each code of a failed stream.
_FAILURES: dict[str, tuple[type[StreamFailure], int, str]] = {
    "ModelInvocationTimeExceeded": (
        StreamTimeout,
        408,
        "reduce max_tokens: the model did not finish within the time that SageMaker allows a stream",
    ),
    "StreamBroken": (
        StreamFailure,
        500,
        "see the endpoint's log: the connection between SageMaker and the container was interrupted",
    ),
    "InternalStreamFailure": (StreamFailure, 500, "retry: SageMaker failed"),
}


class ContainerDecoder:
    """Decoder for a container's output: server-sent events, JSON lines, or one JSON document.

    The format is detected from the first bytes, because content types are unreliable: LMI declares JSON lines in more
    than one way, and a container that ignores `stream` sends one document. If the first line is a complete document,
    the output is JSON lines.

    Args:
        max_size: Maximum size of a frame in bytes; a security limit.
    """

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._start = bytearray()
        self._inner: FrameDecoder | None = None

    @property
    def is_document(self) -> bool:
        """Whether the output is one document."""
        return self._inner is not None and self._inner.is_document

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Decode bytes; return the frames that are complete."""
        if self._inner is None:
            content = data.lstrip(_WHITESPACE) if not self._start else data
            self._start += content
            self._inner = self._choose(b"\n" in content)
            if self._inner is None:
                return []
            data = bytes(self._start)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # the framing is known: later calls go directly to its decoder
        return self._inner.feed(data)

    def finish(self) -> list[Frame]:
        """Return the remaining frames at the end of the body."""
        if self._inner is None:
            self._inner = DocumentDecoder(self._max_size)
            self._inner.feed(bytes(self._start))
        return self._inner.finish()

    def _choose(self, has_line: bool) -> FrameDecoder | None:
        """The decoder of the body, once its framing is known."""
        if not self._start.startswith((b"{", b"[")):
            return SSEDecoder(self._max_size) if self._start else None
        if has_line:
            line = bytes(self._start).partition(b"\n")[0]
            return (JSONLinesDecoder if _is_json(line) else DocumentDecoder)(self._max_size)
        if len(self._start) > self._max_size:
            raise MalformedStream(f"a line has more than {self._max_size} bytes")
        return None


class RawDecoder:
    r"""Decoder that returns a container's output unparsed: line by line, or as a whole.

    Args:
        lines: Whether each line is a frame, without its line break; else the whole body is one frame.
        max_size: Maximum size of a frame in bytes; a security limit.

    >>> RawDecoder(lines=True).feed(b" a\n b")
    [Frame(data=b' a', event='')]
    """

    is_document = False

    def __init__(self, *, lines: bool, max_size: int = MAX_FRAME_BYTES) -> None:
        self._lines = lines
        self._max_size = max_size
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Decode bytes; return the lines that are complete."""
        complete, newline, rest = data.rpartition(b"\n") if self._lines else (b"", b"", data)
        lines = (bytes(self._buffer) + complete).split(b"\n") if newline else []
        if newline:
            self._buffer.clear()
        self._buffer += rest
        if len(self._buffer) > self._max_size:
            raise MalformedStream(f"{'a line' if self._lines else 'the body'} has more than {self._max_size} bytes")
        return [Frame(line) for line in lines]

    def finish(self) -> list[Frame]:
        """Return the last line if it has no line break, or the body."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [Frame(rest)] if rest else []


class PartDecoder:
    r"""Decoder that returns each payload part as it is. The event stream limits its size.

    >>> PartDecoder().feed(b"a\n")
    [Frame(data=b'a\n', event='')]
    """

    is_document = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return the part."""
        return [Frame(data)]

    def finish(self) -> list[Frame]:
        """Return nothing: parts are complete."""
        return []


class PayloadPartDecoder:
    """Decoder for the event stream, which passes the bytes of its payload parts to another decoder.

    Args:
        inner: Decoder for the container's output. Unless it is a `PartDecoder`, it receives them in pieces of any size.
    """

    def __init__(self, inner: FrameDecoder) -> None:
        self._messages = EventStreamDecoder()
        self._inner = inner
        self._keeps_parts = isinstance(inner, PartDecoder)
        self._part: Mapping[str, Value] | None = None

    @property
    def is_document(self) -> bool:
        """Whether the output is one document."""
        return self._inner.is_document

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Decode bytes; return the container's frames that are complete, then raise the error of an exception frame."""
        if self._messages.buffered_size > CHUNK_SIZE:
            return self._feed_large(data)
        frames: list[Frame] = []
        parts: list[bytes] = []  # those of one read are decoded together
        try:
            for headers, payloads in self._messages.feed_runs(data):
                if headers is not self._part:  # equal headers come as the same object
                    if not _is_payload_part(headers):
                        self._decode_parts(parts, frames)
                        for payload in payloads:
                            _raise_for_message(Message(headers, payload))
                        continue
                    self._part = headers
                parts += payloads
            if parts and not (frames or self._keeps_parts or self._messages.error):
                return self._inner.feed(b"".join(parts))
            self._decode_parts(parts, frames)
        except MDStreamError as error:
            return FramesThenError(frames, error)
        return FramesThenError(frames, self._messages.error) if self._messages.error else frames

    def _feed_large(self, data: bytes) -> Iterator[Frame]:
        """`feed` for a large message, whose payload is decoded in pieces."""
        for message in self._messages.feed(data):
            if not _is_payload_part(message.headers):
                _raise_for_message(message)
                continue
            size = (len(message.payload) or 1) if self._keeps_parts else CHUNK_SIZE
            for offset in range(0, len(message.payload), size):
                yield from self._inner.feed(message.payload[offset : offset + size])
        if self._messages.error:
            raise self._messages.error

    def _decode_parts(self, parts: list[bytes], frames: list[Frame]) -> None:
        if not parts:
            return
        for data in parts if self._keeps_parts or len(parts) == 1 else (b"".join(parts),):
            frames += self._inner.feed(data)
        parts.clear()

    def finish(self) -> list[Frame]:
        """Return the container's remaining frames, then raise an error if a message is incomplete."""
        frames = self._inner.finish()
        try:
            self._messages.finish()
        except MDStreamError as error:
            return FramesThenError(frames, error)
        return frames


def _is_payload_part(headers: Mapping[str, Value]) -> bool:
    return headers.get(":message-type") == "event" and headers.get(":event-type") == "PayloadPart"


def _raise_for_message(message: Message) -> None:
    """Raise the error of a message that is no payload part; events of unknown types are ignored."""
    headers = message.headers
    match headers.get(":message-type"):
        case "event":
            return
        case "exception":
            raise parse_exception_frame(str(headers.get(":exception-type", "")), message.payload)
        case "error":
            code, message_text = str(headers.get(":error-code", "")), str(headers.get(":error-message", ""))
            raise _build_failure(code or "error", message_text, f"{code}: {message_text}")
        case other:
            raise MalformedStream(f"a message has the type {other!r}, which is neither event, exception nor error")


def parse_exception_frame(kind: str, payload: bytes) -> StreamFailure:
    """Create the error for an exception frame.

    Args:
        kind: The value of `:exception-type`.
        payload: The JSON payload.

    >>> parse_exception_frame("ModelStreamError", b'{"Message":"boom","ErrorCode":"StreamBroken"}').code
    'StreamBroken'
    """
    raw = payload[:4000].decode("utf-8", "replace")
    try:
        body = _json.loads(payload)
    except ValueError:
        body = None
    fields = {str(name).lower(): value for name, value in body.items()} if isinstance(body, dict) else {"message": raw}
    code = _json.to_text(fields.get("errorcode"))[:_MAX_CODE] or kind or "exception"
    return _build_failure(code, _json.to_text(fields.get("message")), raw, kind)


def _build_failure(code: str, text: str, raw: str, kind: str = "") -> StreamFailure:
    error_class, status, hint = _FAILURES.get(code) or (StreamFailure, 500, "")
    name = f"{kind} {code}" if kind and kind != code else code
    text = to_readable_text(text)
    message = f"SageMaker ended the stream: {name}{f': {text}' if text else ''}"
    return error_class(f"{message} (hint: {hint})" if hint else message, code=code, status=status, raw=raw)


def _is_json(line: bytes) -> bool:
    try:
        _json.loads(line)
    except ValueError:
        return False
    return True


__all__ = ["ContainerDecoder", "PartDecoder", "PayloadPartDecoder", "RawDecoder", "parse_exception_frame"]
