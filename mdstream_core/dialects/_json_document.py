"""Base decoder for responses that are a single JSON document: embeddings, rankings, server info."""

from typing import Any

from mdstream_core import _json
from mdstream_core.errors import (
    SHAPE_ERRORS,
    MalformedStream,
    MDStreamError,
    StreamFailure,
    StreamInterrupted,
    parse_error_object,
    quote_payload,
)
from mdstream_core.events import Event


class InvalidDocument(ValueError):
    """A document with an invalid value; `MalformedStream` repeats the message."""


def parse_index(value: Any, position: int) -> int:
    """Return the index of a result, an integer or a string of digits; its position in the list if it has none.

    >>> parse_index("2", 0), parse_index(None, 4)
    (2, 4)
    """
    if value is None:
        return position
    if isinstance(value, float | str) and not isinstance(value, bool):
        text = str(value).removesuffix(".0")
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else value
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidDocument(f"result {position} has the index {str(value)[:40]!r}, which is not an integer")
    return value


class JSONDocumentDecoder:
    """Base class of decoders for one document. Subclasses convert the document to events."""

    def __init__(self) -> None:
        self.error: MDStreamError | None = None
        self._is_complete = False

    @property
    def is_finished(self) -> bool:
        """Whether the document was received."""
        return self._is_complete

    @property
    def is_complete(self) -> bool:
        """Whether the document was received; nothing follows it."""
        return self._is_complete

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode the document."""
        try:
            document = _json.loads(data)
        except ValueError:
            raise MalformedStream(f"the response is not JSON: {quote_payload(data)}", raw=quote_payload(data)) from None
        if (error_body := parse_error_object(document)) and not self._is_response(document):
            raise StreamFailure(
                f"the service failed: {error_body.message}",
                code=error_body.code,
                status=error_body.status,
                raw=quote_payload(data),
            )
        try:
            events = self._read(document)
        except SHAPE_ERRORS as error:
            reason = f" ({error})" if isinstance(error, InvalidDocument) else ""
            raise MalformedStream(
                f"a response in another shape{reason}: {quote_payload(data)}", raw=quote_payload(data)
            ) from error
        self._is_complete = True
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the document was received."""
        if not self._is_complete:
            raise StreamInterrupted("the response is empty", code="EmptyStream")
        return []

    def flush(self) -> list[Event]:
        """Return no events: nothing is buffered."""
        return []

    def _is_response(self, document: Any) -> bool:
        """Return whether a document is a response, although it has fields of an error."""
        return not isinstance(document, dict)

    def _read(self, document: Any) -> list[Event]:
        raise NotImplementedError
