"""Dialects of SageMaker content handlers: user code that builds payloads and parses outputs.

Limits, exception frames and partial output work with a handler too. It cannot mark its last output, so the end of the
body is the end of the response. Exception frames, interrupted connections and lines that the handler cannot read are
errors as usual.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Protocol

from mdstream_core.errors import MalformedStream, MDStreamError, StreamFailure, StreamInterrupted, parse_error_object
from mdstream_core.events import Embedding, Event, Finish, ModelResponse, TextDelta

#: Exceptions that handlers raise for unexpected output. Other exceptions propagate.
_HANDLER_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Parameters of a request that are not options of the model.
_REQUEST_FIELDS = frozenset({"prompt", "messages", "input", "input_type", "stream", "stream_options", "stop"})


class ContentHandlerProtocol(Protocol):
    """The methods of a handler that are used."""

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any], /) -> Any: ...

    def transform_output(self, output: Any, /) -> Any: ...


class HandlerBody(bytes):
    """Body that a handler receives: bytes that can also be read like a file, as botocore's bodies."""

    _position = 0

    def read(self, amt: int | None = None) -> bytes:
        """Return the next `amt` bytes, or all that remain."""
        start, end = self._position, len(self) if amt is None else self._position + amt
        self._position = min(end, len(self))
        return bytes(self[start:end])


class HandlerDecoder:
    """Decoder of the output of a completion model, by a content handler.

    Args:
        handler: Parses the body, or each line or payload part of a stream.
        stop: Stop sequences. They are not sent to the container, so the output is truncated here.
        stream: Whether the output arrives in lines or parts.
    """

    #: There are no errors after the last event.
    error: MDStreamError | None = None
    #: Only the end of the body marks the response as complete.
    is_finished = is_complete = False

    def __init__(self, handler: ContentHandlerProtocol, stop: Sequence[str], *, stream: bool) -> None:
        self._handler = handler
        self._text = StopFilter(stop)
        self._stream = stream
        self._has_read = False
        self._parse_error: MDStreamError | None = None

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Return the events of a line, a payload part, or the whole body. Empty lines have none."""
        if data in {b"", b"\r"}:
            return []
        try:
            events = self._events(self._handler.transform_output(HandlerBody(data)))
        except _HANDLER_ERRORS as error:
            failure = _find_error(data) or _parse_error(data, error)
            if self._stream:
                raise failure from error
            failure.__cause__, self._parse_error = error, failure  # raised by `finish`: the body may be truncated
            return []
        if not events and (reported := _find_error(data)):
            raise reported
        self._has_read = True
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Return the buffered text, which might have become a stop sequence, and the finish reason if there is one."""
        if self._parse_error:
            raise self._parse_error
        if not self._has_read:
            raise StreamInterrupted("the stream ended without output", code="EmptyStream")
        events = self.flush()
        return [*events, Finish("stop")] if self._text.is_stopped else events

    def flush(self) -> list[Event]:
        """Return the buffered text, which might have become a stop sequence."""
        text = self._text.flush()
        return [TextDelta(text)] if text else []

    def _events(self, output: Any) -> list[Event]:
        if not isinstance(output, str):
            raise TypeError(f"transform_output returned a {type(output).__name__}, not a str")
        return self._emit_text(output)

    def _emit_text(self, text: str) -> list[Event]:
        delta = self._text.feed(text)
        return [TextDelta(delta)] if delta else []


class HandlerEmbeddingDecoder(HandlerDecoder):
    """Decoder of vectors."""

    def _events(self, output: Any) -> list[Event]:
        return [Embedding(_vector(numbers, index), index) for index, numbers in enumerate(output)]


def _vector(numbers: Any, index: int) -> list[float]:
    """Convert the numbers of any library to floats.

    Raises:
        ValueError: The vector is empty, or a value is not a finite number.
    """
    vector = [float("nan") if isinstance(number, bool | str) else float(number) for number in numbers]
    if not vector or not all(map(isfinite, vector)):
        raise ValueError(f"vector {index} has {'a value that is not a finite number' if vector else 'no numbers'}")
    return vector


