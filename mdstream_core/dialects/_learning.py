"""A dialect that remembers in which form a server wants its questions."""

import sys
from collections.abc import Mapping
from copy import copy
from threading import Lock
from typing import Any

from mdstream_core.dialects._batch_limits import BatchLimit, find_batch_limit
from mdstream_core.dialects._dialect import Decoder, ListDialect
from mdstream_core.dialects._vectors import EmbeddingDecoder
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


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
