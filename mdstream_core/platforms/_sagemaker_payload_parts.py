"""SageMaker's answers, unwrapped: what the container wrote comes in `PayloadPart`s, cut anywhere.

An `:exception-type` or a `:message-type` of `error` is the end of the stream: the HTTP status was 200 long before.
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

#: The longest code that is kept, in characters.
_LONGEST_CODE = 200

#: What the codes of a failed stream mean, and the class and status that fit.
_FAILURES: dict[str, tuple[type[StreamFailure], int, str]] = {
    "ModelInvocationTimeExceeded": (
        StreamTimeout,
        408,
        "the model did not finish in the time that SageMaker allows a stream: ask for fewer tokens (max_tokens)",
    ),
    "StreamBroken": (
        StreamFailure,
        500,
        "the connection between SageMaker and the container broke: the endpoint's log says more",
    ),
    "InternalStreamFailure": (StreamFailure, 500, "SageMaker failed; ask again"),
}


class ContainerDecoder:
    """Reads what a container wrote: events, a JSON document to a line, or one JSON document.

    The first bytes say which, whatever the label says: LMI labels JSON lines in more than one way, and a container
    that ignores `stream` sends one document. A first line that is a whole document makes it JSON lines.

    Args:
        max_size: The most bytes that a frame may have; a security limit.
    """

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self._max_size = max_size
        self._start = bytearray()
        self._inner: FrameDecoder | None = None

    @property
    def is_document(self) -> bool:
        """Whether the container wrote one document."""
        return self._inner is not None and self._inner.is_document

    def feed(self, data: bytes) -> Iterable[Frame]:
        """The frames that are complete with these bytes."""
        if self._inner is None:
            fresh = data.lstrip(_WHITESPACE) if not self._start else data
            self._start += fresh
            self._inner = self._choose(b"\n" in fresh)
            if self._inner is None:
                return []
            data = bytes(self._start)
        self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to decide
        return self._inner.feed(data)

    def finish(self) -> list[Frame]:
        """What is left over."""
        if self._inner is None:
            self._inner = DocumentDecoder(self._max_size)
            self._inner.feed(bytes(self._start))
        return self._inner.finish()

    def _choose(self, has_line: bool) -> FrameDecoder | None:
        """How the body is framed, once that is known."""
        if not self._start.startswith((b"{", b"[")):
            return SSEDecoder(self._max_size) if self._start else None
        if has_line:
            line = bytes(self._start).partition(b"\n")[0]
            return (JSONLinesDecoder if _is_json(line) else DocumentDecoder)(self._max_size)
        if len(self._start) > self._max_size:
            raise MalformedStream(f"a line of more than {self._max_size} bytes")
        return None


class RawDecoder:
    r"""Hands out what a container wrote, for readers who know what it is: line by line, or all at once.

    >>> RawDecoder(lines=True).feed(b" a\n b")
    [Frame(data=b' a', event='')]

    Args:
        lines: Whether each line is a frame, without its line break; else the whole body is one.
        max_size: The most bytes that a frame may have; a security limit.
    """

    is_document = False

    def __init__(self, *, lines: bool, max_size: int = MAX_FRAME_BYTES) -> None:
        self._lines = lines
        self._max_size = max_size
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The lines that are complete with these bytes."""
        whole, found, rest = data.rpartition(b"\n") if self._lines else (b"", b"", data)
        lines = (bytes(self._held) + whole).split(b"\n") if found else []
        if found:
            self._held.clear()
        self._held += rest
        if len(self._held) > self._max_size:
            raise MalformedStream(f"{'a line' if self._lines else 'a body'} of more than {self._max_size} bytes")
        return [Frame(line) for line in lines]

    def finish(self) -> list[Frame]:
        """The last line, where no line break ended it; or the body."""
        rest = bytes(self._held)
        self._held.clear()
        return [Frame(rest)] if rest else []