class StopFilter:
    """Filter that passes text up to the first stop sequence, which may be spread over several pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._buffer = ""
        self.is_stopped = False

    def feed(self, text: str) -> str:
        """Return the text that cannot be part of a stop sequence."""
        if self.is_stopped:
            return ""
        self._buffer += text
        positions = [position for stop in self._stops if (position := self._buffer.find(stop)) >= 0]
        self.is_stopped = bool(positions)
        if positions:
            text, self._buffer = self._buffer[: min(positions)], ""
            return text
        end = len(self._buffer) - max(map(self._partial_match, self._stops), default=0)
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        return text

    def flush(self) -> str:
        """Return the buffered text, which is the end of the output."""
        text, self._buffer = self._buffer, ""
        return text

    def _partial_match(self, stop: str) -> int:
        """Length of the beginning of a stop sequence at the end of the buffer."""
        return next((size for size in range(len(stop) - 1, 0, -1) if self._buffer.endswith(stop[:size])), 0)


def _parse_error(data: bytes, error: Exception) -> MalformedStream:
    excerpt = data[:300].decode("utf-8", "replace")
    reason = f"{type(error).__name__}: {error}"
    return MalformedStream(f"the content handler cannot read {excerpt!r}: {reason}", raw=excerpt)


def _find_error(data: bytes) -> StreamFailure | None:
    """Return the failure that the first error object reports which is a line, alone or as the data of an event."""
    return next(filter(None, map(_error_in_line, data.splitlines() if b"error" in data else ())), None)


def _error_in_line(data: bytes) -> StreamFailure | None:
    text = data.strip().removeprefix(b"data:")
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not document.get("error") or not (body := parse_error_object(document)):
        return None
    raw = text[:4000].decode("utf-8", "replace")
    return StreamFailure(f"the container failed: {body.message}", code=body.code, status=body.status, raw=raw)


@dataclass(frozen=True, slots=True)
class ContentHandlerDialect:
    """Dialect of a content handler, for one request.

    Args:
        handler: Builds the payload and parses the output.
        stop: Stop sequences.
        options: Options for the handler; they override those of the request.
        stream: Whether the output arrives in lines or parts.
    """

    handler: ContentHandlerProtocol
    stop: tuple[str, ...]
    options: Mapping[str, Any]
    stream: bool

    name: ClassVar[str] = "content-handler"
    route: ClassVar[str] = "/invocations"
    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerDecoder
    input_name: ClassVar[str] = "prompt"

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Any:
        """Return the bytes that the handler builds from the request."""
        options = {name: value for name, value in params.items() if value is not None and name not in _REQUEST_FIELDS}
        payload = self.handler.transform_input(self._handler_input(params), {**options, **self.options})
        payload = payload.read() if hasattr(payload, "read") else payload
        return payload.encode() if isinstance(payload, str) else bytes(payload)

    def _handler_input(self, params: Mapping[str, Any]) -> Any:
        return params[self.input_name]

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Return `None`: payloads of handlers are not changed."""
        return None

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return `None`: handlers cannot continue a response."""
        return None

    def create_decoder(self) -> HandlerDecoder:
        """Create a decoder."""
        return self.decoder_class(self.handler, self.stop, stream=self.stream)


class ContentHandlerEmbeddingDialect(ContentHandlerDialect):
    """Dialect of a content handler for embedding models.

    Batches have up to 32 texts, TEI's limit; langchain-community sends 64.
    """

    input_field: ClassVar[str] = "input"
    max_batch_size: ClassVar[int] = 32
    decoder_class: ClassVar[type[HandlerDecoder]] = HandlerEmbeddingDecoder

    def _handler_input(self, params: Mapping[str, Any]) -> list[str]:
        """Replace line breaks by spaces, as langchain-community does, so that its vectors stay comparable."""
        return [text.replace("\n", " ") for text in params["input"]]
