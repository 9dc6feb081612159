"""What a dialect is."""

from collections.abc import Mapping
from typing import Any, Protocol

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse


class Decoder(Protocol):
    """Reads one answer's payloads. Holds the state of that answer."""

    @property
    def error(self) -> MDStreamError | None:
        """What was wrong with a payload that had events too: these come first, and nothing is fed any more."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether every choice has said why it finished. The usage may still come."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether nothing more of the answer is to come."""
        ...

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """The events of one payload. Raises `StreamFailure`, `MalformedStream`."""
        ...

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """There are no more payloads. Raises `StreamInterrupted` if the answer is not over.

        Args:
            is_document: Whether the body was one JSON document, which came whole.
        """
        ...

    def flush(self) -> list[Event]:
        """What has come and was not told yet, because its end was waited for. Nothing is fed any more."""
        ...


class Dialect(Protocol):
    """One API format."""

    name: str
    route: str  #: the path under which servers offer it

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """The JSON body that asks `params`."""
        ...

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """The body without what `error` says the server does not know, if the answer's meaning stays the same."""
        ...

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """The body that asks for the rest of an answer of which `partial` has come; `None` where there is no way."""
        ...

    def create_decoder(self) -> Decoder:
        """A fresh decoder for one answer."""
        ...


class ListDialect(Dialect, Protocol):
    """An API format for questions about many inputs."""

    input_field: str  #: the question's field that holds the inputs
    max_batch_size: int  #: how many inputs one request may hold


class NotResumableMixin:
    """What the dialects have in common whose servers cannot go on with an answer."""

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """There is no way."""
        return None
