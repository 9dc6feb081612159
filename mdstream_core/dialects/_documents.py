"""Answers that are one document: vectors and rankings. What all their decoders have in common."""

from typing import Any

from mdstream_core import _json
from mdstream_core.errors import MalformedStream, MDStreamError, StreamFailure, StreamInterrupted, words_of
from mdstream_core.events import Event


class DocumentDecoder:
    """Reads one document; subclasses say what is in it."""

    def __init__(self) -> None:
        self.broken: MDStreamError | None = None
        self._over = False

    @property
    def finished(self) -> bool:
        """Whether the document has come."""
        return self._over

    @property
    def over(self) -> bool:
        """The same: there is nothing behind it."""
        return self._over

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of the document."""
        try:
            document = _json.loads(data)
        except ValueError:
            raise MalformedStream(f"an answer that is not JSON: {_shown(data)}", raw=_shown(data)) from None
        if (words := words_of(document)) and not self._is_one(document):
            raise StreamFailure(
                f"the service failed: {words.message}", code=words.code, status=words.status, raw=_shown(data)
            )
        try:
            events = self._read(document)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise MalformedStream(f"an answer in another shape: {_shown(data)}", raw=_shown(data)) from error
        self._over = True
        return events

    def end(self, *, is_document: bool = False) -> list[Event]:
        """Check that the document has come."""
        if not self._over:
            raise StreamInterrupted("the answer is empty", code="EmptyStream")
        return []

    def held(self) -> list[Event]:
        """Nothing is held back."""
        return []

    def _is_one(self, document: Any) -> bool:
        """Whether this is an answer, whatever words stand in it."""
        return not isinstance(document, dict)

    def _read(self, document: Any) -> list[Event]:
        raise NotImplementedError


def _shown(data: bytes) -> str:
    return data[:300].decode("utf-8", "replace")
