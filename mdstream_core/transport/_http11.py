"""HTTP/1.1 without sockets: serialize requests, and parse responses with llhttp."""

import re
from collections.abc import Sequence
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

READ_SIZE = 65_536
MAX_OVERHEAD = 65_536  # bytes of the head, the trailer section, or framing between pieces of body; a security limit

_TARGET = re.compile(rb"[^\x00-\x20\x7f]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")

Headers = list[tuple[bytes, bytes]]


#: Fields that say where the body ends.
FRAMING = frozenset({b"transfer-encoding", b"content-length"})


@lru_cache(maxsize=512)
def _lower_name(name: bytes) -> bytes | None:
    """Return the name of a field in lower case; `None` if it is invalid."""
    return name.lower() if _NAME.fullmatch(name) else None


def serialize_head(
    method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]], *, error: type[Exception]
) -> bytes:
    """Serialize the head of a request. Raises `error` if it is invalid."""
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    if not (_NAME.fullmatch(method) and _TARGET.fullmatch(target)):
        raise error(f"illegal request line {lines[0]!r}")
    for name, value in headers:
        if _lower_name(name) is None:
            raise error(f"illegal value of header {name!r}")  # the value may be a credential
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"\r\n")
    head = b"".join(lines)
    # The values are checked at once: each line has one line break.
    if not len(lines) == head.count(b"\n") == head.count(b"\r") or b"\0" in head:
        name = next(name for name, value in headers if not _VALUE.fullmatch(value))
        raise error(f"illegal value of header {name!r}")
    return head


class RequestWriter:
    """Serializer of one request: send `head`, the result of `body_chunk` for each piece of the body, then `finish()`.

    `error` is the exception class for invalid requests (httpcore's `LocalProtocolError`).
    """

    def __init__(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]], *, error: type[Exception]
    ) -> None:
        self._error = error
        self._chunked = False
        self._remaining = 0
        self.head = serialize_head(method, target, headers, error=error)
        for name, value in headers:
            if (lower := _lower_name(name)) in FRAMING:
                self._note_framing(lower, value)

    def _note_framing(self, name: bytes, value: bytes) -> None:
        if name == b"transfer-encoding":
            self._chunked = True
        elif name == b"content-length":
            self._remaining = int(value)

    def body_chunk(self, data: bytes) -> bytes:
        """Frame a piece of the body."""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # an empty chunk would end the body
        self._remaining -= len(data)
        if self._remaining < 0:
            raise self._error("Too much data for declared Content-Length")
        return data

    def finish(self) -> bytes:
        """Return the bytes that end the body."""
        if self._chunked:
            return b"0\r\n\r\n"
        if self._remaining:
            raise self._error("Too little data for declared Content-Length")
        return b""


class _EndOfResponse(Exception):
    """Stops llhttp at the first byte after the response."""


class ResponseParser:
    """Parser of one response: `feed` bytes as they arrive, `b""` at their end, and `take_body` for the decoded body.

    Interim responses (1xx) are skipped, except 101. `error` is the exception class for responses that are invalid or
    end too early (httpcore's `RemoteProtocolError`). After the head, an error is stored, and `raise_error` raises it
    once the body before it was taken.

    Attributes:
        has_head: The head is complete: `status`, `reason`, `version`, `headers` are set.
        is_complete: The last byte was parsed, trailer section included.
        trailers: Trailer fields as received; complete if `is_complete`.
        leading: Bytes after the head of a 101 response; they belong to the other protocol.
    """

    # The state at the start of each response.
    has_head = is_complete = False
    status = 0
    version = reason = leading = b""
    _keep_alive = _reuse_prevented = False
    _stored_error: Exception | None = None
    _allowance = MAX_OVERHEAD
    _framing_size = 0  # bytes since the last piece of body

    def __init__(self, method: bytes, *, error: type[Exception]) -> None:
        self.headers: Headers = []
        self.trailers: Headers = []
        self._has_no_body = method == b"HEAD"
        self._is_tunnel = method == b"CONNECT"
        self._error = error
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called by llhttp directly, without a Python frame in between
        self._parser = HttpResponseParser(self)
        # Transfer-Encoding overrides Content-Length (RFC 9112 section 6.3). Old servers pad chunk sizes with spaces.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_spaces_after_chunk_size=True)

    def feed(self, data: bytes) -> None:
        """Parse further bytes; `b""` means that the peer has closed the connection."""
        self.raise_error()
        if not data:
            self._eof()
            return
        had_head = self.has_head
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.leading = data[upgrade.args[0] :]
        except HttpParserError as error:
            if not self.is_complete:
                self._fail(f"the response is not valid HTTP/1.1: {error}", error)
                return
            self._reuse_prevented = True  # the response is complete, and there is data after it
        if self.is_complete:
            del self._parser  # break the reference cycle at once, without the garbage collector
        if not self._pieces or self._allowance < 0:
            self._limit_overhead(0 if had_head is not self.has_head else len(data))
        else:
            self._framing_size = 0

    def take_body(self) -> bytes:
        """Return the body received since the last call, in one piece."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def raise_error(self) -> None:
        """Raise the error that follows the body taken so far, if there is one."""
        if self._stored_error is not None:
            raise self._stored_error

    def prevent_reuse(self) -> None:
        """Mark the connection as not reusable after this response."""
        self._reuse_prevented = True

    @property
    def is_reusable(self) -> bool:
        """Whether the response is complete and the connection may be used for another request."""
        return self.is_complete and self._keep_alive and not self._reuse_prevented

    def _limit_overhead(self, size: int) -> None:
        self._framing_size = self._framing_size + size if size else 0
        if self._framing_size > MAX_OVERHEAD or self._allowance < 0:
            self._fail(f"the response has more than {MAX_OVERHEAD} bytes of header, trailer or chunk-size lines")

    def _fail(self, message: str, cause: Exception | None = None) -> None:
        error = self._error(message)
        error.__cause__ = cause
        if not self.has_head:
            raise error
        self._stored_error = error
        self.is_complete = False

    def _eof(self) -> None:
        if not self.has_head:
            raise self._error("Server disconnected without sending a response.")
        if not (self.is_complete or _until_eof(self.headers)):
            raise self._error("peer closed connection without sending complete message body or trailer section")
        self.is_complete = True
        self._keep_alive = False

    # Callbacks of llhttp. An exception would stop the parser, so they raise none before the end of the response.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _EndOfResponse
        self.headers.clear()
        self.reason = b""

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._allowance -= len(name) + len(value) + 4
        (self.trailers if self.has_head else self.headers).append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if (100 <= status < 200 and status != 101) or self._allowance < 0:  # a head that is too large is not accepted
            return
        self.status = status
        self.version = (
            b"HTTP/1.1" if (version := self._parser.get_http_version()) == "1.1" else f"HTTP/{version}".encode()
        )
        self.has_head = True
        self._allowance = MAX_OVERHEAD
        # Read now, because llhttp returns False once the message is complete.
        self._keep_alive = self._parser.should_keep_alive() and status != 101
        self.is_complete = self._has_no_body or status == 101 or (self._is_tunnel and 200 <= status < 300)

    def on_message_complete(self) -> None:
        self.is_complete = self.has_head


def _until_eof(headers: Headers) -> bool:
    """Whether only the end of the connection ends the body (RFC 9112 section 6.3)."""
    codings = b",".join(value for name, value in headers if name.lower() == b"transfer-encoding")
    if codings:
        return codings.rpartition(b",")[2].strip().lower() != b"chunked"
    return all(name.lower() != b"content-length" for name, _ in headers)
