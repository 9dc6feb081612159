"""Protocols of dialects and their decoders."""

from collections.abc import Mapping
from typing import Any, Protocol

from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse, TextDelta


class Decoder(Protocol):
    """Decoder for the payloads of one response. Holds the state of that response."""

    @property
    def error(self) -> MDStreamError | None:
        """The error of a payload that also had events. The events were returned first; feed no further payloads."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish reason. The usage may still follow."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the response is complete and nothing more of it follows."""
        ...

    def feed(self, data: bytes, event: str = "") -> list[Event]:
        """Decode one payload.

        Args:
            data: The payload, for example the data of one server-sent event.
            event: The event name of the frame; empty where it has none.

        Raises:
            StreamFailure: The payload reports an error.
            MalformedStream: The payload cannot be decoded.
        """
        ...

    def finish(self, *, is_document: bool = False) -> list[Event]:
        """Check that the response is complete after its last payload; return the events that are still buffered.

        Args:
            is_document: Whether the body was a single JSON document, which was received whole.

        Raises:
            StreamInterrupted: The response is not complete.
        """
        ...

    def flush(self) -> list[Event]:
        """Return the events that are still buffered because their end was not received. Feed no further payloads."""
        ...


class UniformDecoder(Decoder, Protocol):
    """Decoder that decodes payloads together if they differ in their text alone."""

    def feed_uniform(self, payloads: list[bytes], at: int) -> list[TextDelta] | None:
        """Decode the payloads from an index on, as long as they have the form of the last one, as `feed` would.

        Args:
            payloads: Payloads without event names.
            at: Index of the first one to decode.

        Returns:
            One delta for each payload that was decoded; `None` if there is no form yet, before any work was done.
        """
        ...


def feed_uniform(decoder: Any, payloads: list[bytes], at: int) -> list[TextDelta] | None:
    """Call `feed_uniform` of a decoder, if it has this method."""
    method = getattr(decoder, "feed_uniform", None)
    return None if method is None else method(payloads, at)


class Dialect(Protocol):
    """One API format."""

    name: str  #: for example `openai-chat`
    route: str  #: the path under which servers offer the format, for example `/v1/chat/completions`

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> dict[str, Any]:
        """Build the JSON body of a request.

        Args:
            params: Messages and options, in the shape of the OpenAI API.
            stream: Whether to request a streamed response.
        """
        ...

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> dict[str, Any] | None:
        """Return `payload` without the parameter that the server rejected; `None` if the request must not be changed.

        Args:
            payload: The body of the request that was rejected.
            error: The error response.
        """
        ...

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return the body that requests the rest of an interrupted response; `None` if it cannot be resumed.

        Args:
            payload: The body of the interrupted request.
            partial: What was received of the response.
        """
        ...

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        ...


class ListDialect(Dialect, Protocol):
    """An API format for requests with a list of inputs: embeddings and reranking."""

    input_field: str  #: the field of the request parameters that holds the inputs, for example `input`
    max_batch_size: int  #: the most inputs of one request


class NotResumableMixin:
    """Mixin for dialects whose servers cannot resume a response."""

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> dict[str, Any] | None:
        """Return `None`: the response cannot be resumed."""
        return None
