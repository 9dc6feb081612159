"""`Fault`: a deviation from the healthy response to one request, as a value."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """A deviation from the healthy response to one request.

    `Fault("trailer", "json", after=3)`, `Fault("refuse", status=429, retry_after="2")`, `Fault("hold", seconds=0.5)`

    Attributes:
        kind: What goes wrong: a key of `KINDS`, e.g. `trailer`, `cut`, `refuse`.
        spelling: The variant, for the kinds that have several: a key of `TRAILERS` for `trailer`, of `ERROR_RESPONSES`
            for `refuse`, of `ERROR_EVENTS` for `error_event`. Default: the kind's own.
        after: Number of events that are delivered before the fault; `-1` is all but the last. Default (`None`): the
            kind's own.
        reason: Reason in a `StreamFailure` trailer: a key of `REASONS`.
        name: Field name of the trailer.
        announced: Whether a `Trailer` header announces the trailer.
        status: HTTP status of an error response. Default: the spelling's, or 500.
        code: Error code of an error response in OCI's format.
        message: Message of an error response or of an error event.
        retry_after: Value of the `Retry-After` header of an error response: seconds or an HTTP date, as text.
        seconds: Length of a pause in seconds.
        until: Event that ends a pause when it is set; `seconds` is ignored then.
        size: Bytes: of a huge line, or of each chunk where the body is split.
        data: Bytes to write, for the kinds that write given bytes.
        path: File to send, for `transcript`.

    A pause (`hold`, `slow_head`) also ends when the client disconnects.

    Raises:
        ValueError: The kind or the spelling does not exist.
    """

    kind: str
    spelling: str = ""
    after: int | None = None
    reason: str = "ModelResponseTimeExceeded"
    name: str = "StreamFailure"
    announced: bool = True
    status: int | None = None
    code: str = "InternalServerError"
    message: str = "the model server failed"
    retry_after: str | None = None
    seconds: float = 0.0
    until: threading.Event | None = None
    size: int = 0
    data: bytes = b""
    path: str | Path = ""

    # Kinds and their spellings, filled by the package, so that a misspelt one is reported where the fault is created.
    known: ClassVar[dict[str, Collection[str] | None]] = {}

    def __post_init__(self) -> None:
        if self.kind not in self.known:
            raise ValueError(f"unknown fault kind {self.kind!r} (hint: use one of {', '.join(self.known)})")
        spellings = self.known[self.kind]
        if self.spelling and spellings is not None and self.spelling not in spellings:
            raise ValueError(
                f"fault kind {self.kind!r} has no spelling {self.spelling!r} (hint: use one of {', '.join(spellings)})"
            )
