"""Base classes of dialects and decoders that wrap another one and change some of its methods."""

from collections.abc import Mapping
from typing import Any

from mdstream_core.dialects._dialect import Decoder, Dialect, feed_uniform
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, TextDelta


class DelegatingDialect:
    """Dialect that delegates to another one.

    Args:
        dialect: The dialect to wrap.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.name, self.route = dialect.name, dialect.route
        self._dialect = dialect

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Delegate to the dialect."""
        return self._dialect.build_payload(params, stream=stream)

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Delegate to the dialect."""
        return self._dialect.relax_payload(payload, error)

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Delegate to the dialect."""
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Delegate to the dialect."""
        return self._dialect.create_decoder()


class DelegatingDecoder:
    """Decoder that delegates to another one.

    Args:
        inner: The decoder to wrap.
    """

    #: Whether the events of all further payloads are those of the inner decoder.
    is_transparent = False

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner

    @property
    def error(self) -> MDStreamError | None:
        """The error of a payload that also had events."""
        return self._inner.error

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason."""
        return self._inner.is_finished

    @property
    def is_complete(self) -> bool:
        """Whether the response is complete."""
        return self._inner.is_complete

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        return self._inner.feed(data, event)

    def feed_uniform(self, payloads: list[bytes], at: int) -> list[TextDelta] | None:
        """Decode payloads that differ in their text alone, if their events are those of the inner decoder."""
        return feed_uniform(self._inner, payloads, at) if self.is_transparent else None

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete."""
        return self._inner.finish(is_document=is_document)

    def flush(self) -> list[Event]:
        """Return the events that are still buffered."""
        return self._inner.flush()
