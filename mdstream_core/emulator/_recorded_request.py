"""What came in: one record for each request, kept for whoever wants to look."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator._bounds import read_json

_OVERHEAD = 2_048  # bytes of the objects of a record


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: `POST` …
        target: Path and query exactly as they were sent.
        headers: Names in lower case; repeated fields joined by `, `.
        body: The body, empty when it was refused for its size.
        length: The declared `content-length`, `None` without one.
        connection: Which TCP connection it came on, from 1.
        scheme: `http` or `https`.
        http_version: `1.1` or `1.0`.
        header_fields: Names and values as they came, in order, names as they were spelled.
        client_closed: Set when the client went away before the answer was over.
        response_sent: Set when the answer was written to its end, faults included.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)  # credentials
    body: bytes = field(default=b"", repr=False)
    length: int | None = None
    connection: int = 0
    scheme: str = "http"
    http_version: str = "1.1"
    header_fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client_closed: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    response_sent: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def size(self) -> int:
        """About how many bytes the record takes."""
        fields = sum(len(name) + len(value) for name, value in self.header_fields)
        return len(self.body) + len(self.target) + 2 * fields + _OVERHEAD

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        """The body read as JSON; `ValueError` when it is none."""
        return read_json(self.body)

    def count(self, name: str) -> int:
        """How often a header field of this name (in lower case) came."""
        return sum(field.lower() == name for field, _ in self.header_fields)

    def repeated(self, names: Iterable[str]) -> list[str]:
        """Those of the named header fields that did not come exactly once: a signature must not cover them."""
        return [name for name in names if self.count(name) != 1]