class PayloadPartDecoder:
    """Unwraps the event stream and hands the container's bytes on.

    Args:
        inner: Reads what the container wrote.
    """

    def __init__(self, inner: FrameDecoder) -> None:
        self._messages = EventStreamDecoder()
        self._inner = inner
        self._part: Mapping[str, Value] | None = None

    @property
    def is_document(self) -> bool:
        """Whether the container wrote one document."""
        return self._inner.is_document

    def feed(self, data: bytes) -> Iterable[Frame]:
        """The container's frames that are complete with these bytes. Raises what an exception frame says."""
        if self._messages.buffered_size > CHUNK_SIZE:
            return self._read_large(data)
        frames: list[Frame] = []
        parts: list[bytes] = []  # of one read together: the container's bytes are read at one go
        try:
            for message in self._messages.feed(data):
                headers, payload = message
                if headers is not self._part:  # equal headers come as the same object
                    if not _is_payload_part(message):
                        self._read(parts, frames)
                        _raise_for_message(message)
                        continue
                    self._part = headers
                parts.append(payload)
            self._read(parts, frames)
        except MDStreamError as error:
            return FramesThenError(frames, error)
        return FramesThenError(frames, self._messages.error) if self._messages.error else frames

    def _read_large(self, data: bytes) -> Iterator[Frame]:
        """The same where a message is so large that its frames are not to be read at one go."""
        for message in self._messages.feed(data):
            if not _is_payload_part(message):
                _raise_for_message(message)
                continue
            for at in range(0, len(message.payload), CHUNK_SIZE):
                yield from self._inner.feed(message.payload[at : at + CHUNK_SIZE])
        if self._messages.error:
            raise self._messages.error

    def _read(self, parts: list[bytes], frames: list[Frame]) -> None:
        if parts:
            frames += self._inner.feed(parts[0] if len(parts) == 1 else b"".join(parts))
            parts.clear()

    def finish(self) -> list[Frame]:
        """What the container did not end, and then whether a message was cut."""
        frames = self._inner.finish()
        try:
            self._messages.finish()
        except MDStreamError as error:
            return FramesThenError(frames, error)
        return frames


def _is_payload_part(message: Message) -> bool:
    headers = message.headers
    return headers.get(":message-type") == "event" and headers.get(":event-type") == "PayloadPart"


def _raise_for_message(message: Message) -> None:
    """Raise what a message says that carries no payload part. An event of another type is for later clients."""
    headers = message.headers
    match headers.get(":message-type"):
        case "event":
            return
        case "exception":
            raise stream_failure(str(headers.get(":exception-type", "")), message.payload)
        case "error":
            code, words = str(headers.get(":error-code", "")), str(headers.get(":error-message", ""))
            raise _failure(code or "error", words, f"{code}: {words}")
        case other:
            raise MalformedStream(f"a message of type {other!r}, which is neither event, exception nor error")


def stream_failure(kind: str, payload: bytes) -> StreamFailure:
    """What an exception frame says.

    >>> stream_failure("ModelStreamError", b'{"Message":"boom","ErrorCode":"StreamBroken"}').code
    'StreamBroken'
    """
    raw = payload[:4000].decode("utf-8", "replace")
    try:
        body = _json.loads(payload)
    except ValueError:
        body = None
    facts = {str(name).lower(): value for name, value in body.items()} if isinstance(body, dict) else {"message": raw}
    code = _json.to_text(facts.get("errorcode"))[:_LONGEST_CODE] or kind or "exception"
    return _failure(code, _json.to_text(facts.get("message")), raw, kind)


def _failure(code: str, words: str, raw: str, kind: str = "") -> StreamFailure:
    failure, status, hint = _FAILURES.get(code) or (StreamFailure, 500, "")
    name = f"{kind} {code}" if kind and kind != code else code
    words = to_readable_text(words)
    said = f"SageMaker ended the stream: {name}{f': {words}' if words else ''}"
    return failure(f"{said} ({hint})" if hint else said, code=code, status=status, raw=raw)


def _is_json(line: bytes) -> bool:
    try:
        _json.loads(line)
    except ValueError:
        return False
    return True


__all__ = ["ContainerDecoder", "PayloadPartDecoder", "RawDecoder", "stream_failure"]
