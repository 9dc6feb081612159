"""A dialect that remembers in which form a server wants its questions."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from mdstream_core.dialects._dialect import Decoder, ListDialect
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Reply


class Learning:
    """Speaks as `dialect` does, and begins with what the server took after it had refused more.

    Without it each of a hundred batches would be refused once. Shared by threads and tasks; a refusal that no simpler
    question follows lets it forget, because another container may answer now.

    Args:
        dialect: What is spoken.
    """

    def __init__(self, dialect: ListDialect) -> None:
        self.dialect = dialect
        self.name, self.route, self.field, self.most = dialect.name, dialect.route, dialect.field, dialect.most
        #: The refusals, by the names of the fields that were refused.
        self._refusals: dict[frozenset[str], MDStreamError] = {}

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
        elif not error.retryable:
            self._refusals.clear()
        return simpler

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """As the dialect says."""
        return self.dialect.continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return self.dialect.decoder()
