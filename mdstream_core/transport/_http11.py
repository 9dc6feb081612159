"""HTTP/1.1 without sockets: the bytes of a question, and the reading of its answer by llhttp."""

import re
from collections.abc import Iterable

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

READ_SIZE = 65_536
MAX_OVERHEAD = 65_536  # bytes of head, of trailer section, of framing between two pieces of body; a security limit

_TARGET = re.compile(rb"[^\x00-\x20\x7f]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")

Headers = list[tuple[bytes, bytes]]


class RequestWriter:
    """The bytes of one request: `head`, then each `body_chunk` of its body framed as the head promised, then `finish`.

    `error` is raised for what must not be sent (httpcore's `LocalProtocolError`).
    """

    def __init__(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]], *, error: type[Exception]
    ) -> None:
        self._error = error
        self._chunked = False
        self._remaining = 0
        lines = [b"%b %b HTTP/1.1\r\n" % (method, target)]
        if not (_NAME.fullmatch(method) and _TARGET.fullmatch(target)):
            raise error(f"illegal request line {lines[0]!r}")
        for name, value in headers:
            if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                raise error(f"illegal value of header {name!r}")  # it may be a credential: do not show it
            self._note_framing(name.lower(), value)
            lines.append(b"%b: %b\r\n" % (name, value))
        self.head = b"".join([*lines, b"\r\n"])

    def _note_framing(self, name: bytes, value: bytes) -> None:
        if name == b"transfer-encoding":
            self._chunked = True
        elif name == b"content-length":
            self._remaining = int(value)

    def body_chunk(self, data: bytes) -> bytes:
        """A piece of the body as it goes onto the wire."""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # an empty chunk would end the body
        self._remaining -= len(data)
        if self._remaining < 0:
            raise self._error("Too much data for declared Content-Length")
        return data

    def finish(self) -> bytes:
        """What closes the body."""
        if self._chunked:
            return b"0\r\n\r\n"
        if self._remaining:
            raise self._error("Too little data for declared Content-Length")
        return b""


class _EndOfResponse(Exception):
    """Stops llhttp at the first byte behind the answer."""


class ResponseParser:
    """Reads one answer: `feed` the bytes as they come, `b""` at their end, and `take_body` the body that they brought.

    Interim answers (1xx) are skipped, all but 101. `error` is raised when the bytes cannot be read or stopped too early
    (httpcore's `RemoteProtocolError`). Once the head is here it is kept: `raise_error` raises it behind what came
    before it.

    Attributes:
        has_head: The head is here: `status`, `reason`, `version`, `headers` can be read.
        is_complete: The last byte was seen, trailer section included.
        trailers: Field by field as they came; whole when `is_complete`.
        leading: Bytes of another protocol that followed a 101.
    """

    def __init__(self, method: bytes, *, error: type[Exception]) -> None:
        self.has_head = self.is_complete = False
        self.status = 0
        self.version = self.reason = self.leading = b""
        self.headers: Headers = []
        self.trailers: Headers = []
        self._has_no_body = method == b"HEAD"
        self._is_tunnel = method == b"CONNECT"
        self._keep_alive = self._until_eof = False
        self._reuse_prevented = False
        self._stored_error: Exception | None = None
        self._error = error
        self._allowance = MAX_OVERHEAD
        self._silent = 0
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # llhttp hands the pieces over without a Python frame between
        self._parser = HttpResponseParser(self)
        # Both lengths given: chunked wins (RFC 9112 section 6.3). Spaces after a chunk size: old servers pad it.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_spaces_after_chunk_size=True)

    def feed(self, data: bytes) -> None:
        """Read on. `b""` says that the other side has closed."""
        self.raise_error()
        if not data:
            self._eof()
            return
        begun = self.has_head
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self.leading = data[upgrade.args[0] :]
        except HttpParserError as error:
            if not self.is_complete:
                self._fail(f"the answer is not HTTP/1.1: {error}", error)
                return
            self._reuse_prevented = True  # something stands behind the answer; the answer itself is whole
        if self.is_complete:
            del self._parser  # it knows us and we know it: do not leave that to the garbage collector
        self._limit_overhead(0 if self._pieces or begun is not self.has_head else len(data))

    def take_body(self) -> bytes:
        """The body that came since the last call, in one piece."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def raise_error(self) -> None:
        """Raise what was wrong behind the body that was taken."""
        if self._stored_error is not None:
            raise self._stored_error

    def prevent_reuse(self) -> None:
        """The connection must not serve another request after this answer."""
        self._reuse_prevented = True

    @property
    def is_reusable(self) -> bool:
        """The answer is complete and both sides may use the connection again."""
        return self.is_complete and self._keep_alive and not self._reuse_prevented

    def _limit_overhead(self, silent: int) -> None:
        self._silent = self._silent + silent if silent else 0
        if self._silent > MAX_OVERHEAD or self._allowance < 0:
            self._fail(f"more than {MAX_OVERHEAD} bytes of header, trailer or chunk-size lines")

    def _fail(self, sentence: str, cause: Exception | None = None) -> None:
        error = self._error(sentence)
        error.__cause__ = cause
        if not self.has_head:
            raise error
        self._stored_error = error
        self.is_complete = False

    def _eof(self) -> None:
        if not self.has_head:
            raise self._error("Server disconnected without sending a response.")
        if not (self.is_complete or self._until_eof):
            raise self._error("peer closed connection without sending complete message body or trailer section")
        self.is_complete = True
        self._keep_alive = False

    # What llhttp calls. Whatever is raised here stops it; so nothing is, except behind the end.

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
        if (100 <= status < 200 and status != 101) or self._allowance < 0:  # a head that is too large begins nothing
            return
        self.status = status
        self.version = b"HTTP/" + self._parser.get_http_version().encode()
        self.has_head = True
        self._allowance = MAX_OVERHEAD
        self._until_eof = _until_eof(self.headers)
        # Only here: once the message is complete llhttp has forgotten, and says no.
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
