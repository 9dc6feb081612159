"""`RecordedRequest`: a record of each request that the emulator received."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator._bounds import read_json

_OVERHEAD = 2_048  # bytes of a record's Python objects, estimated


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        method: HTTP method, e.g. `POST`.
        target: Path and query exactly as they were sent.
        headers: Header fields by lower-case name; the values of repeated fields are joined by `, `.
        body: Body; empty if it was rejected for its size.
        length: Declared `content-length` in bytes; `None` without one.
        connection: Number of the TCP connection, from 1.
        scheme: `http` or `https`.
        http_version: `1.1` or `1.0`.
        header_fields: Header fields in the order and spelling of the request, repeated ones included.
        client_closed: Set when the client disconnected before the end of the response.
        response_sent: Set when the response was written to its end, faults included.
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
        """Memory that the record takes, in bytes, estimated."""
        fields = sum(len(name) + len(value) for name, value in self.header_fields)
        return len(self.body) + len(self.target) + 2 * fields + _OVERHEAD

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        """The body parsed as JSON; `ValueError` if it is not JSON."""
        return read_json(self.body)

    def count(self, name: str) -> int:
        """Count the header fields with this name (in lower case)."""
        return sum(field.lower() == name for field, _ in self.header_fields)

    def repeated(self, names: Iterable[str]) -> list[str]:
        """Return the names that do not occur exactly once: a signature must not cover them."""
        return [name for name in names if self.count(name) != 1]
