"""The format of a recording: JSON lines, a header and one line for each attempt.

    {"mdstream_recording": 1, "created": "2026-01-31T12:00:00Z", "text": "replaced", "versions": {"mdstream": …}}
    {"call": 1, "attempt": 1, "platform": …, "dialect": …, "stream": true, "request": {…}, "response": {…},
     "body": [[0.21, "data: …"], …], "trailers": [], "end": "complete", "error": null}

A piece of a body is text if it is UTF-8, else `{"base64": "…"}`. docs/record-and-replay.md describes each field.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdstream_core import _json
from mdstream_core.wire.websocket_messages import CONTENT_TYPE

#: Version of the format. A reader accepts its own version only.
FORMAT_VERSION = 1

#: Maximum size of a recording in bytes; a security limit.
MAX_RECORDING = 64 * 1024 * 1024

#: How a body can end: the values of `Exchange.end`.
ENDS = frozenset({"complete", "closed", "reset", "timeout", "undecodable", "client_closed", "truncated"})

Fields = tuple[tuple[str, str], ...]


class RecordingError(ValueError):
    """A recording cannot be written or read: it is too large, damaged, or of another version."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt of a call: a request, and what was received."""

    method: str
    """HTTP method of the request."""
    url: str
    """URL of the request without credentials and query."""
    request_headers: Fields = field(default=(), repr=False)
    """Header fields of the request; values that may be credentials are replaced."""
    request_body: bytes = field(default=b"", repr=False)
    """Body of the request."""
    call: int = 1
    """Number of the call in the recording, from 1."""
    attempt: int = 1
    """Number of the attempt in its call, from 1."""
    platform: str = ""
    """Name of the platform, such as `sagemaker`."""
    dialect: str = ""
    """Name of the dialect, such as `openai-chat`."""
    stream: bool = True
    """Whether a stream was requested."""
    status: int | None = None
    """HTTP status; `None` if no response started."""
    headers: Fields = field(default=(), repr=False)
    """Header fields of the response in their order, without `content-encoding` if the body was decompressed."""
    seconds_to_head: float | None = None
    """Seconds from the request to the head of the response."""
    body: tuple[tuple[float, bytes], ...] = field(default=(), repr=False)
    """The reads of the decompressed body: seconds since the request, and the bytes."""
    trailers: Fields = field(default=(), repr=False)
    """Trailer fields."""
    end: str = "complete"
    """How the response ended: `complete`, `closed` (without its end), `reset`, `timeout`, `undecodable`,
    `client_closed` or `truncated` (the recording reached its limit)."""
    error: Mapping[str, Any] | None = None
    """Class, code and status of the error that the caller got; `None` if there was none."""

    @property
    def path(self) -> str:
        """The path of the URL."""
        return re.sub(r"^\w+://[^/?#]*", "", self.url).partition("?")[0] or "/"

    @property
    def is_websocket(self) -> bool:
        """Whether the request was sent over a WebSocket."""
        return self.url.startswith(("ws://", "wss://"))

    @property
    def has_messages(self) -> bool:
        """Whether the body is a sequence of WebSocket frames."""
        return ("content-type", CONTENT_TYPE) in self.headers

    def to_line(self) -> bytes:
        """Encode as one line."""
        response = None
        if self.status is not None:
            response = {"status": self.status, "headers": self.headers, "seconds": self.seconds_to_head}
        document = {
            "call": self.call,
            "attempt": self.attempt,
            "platform": self.platform,
            "dialect": self.dialect,
            "stream": self.stream,
            "request": {
                "method": self.method,
                "url": self.url,
                "headers": self.request_headers,
                "body": _encode_bytes(self.request_body),
            },
            "response": response,
            "body": [[seconds, _encode_bytes(data)] for seconds, data in self.body],
            "trailers": self.trailers,
            "end": self.end,
            "error": self.error,
        }
        return _json.dumps(document) + b"\n"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Exchange":
        """Decode the document of one line. Raises `KeyError`, `TypeError` or `ValueError` if it is none."""
        request, response = document["request"], document["response"] or {}
        status = response.get("status")
        if document["end"] not in ENDS:
            raise ValueError(f"end={document['end']!r} is unknown")
        return cls(
            method=str(request["method"]),
            url=str(request["url"]),
            request_headers=_fields(request["headers"]),
            request_body=_decode_bytes(request["body"]),
            call=int(document["call"]),
            attempt=int(document["attempt"]),
            platform=str(document["platform"]),
            dialect=str(document["dialect"]),
            stream=bool(document["stream"]),
            status=None if status is None else int(status),
            headers=_fields(response.get("headers", ())),
            seconds_to_head=response.get("seconds"),
            body=tuple((float(seconds), _decode_bytes(data)) for seconds, data in document["body"]),
            trailers=_fields(document["trailers"]),
            end=document["end"],
            error=document["error"],
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read from a file."""

    header: Mapping[str, Any]
    """The first line: format version, time, versions, and whether texts were replaced."""
    exchanges: tuple[Exchange, ...] = ()
    """The attempts, in the order in which they ended."""


def read_recording(path: str | Path) -> Recording:
    """Read a recording from a file.

    Args:
        path: The file.

    Raises:
        RecordingError: The file is no recording, damaged, too large, or of another version of the format.
        OSError: The file cannot be read.

    Example:
        >>> read_recording("failure.jsonl").exchanges[0].end  # doctest: +SKIP
        'closed'
    """
    path = Path(path)
    with path.open("rb") as file:
        data = file.read(MAX_RECORDING + 1)
    if len(data) > MAX_RECORDING:
        raise RecordingError(f"{path.name} is larger than {MAX_RECORDING} bytes (hint: record fewer calls)")
    documents = [_parse_line(path, number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    header = documents[0] if documents else {}
    if (version := header.get("mdstream_recording")) != FORMAT_VERSION:
        found = "is no recording" if version is None else f"has version {version!r} of the format"
        raise RecordingError(f"{path.name} {found} (hint: this mdstream reads version {FORMAT_VERSION})")
    exchanges = []
    for number, document in enumerate(documents[1:], 2):
        try:
            exchanges.append(Exchange.from_document(document))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _line_error(path, number, error) from None
    return Recording(header, tuple(exchanges))


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        document = _json.loads(line)
    except ValueError as error:
        raise _line_error(path, number, error) from None
    if not isinstance(document, dict):
        raise _line_error(path, number, "it is no JSON object")
    return document


def _line_error(path: Path, number: int, reason: object) -> RecordingError:
    return RecordingError(f"line {number} of {path.name} is no exchange: {reason!s:.200} (hint: record it again)")


def _fields(pairs: Any) -> Fields:
    return tuple((str(name), str(value)) for name, value in pairs)


def _encode_bytes(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _decode_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(value["base64"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"the base64 is invalid: {error}") from None
