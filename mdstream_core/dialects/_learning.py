"""Dialects that remember in which form a server takes requests, and which parameters it refused."""

import sys
from collections.abc import Iterator, Mapping
from copy import copy
from threading import Lock
from typing import Any

from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.dialects._dialect import Decoder, Dialect, ListDialect
from mdstream_core.dialects._parameter_fallback import BOUND_TO_VALUE, renamed, without
from mdstream_core.dialects._vectors import EmbeddingDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


class RefusedParameters:
    """Which parameters were refused, by dialect and model: of one model object, shared by its threads and tasks.

    Dictionaries are changed by one entry at a time, so that no lock is needed; who loses a race is refused once more.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[tuple[str, ...], Any]] = {}

    def note(self, asked: tuple[str, str], body: Mapping[str, Any], simpler: Mapping[str, Any]) -> None:
        """Remember what `simpler` lacks, or names otherwise. Where it is another request altogether, nothing."""
        known = self._known.setdefault(asked, {})
        for path, change in _changes(body, simpler):
            if isinstance(change, _Renamed):
                known.pop((*path[:-1], change.name), None)  # the other way round, once
            known[path] = change

    def applied(self, asked: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """The body without what was refused."""
        for path, change in list(self._known.get(asked, {}).items()):
            body = _changed(body, path, change)
        return body


class _Renamed:
    """The parameter has another name."""

    def __init__(self, name: str) -> None:
        self.name = name


#: A parameter is left out whatever its value is.
_ANY = object()


def _changes(body: Mapping[str, Any], simpler: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Parameters that were left out or renamed: their paths, and what is done with them."""
    gone, new = body.keys() - simpler.keys(), simpler.keys() - body.keys()
    if not gone and not new:
        inner, then = body.get("parameters"), simpler.get("parameters")
        if isinstance(inner, dict) and isinstance(then, dict):
            yield from ((("parameters", *path), change) for path, change in _changes(inner, then))
    elif len(gone) == len(new) == 1:
        (old,), (other,) = gone, new
        if body[old] == simpler[other] and isinstance(body[old], int):  # a limit of tokens, and no list of inputs
            yield (old,), _Renamed(other)
    elif not new:
        yield from (((name,), body[name] if name in BOUND_TO_VALUE else _ANY) for name in gone)


def _changed(body: dict[str, Any], path: tuple[str, ...], change: Any) -> dict[str, Any]:
    name, *deeper = path
    if name not in body:
        return body
    if deeper:
        return {**body, name: _changed(body[name], tuple(deeper), change)}
    if isinstance(change, _Renamed):
        return renamed(body, name, change.name)
    return without(body, (name,)) if change is _ANY or change == body[name] else body


class Remembering:
    """Speaks as `dialect` does, without the parameters that were refused before. For one call.

    Args:
        dialect: What is spoken.
        refused: What is remembered, for all calls of a model object.
    """

    def __init__(self, dialect: Dialect, refused: RefusedParameters) -> None:
        self.name, self.route = dialect.name, dialect.route
        self._dialect = dialect
        self._refused = refused
        self._asked = (dialect.name, "")

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The dialect's body, without what was refused."""
        self._asked = (self.name, str(question.get("model") or ""))
        body = self._dialect.body(question, stream=stream)
        return self._refused.applied(self._asked, body) if isinstance(body, dict) else body

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """As the dialect says; what it leaves out is left out from now on."""
        simpler = self._dialect.simpler(body, error)
        if simpler is not None:
            self._refused.note(self._asked, body, simpler)
        return simpler

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """As the dialect says."""
        return self._dialect.continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return self._dialect.decoder()


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
        self._lock = Lock()

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
