"""Dialects that store which form of requests a server accepts, and which parameters it rejected."""

import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any

from mdstream_core import _fork
from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.dialects._delegation import DelegatingDecoder, DelegatingDialect
from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._parameter_fallback import Change, RelaxedPayload, RenamedParameter, apply_change
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse


class RejectedParameters:
    """Parameters that servers rejected, by dialect and model: the changes (drop, rename) to apply to later payloads.

    Shared by the threads and tasks of one model object. Each change sets or removes a single dictionary entry, so no
    lock is needed; a race condition costs at most one more rejected request.
    """

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], dict[tuple[str, str], Change]] = {}

    def record(self, key: tuple[str, str], changes: Iterable[Change]) -> None:
        """Store changes to a payload, for later requests.

        Args:
            key: The names of the dialect and of the model.
            changes: The changes after which the server accepted the request.
        """
        known = self._changes.setdefault(key, {})
        for change in changes:
            if isinstance(change, RenamedParameter):
                known.pop((change.within, change.new), None)  # remove the opposite renaming
            known[change.within, change.name] = change

    def apply(self, key: tuple[str, str], payload: dict[str, Any]) -> dict[str, Any]:
        """Return the payload with the stored changes applied."""
        if not self._changes:
            return payload
        for change in list(self._changes.get(key, {}).values()):
            payload = apply_change(payload, change)
        return payload


class ParameterMemoryDialect(DelegatingDialect):
    """Dialect of one call that omits the parameters that the server rejected in earlier calls.

    Changes are stored when the changed request gets its first events. Before that they may have been useless, because
    the server may reject the request again.

    Args:
        dialect: The dialect to wrap.
        rejected: The rejected parameters, shared by all calls of a model object.
    """

    def __init__(self, dialect: Dialect, rejected: RejectedParameters) -> None:
        super().__init__(dialect)
        self._rejected = rejected
        self._key = (dialect.name, "")
        self._pending: tuple[Change, ...] = ()

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the dialect's body, with the stored changes applied."""
        self._key = (self.name, str(params.get("model") or ""))
        payload = self._dialect.build_payload(params, stream=stream)
        return self._rejected.apply(self._key, payload) if isinstance(payload, dict) else payload

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Delegate to the dialect, and remember the changes."""
        relaxed = self._dialect.relax_payload(payload, error)
        if relaxed is not None:
            self._pending = relaxed.changes if isinstance(relaxed, RelaxedPayload) else ()
        return relaxed

    def create_decoder(self) -> Decoder:
        """Create a decoder; for a changed request, one that stores the changes at the first events."""
        decoder = self._dialect.create_decoder()
        return _NotifyingDecoder(decoder, self._record_changes) if self._pending else decoder

    def _record_changes(self) -> None:
        changes, self._pending = self._pending, ()
        self._rejected.record(self._key, changes)


class _NotifyingDecoder(DelegatingDecoder):
    """Decoder that calls `on_start` at the first events of a response that is not an error."""

    def __init__(self, inner: Decoder, on_start: Callable[[], None]) -> None:
        super().__init__(inner)
        self._on_start = on_start

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload."""
        events = self._inner.feed(data, event)
        if events and self._inner.error is None:
            self.feed = self._inner.feed  # type: ignore[method-assign]  # `on_start` is called only once
            self.is_transparent = True
            self._on_start()
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete."""
        events = self._inner.finish(is_document=is_document)
        self._on_start()
        return events


class NegotiatedDialect:
    """Dialect that builds requests in the form that the server accepted last.

    Without it, the first request for each batch would be rejected again. Shared by threads and tasks. If a rejected
    request cannot be changed any further, the stored rejections are discarded, because the endpoint may have a new
    container; the batch limit stays.

    Args:
        dialect: The dialect to wrap.
    """

    def __init__(self, dialect: ListDialect) -> None:
        self.dialect = dialect
        self.name, self.route, self.input_field, self.max_batch_size = (
            dialect.name,
            dialect.route,
            dialect.input_field,
            dialect.max_batch_size,
        )
        #: Error responses by the field names of the rejected payload; `build_payload` changes payloads as they require.
        self._rejections: dict[frozenset[str], MDStreamError] = {}
        #: The most inputs of a request, as reported by error responses.
        self.limit = BatchLimit()
        self._lock = _fork.Lock()

    def learn_limit(self, error: MDStreamError, inputs: int, size: int) -> BatchLimit | None:
        """Lower the limit if an error response reports that a request had too many inputs.

        Args:
            error: The error response.
            inputs: The number of inputs of the request.
            size: The size of all inputs together, in bytes.

        Returns:
            The new limit; `None` if the error has another cause.
        """
        limit = find_batch_limit(error, inputs, size)
        if limit is None:
            return None
        with self._lock:
            self.limit = self.limit.combine(limit)
            return self.limit

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the body in the form that was accepted last."""
        payload: dict[str, Any] = self.dialect.build_payload(params, stream=stream)
        while self._rejections and (error := self._rejections.get(frozenset(payload))):
            relaxed = self.dialect.relax_payload(payload, error)
            if relaxed is None:
                break
            payload = relaxed
        return payload

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Delegate to the dialect."""
        relaxed = self.dialect.relax_payload(payload, error)
        if relaxed is not None:
            self._rejections[frozenset(payload)] = copy(error)  # a copy without the traceback and its frames
        elif find_batch_limit(error, _count_inputs(payload), sys.maxsize) is not None:
            error.retryable = False  # smaller requests follow, not a retry of the same one
        elif not error.retryable:
            self._rejections.clear()
        return relaxed

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Delegate to the dialect."""
        return self.dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder that does not check for missing vectors: `BatchPlan` does."""
        decoder = self.dialect.create_decoder()
        return EmbeddingDecoder(check_count=False) if type(decoder) is EmbeddingDecoder else decoder


def _count_inputs(payload: Any) -> int:
    """Return the number of inputs: the length of the longest list. The bytes of a content handler are opaque."""
    if not isinstance(payload, Mapping):
        return sys.maxsize
    return max((len(value) for value in payload.values() if isinstance(value, list)), default=0)
