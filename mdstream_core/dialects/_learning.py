"""Dialects that remember in which form a server takes requests, and which parameters it refused."""

import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any

from mdstream_core import _fork
from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
from mdstream_core.dialects._parameter_fallback import Change, Relaxed, Renamed, applied
from mdstream_core.dialects._vectors import EmbeddingDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Reply


class RefusedParameters:
    """Which parameters were refused, by dialect and model: of one model object, shared by its threads and tasks.

    Dictionaries are changed by one entry at a time, so that no lock is needed; who loses a race is refused once more.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[tuple[str, str], Change]] = {}

    def note(self, asked: tuple[str, str], changes: Iterable[Change]) -> None:
        """Remember what was changed."""
        known = self._known.setdefault(asked, {})
        for change in changes:
            if isinstance(change, Renamed):
                known.pop((change.within, change.new), None)  # the other way round, once
            known[change.within, change.name] = change

    def applied(self, asked: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """The body without what was refused."""
        for change in list(self._known.get(asked, {}).values()):
            body = applied(body, change)
        return body


class Remembering:
    """Speaks as `dialect` does, without the parameters that were refused before. For one call.

    What a call changes is remembered once an answer to the changed request begins: a change that is followed by
    another refusal may have been of no use.

    Args:
        dialect: What is spoken.
        refused: What is remembered, for all calls of a model object.
    """

    def __init__(self, dialect: Dialect, refused: RefusedParameters) -> None:
        self.name, self.route = dialect.name, dialect.route
        self._dialect = dialect
        self._refused = refused
        self._asked = (dialect.name, "")
        self._pending: tuple[Change, ...] = ()

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The dialect's body, without what was refused."""
        self._asked = (self.name, str(question.get("model") or ""))
        body = self._dialect.body(question, stream=stream)
        return self._refused.applied(self._asked, body) if isinstance(body, dict) else body

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """As the dialect says."""
        simpler = self._dialect.simpler(body, error)
        if simpler is not None:
            self._pending = simpler.changes if isinstance(simpler, Relaxed) else ()
        return simpler

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """As the dialect says."""
        return self._dialect.continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder; of a changed request one that reports when its answer begins."""
        decoder = self._dialect.decoder()
        return _Reporting(decoder, self._remember) if self._pending else decoder

    def _remember(self) -> None:
        changes, self._pending = self._pending, ()
        self._refused.note(self._asked, changes)


class _Reporting:
    """Reads as `inner` does, and calls `begun` at the answer's first events. An error is no answer."""

    def __init__(self, inner: Decoder, begun: Callable[[], None]) -> None:
        self._inner = inner
        self._begun = begun

    @property
    def broken(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too."""
        return self._inner.broken

    @property
    def finished(self) -> bool:
        """Whether every choice has said why it finished."""
        return self._inner.finished

    @property
    def over(self) -> bool:
        """Whether nothing more of the answer is to come."""
        return self._inner.over

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload."""
        events = self._inner.feed(data, event)
        if events and self._inner.broken is None:
            self.feed = self._inner.feed  # type: ignore[method-assign]  # from here on there is nothing to report
            self._begun()
        return events

    def end(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads."""
        events = self._inner.end(is_document=is_document)
        self._begun()
        return events

    def held(self) -> list[Event]:
        """What has come and was not told yet."""
        return self._inner.held()


class Learning:
    """Speaks as `dialect` does, and begins with what the server took after it had refused more.

    Without it each of a hundred batches would be refused once. Shared by threads and tasks; a refusal that no simpler
    question follows lets it forget, because another container may answer now. A limit of a request's inputs is kept.

    Args:
        dialect: What is spoken.
    """

    def __init__(self, dialect: ListDialect) -> None:
        self.dialect = dialect
        self.name, self.route, self.field, self.most = dialect.name, dialect.route, dialect.field, dialect.most
        #: The refusals, by the names of the fields that were refused.
        self._refusals: dict[frozenset[str], MDStreamError] = {}
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

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The question in the form that was taken last."""
        body: dict[str, Any] = self.dialect.body(question, stream=stream)
        while self._refusals and (error := self._refusals.get(frozenset(body))):
            simpler = self.dialect.simpler(body, error)
            if simpler is None:
                break
            body = simpler
        return body

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """As the dialect says."""
        simpler = self.dialect.simpler(body, error)
        if simpler is not None:
            self._refusals[frozenset(body)] = copy(error)  # without the frames that a traceback holds
        elif find_batch_limit(error, _count(body), sys.maxsize) is not None:
            error.retryable = False  # smaller requests follow, not the same one again
        elif not error.retryable:
            self._refusals.clear()
        return simpler

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """As the dialect says."""
        return self.dialect.continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder, which leaves it to `Batches` to find that vectors are missing."""
        decoder = self.dialect.decoder()
        return EmbeddingDecoder(complete=False) if type(decoder) is EmbeddingDecoder else decoder


def _count(body: Any) -> int:
    """How many inputs a request has: they are its longest list. A content handler's bytes are not looked into."""
    if not isinstance(body, Mapping):
        return sys.maxsize
    return max((len(value) for value in body.values() if isinstance(value, list)), default=0)
