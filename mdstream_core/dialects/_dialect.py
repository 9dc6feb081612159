"""What a dialect is."""

from collections.abc import Mapping
from typing import Any, Protocol

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, Reply


class Decoder(Protocol):
    """Reads one answer's payloads. Holds the state of that answer."""

    @property
    def broken(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too: these come first, and nothing is fed any more."""
        ...

    @property
    def finished(self) -> bool:
        """Whether every choice has said why it finished. The usage may still come."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing more of the answer is to come."""
        ...

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload. Raises `StreamFailure`, `MalformedStream`."""
        ...

    def end(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads. Raises `StreamInterrupted` if the answer is not over.

        Args:
            is_document: Whether the body was one JSON document, which came whole.
        """
        ...

    def held(self) -> list[Event]:
        """What has come and was not told yet, because its end was waited for. Nothing is fed any more."""
        ...


class Dialect(Protocol):
    """One API format."""

    name: str
    route: str  #: the path under which servers offer it

    def body(self, question: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The JSON body that asks `question`."""
        ...

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """The body without what `error` says the server does not know, if the answer's meaning stays the same."""
        ...

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """The body that asks for the rest of an answer of which `said` has come; `None` where there is no way."""
        ...

    def decoder(self) -> Decoder:
        """A fresh decoder for one answer."""
        ...


class ListDialect(Dialect, Protocol):
    """An API format for questions about many inputs."""

    field: str  #: the question's field that holds the inputs
    most: int  #: how many inputs one request may hold


class Final:
    """What the dialects have in common whose servers cannot go on with an answer."""

    def continued(self, body: Mapping[str, Any], said: Reply) -> dict[str, Any] | None:
        """There is no way."""
        return None
