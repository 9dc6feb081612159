"""Dialects that remember in which form a server takes requests, and which parameters it refused."""

import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any

from mdstream_core import _fork
from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
from mdstream_core.dialects._embedding_decoder import EmbeddingDecoder
from mdstream_core.dialects._parameter_fallback import Change, RelaxedPayload, RenamedParameter, apply_change
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse


class RejectedParameters:
    """Which parameters were refused, by dialect and model: of one model object, shared by its threads and tasks.

    Dictionaries are changed by one entry at a time, so that no lock is needed; who loses a race is refused once more.
    """

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], dict[tuple[str, str], Change]] = {}

    def record(self, key: tuple[str, str], changes: Iterable[Change]) -> None:
        """Remember what was changed."""
        known = self._changes.setdefault(key, {})
        for change in changes:
            if isinstance(change, RenamedParameter):
                known.pop((change.within, change.new), None)  # the other way round, once
            known[change.within, change.name] = change

    def strip(self, key: tuple[str, str], payload: dict[str, Any]) -> dict[str, Any]:
        """The body without what was refused."""
        for change in list(self._changes.get(key, {}).values()):
            payload = apply_change(payload, change)
        return payload


class ParameterMemoryDialect:
    """Speaks as `dialect` does, without the parameters that were refused before. For one call.

    What a call changes is remembered once an answer to the changed request begins: a change that is followed by
    another refusal may have been of no use.

    Args:
        dialect: What is spoken.
        rejected: What is remembered, for all calls of a model object.
    """

    def __init__(self, dialect: Dialect, rejected: RejectedParameters) -> None:
        self.name, self.route = dialect.name, dialect.route
        self._dialect = dialect
        self._rejected = rejected
        self._key = (dialect.name, "")
        self._pending: tuple[Change, ...] = ()

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The dialect's body, without what was refused."""
        self._key = (self.name, str(params.get("model") or ""))
        body = self._dialect.build_payload(params, stream=stream)
        return self._rejected.strip(self._key, body) if isinstance(body, dict) else body

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """As the dialect says."""
        relaxed = self._dialect.relax_payload(payload, error)
        if relaxed is not None:
            self._pending = relaxed.changes if isinstance(relaxed, RelaxedPayload) else ()
        return relaxed

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """As the dialect says."""
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """A fresh decoder; of a changed request one that reports when its answer begins."""
        decoder = self._dialect.create_decoder()
        return _NotifyingDecoder(decoder, self._record_changes) if self._pending else decoder

    def _record_changes(self) -> None:
        changes, self._pending = self._pending, ()
        self._rejected.record(self._key, changes)


class _NotifyingDecoder:
    """Reads as `inner` does, and calls `on_start` at the answer's first events. An error is no answer."""

    def __init__(self, inner: Decoder, on_start: Callable[[], None]) -> None:
        self._inner = inner
        self._on_start = on_start

    @property
    def error(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return self._inner.error

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return self._inner.is_finished

    @property
    def is_complete(self) -> bool:
        """Whether nothing more of the answer is to come."""
        return self._inner.is_complete

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        events = self._inner.feed(data, event)
        if events and self._inner.error is None:
            self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to report
            self._on_start()
        return events

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads."""
        events = self._inner.finish(is_document=is_document)
        self._on_start()
        return events

    def flush(self) -> list[Event]:
        """What has come and was not told yet."""
        return self._inner.flush()


class NegotiatedDialect:
    """Speaks as `dialect` does, and begins with what the server took after it had refused more.

    Without it each of a hundred batches would be refused once. Shared by threads and tasks; a refusal that no simpler
    question follows lets it forget, because another container may answer now. A limit of a request's inputs is kept.

    Args:
        dialect: What is spoken.
    """

    def __init__(self, dialect: ListDialect) -> None:
        self.dialect = dialect
        self.name, self.route, self.input_field, self.max_batch_size = (
            dialect.name,
            dialect.route,
            dialect.input_field,
            dialect.max_batch_size,
        )
        #: The refusals, by the names of the fields that were refused.
        self._rejections: dict[frozenset[str], MDStreamError] = {}
        #: The most that a request may hold, as far as the server's errors have reported it.
        self.limit = BatchLimit()
        self._lock = _fork.Lock()

    def learn_limit(self, error: MDStreamError, inputs: int, size: int) -> BatchLimit | None:
        """The limit from here on, if `error` says that `inputs` of `size` bytes were too many; else `None`."""
        found = find_batch_limit(error, inputs, size)
        if found is None:
            return None
        with self._lock:
            self.limit = self.limit.combine(found)
            return self.limit

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question in the form that was taken last."""
        body: dict[str, Any] = self.dialect.build_payload(params, stream=stream)
        while self._rejections and (error := self._rejections.get(frozenset(body))):
            relaxed = self.dialect.relax_payload(body, error)
            if relaxed is None:
                break
            body = relaxed
        return body

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """As the dialect says."""
        relaxed = self.dialect.relax_payload(payload, error)
        if relaxed is not None:
            self._rejections[frozenset(payload)] = copy(error)  # without the frames that a traceback holds
        elif find_batch_limit(error, _count(payload), sys.maxsize) is not None:
            error.retryable = False  # smaller requests follow, not the same one again
        elif not error.retryable:
            self._rejections.clear()
        return relaxed

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """As the dialect says."""
        return self.dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """A fresh decoder, which leaves it to `BatchPlan` to find that vectors are missing."""
        decoder = self.dialect.create_decoder()
        return EmbeddingDecoder(check_count=False) if type(decoder) is EmbeddingDecoder else decoder


def _count(body: Any) -> int:
    """How many inputs a request has: they are its longest list. A content handler's bytes are not looked into."""
    if not isinstance(body, Mapping):
        return sys.maxsize
    return max((len(value) for value in body.values() if isinstance(value, list)), default=0)
