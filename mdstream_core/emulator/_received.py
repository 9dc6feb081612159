"""What came in: one record for each request, kept for whoever wants to look."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core import _json


@dataclass(frozen=True, slots=True)
class Received:
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
        closed: Set when the client went away before the answer was over.
        answered: Set when the answer was written to its end, faults included.
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
    closed: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    answered: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        """The body read as JSON; `ValueError` when it is none."""
        return _json.loads(self.body)
