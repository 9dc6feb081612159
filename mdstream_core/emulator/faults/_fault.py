"""A fault: what goes wrong with one answer, as a value."""

import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one answer.

    Attributes:
        kind: What goes wrong: a key of `KINDS`.
        spelling: Which form it takes, where a kind has several.
        after: How many events are delivered before it strikes; `-1` is all but the last, `None` the kind's own default.
        reason: Of a trailer: a key of `REASONS`.
        name: The trailer's field name as it is written.
        announced: Whether a `Trailer` header promises it.
        status: Of a refusal.
        code: Of a refusal in OCI's envelope.
        message: Of a refusal or an error event.
        retry_after: The header of a refusal: seconds or a date.
        seconds: How long a pause lasts.
        until: Ends a pause when it is set (seconds do not count then).
        size: Bytes: of a huge line, or of one piece where the body is split.
        data: Bytes to write, where a kind writes given ones.
        path: A transcript.
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

    # Kinds and their spellings, entered by the package that knows them: a typing error shows where it is made.
    known: ClassVar[dict[str, Collection[str] | None]] = {}

    def __post_init__(self) -> None:
        if self.kind not in self.known:
            raise ValueError(f"there is no fault {self.kind!r}; the kinds are {', '.join(self.known)}")
        spellings = self.known[self.kind]
        if self.spelling and spellings is not None and self.spelling not in spellings:
            raise ValueError(f"{self.kind!r} has no spelling {self.spelling!r}; there are {', '.join(spellings)}")
