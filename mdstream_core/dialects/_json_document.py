"""Answers that are one document: vectors and rankings. What all their decoders have in common."""

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
    """What is wrong with a document, in a sentence that the error repeats."""


def parse_index(value: Any, position: int) -> int:
    """The index of a result: a whole number, also as a string; the result's position in the list where it has none.

    >>> parse_index("2", 0), parse_index(None, 4)
    (2, 4)
    """
    if value is None:
        return position
    if isinstance(value, float | str) and not isinstance(value, bool):
        text = str(value).removesuffix(".0")
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else value
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidDocument(f"result {position} has the index {str(value)[:40]!r}, which is no whole number")
    return value


class JSONDocumentDecoder:
    """Reads one document; subclasses say what is in it."""

    def __init__(self) -> None:
        self.error: MDStreamError | None = None
        self._over = False

    @property
    def is_finished(self) -> bool:
        """Whether the document has come."""
        return self._over

    @property
    def is_complete(self) -> bool:
        """The same: there is nothing behind it."""
        return self._over

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of the document."""
        try:
            document = _json.loads(data)
        except ValueError:
            raise MalformedStream(
                f"an answer that is not JSON: {quote_payload(data)}", raw=quote_payload(data)
            ) from None
        if (words := parse_error_object(document)) and not self._is_response(document):
            raise StreamFailure(
                f"the service failed: {words.message}", code=words.code, status=words.status, raw=quote_payload(data)
            )
        try:
            events = self._read(document)
        except SHAPE_ERRORS as error:
            why = f" ({error})" if isinstance(error, InvalidDocument) else ""
            raise MalformedStream(
                f"an answer in another shape{why}: {quote_payload(data)}", raw=quote_payload(data)
            ) from error
        self._over = True
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the document has come."""
        if not self._over:
            raise StreamInterrupted("the answer is empty", code="EmptyStream")
        return []

    def flush(self) -> list[Event]:
        """Nothing is held back."""
        return []

    def _is_response(self, document: Any) -> bool:
        """Whether this is an answer, whatever words stand in it."""
        return not isinstance(document, dict)

    def _read(self, document: Any) -> list[Event]:
        raise NotImplementedError
