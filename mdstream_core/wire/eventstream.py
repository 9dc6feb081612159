"""AWS event stream (`application/vnd.amazon.eventstream`): decode and encode binary messages with checksums.

    message = prelude (total length u32, headers' length u32, CRC-32 of these eight bytes)
              headers (name length u8, name, type u8, value) · payload · CRC-32 of everything before it

All numbers are big-endian. The format has no last message: a stream ends with the body, at the end of a message.
Sources: Smithy's specification of `vnd.amazon.eventstream`, and `botocore/eventstream.py` for the limits.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from mdstream_core.errors import MalformedStream, StreamInterrupted

#: Maximum size of a message's headers and of its payload in bytes; security limits, the same as botocore's.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024

Value = bool | int | bytes | str | UUID

_PRELUDE = Struct("!III")
_CRC = Struct("!I")
_PRELUDE_SIZE, _CRC_SIZE = _PRELUDE.size, _CRC.size
_OVERHEAD = _PRELUDE_SIZE + _CRC_SIZE
_checksum = _CRC.unpack_from  # bound once, for the hot path

#: Bounds of the caches: blocks of headers, heads, and bytes of one of them. A stream repeats most of them.
_MAX_CACHED_HEADERS, _MAX_CACHED_HEADS, _MAX_CACHED_SIZE = 16, 256, 1024

#: What is known of a message from its prelude and headers: its length, the headers, and the CRC-32 so far.
_Head = tuple[int, Mapping[str, Value], int]


class Message(NamedTuple):
    """One message."""

    headers: Mapping[str, Value]
    """Header values by name. Messages with equal headers share this mapping: do not change it."""
    payload: bytes = b""
    """The payload."""


class EventStreamDecoder:
    r"""Decoder of messages from bytes that may be split anywhere.

    >>> EventStreamDecoder().feed(encode({":message-type": "event"}, b"Hi"))
    [Message(headers={':message-type': 'event'}, payload=b'Hi')]

    Args:
        max_headers: Maximum size of the headers of one message, in bytes.
        max_payload: Maximum size of the payload of one message, in bytes.
    """

    def __init__(self, max_headers: int = MAX_HEADERS, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_headers = max_headers
        self._max_payload = max_payload
        self._buffered = bytearray()  # an incomplete message
        self._need = 0  # how many bytes must be buffered before the next attempt to decode
        self._known_headers: dict[bytes, Mapping[str, Value]] = {}
        self._heads: dict[bytes, _Head] = {}
        self._head_size = _PRELUDE_SIZE  # of the previous message
        #: An error after complete messages: `feed` returns these first, and nothing is decoded after it.
        self.error: MalformedStream | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Decode further bytes, and return the messages that they complete. Raises `MalformedStream`."""
        return [Message(headers, payload) for headers, payloads in self.feed_runs(data) for payload in payloads]

    def feed_runs(self, data: bytes) -> list[tuple[Mapping[str, Value], list[bytes]]]:
        """Decode as `feed` does; of messages in sequence with equal headers return these once, and all payloads."""
        if self.error:
            raise self.error
        if self._buffered:
            self._buffered += data
            if len(self._buffered) < self._need:
                return []
            data = bytes(self._buffered)
            self._buffered.clear()
        runs: list[tuple[Mapping[str, Value], list[bytes]]] = []
        try:
            self._read(data, runs)
        except MalformedStream as error:
            self.error = error
            if not runs:
                raise
        return runs

    @property
    def buffered_size(self) -> int:
        """Number of buffered bytes of an incomplete message."""
        return len(self._buffered)

    def finish(self) -> None:
        """Check that the last message is complete. Raises `StreamInterrupted` if it is not."""
        if self.error:
            raise self.error
        if size := len(self._buffered):
            has_prelude = size >= _PRELUDE_SIZE
            raise StreamInterrupted(
                f"the event stream ended in the middle of a message: received {size} bytes"
                + (f" of {self._need}" if has_prelude else ", less than a prelude"),
                code="PartialMessage",
            )

    def _read(self, data: bytes, runs: list[tuple[Mapping[str, Value], list[bytes]]]) -> None:
        at, size = 0, len(data)
        known_heads, head_size = self._heads.get, self._head_size
        run: Mapping[str, Value] | None = None
        while size - at >= _PRELUDE_SIZE:
            start = at + head_size
            head = known_heads(data[at:start])  # usually as long as that of the previous message
            if head is None:
                head = self._read_head(data, at)
                if head is None:
                    return
                head_size = self._head_size
                start = at + head_size
            total, headers, crc = head
            end = at + total
            if end > size:
                self._buffer(data, at, total)
                return
            payload = data[start : end - _CRC_SIZE]
            (expected,) = _checksum(data, end - _CRC_SIZE)
            if (crc := crc32(payload, crc)) != expected:
                raise _checksum_error("a message", expected, crc)
            if headers is not run:  # equal headers are the same object
                run, payloads = headers, list[bytes]()
                runs.append((headers, payloads))
                add = payloads.append
            add(payload)
            at = end
        if at < size:
            self._buffer(data, at, _PRELUDE_SIZE)

    def _read_head(self, data: bytes, at: int) -> _Head | None:
        """Return the head of the message at an offset, which is checked whole; buffer it if it is not complete."""
        prelude = data[at : at + _PRELUDE_SIZE]
        total, headers_size = self._check_prelude(prelude)
        end = at + total - _CRC_SIZE
        if end + _CRC_SIZE > len(data):
            self._buffer(data, at, total)
            return None
        crc = crc32(data[at:end])
        (expected,) = _checksum(data, end)
        if crc != expected:
            raise _checksum_error("a message", expected, crc)
        self._head_size = _PRELUDE_SIZE + headers_size
        block = data[at : at + self._head_size]
        headers = block[_PRELUDE_SIZE:]
        head = total, self._known_headers.get(headers) or self._headers(headers), crc32(block)
        if len(self._heads) < _MAX_CACHED_HEADS and len(block) <= _MAX_CACHED_SIZE:
            self._heads[block] = head
        return head

    def _check_prelude(self, prelude: bytes) -> tuple[int, int]:
        """Return the length of a message and that of its headers. Raises `MalformedStream`."""
        total, headers, expected = _PRELUDE.unpack(prelude)
        crc = crc32(prelude[:8])
        if crc != expected:
            raise _checksum_error("a prelude", expected, crc)
        payload = total - headers - _OVERHEAD
        if headers > self._max_headers or not 0 <= payload <= self._max_payload:
            raise self._size_error(headers, payload)
        return total, headers

    def _buffer(self, data: bytes, at: int, need: int) -> None:
        self._buffered += data[at:]
        self._need = need

    def _headers(self, block: bytes) -> Mapping[str, Value]:
        headers = read_headers(block)
        if len(self._known_headers) < _MAX_CACHED_HEADERS and len(block) <= _MAX_CACHED_SIZE:
            self._known_headers[block] = headers
        return headers

    def _size_error(self, headers: int, payload: int) -> MalformedStream:
        if payload < 0:
            return MalformedStream(
                f"a message has {headers} bytes of headers, which exceed its own length", code="InvalidLength"
            )
        if headers > self._max_headers:
            return MalformedStream(
                f"a message has {headers} bytes of headers (limit: {self._max_headers})", code="InvalidHeadersLength"
            )
        return MalformedStream(
            f"a message has a payload of {payload} bytes (limit: {self._max_payload})", code="InvalidPayloadLength"
        )


def _checksum_error(part: str, expected: int, actual: int) -> MalformedStream:
    return MalformedStream(
        f"the checksum of {part} is 0x{actual:08x}, expected 0x{expected:08x}: bytes were changed or lost",
        code="ChecksumMismatch",
    )


def read_headers(block: bytes) -> dict[str, Value]:
    """Decode a block of headers. Raises `MalformedStream`."""
    headers: dict[str, Value] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        name = _text(block[at + 1 : name_end])
        if name_end >= len(block):
            raise _truncated_header(name)
        value, at = _value(block, name_end, name)
        if name in headers:
            raise MalformedStream(f"a message has the header {name!r} twice", code="DuplicateHeader")
        headers[name] = value
    return headers


def _value(block: bytes, at: int, name: str) -> tuple[Value, int]:
    """Decode the header value whose type is at `at`, and return it with the offset of the next header."""
    kind = block[at]
    if kind >= len(_TYPES):
        raise MalformedStream(f"the header {name!r} has the unknown type {kind}", code="InvalidHeaderType")
    size, read = _TYPES[kind]
    start = at + 1
    if size is None:  # prefixed by its length
        start += 2
        size = int.from_bytes(block[at + 1 : start], "big")
    end = start + size
    if end > len(block):
        raise _truncated_header(name)
    return read(block[start:end]), end


def _truncated_header(name: str) -> MalformedStream:
    return MalformedStream(f"the header {name!r} extends beyond the end of the headers", code="InvalidHeaderValue")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedStream(f"a header is not UTF-8: {data!r:.100}", code="InvalidHeaderValue") from None


def _read_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


#: Size in bytes (`None`: prefixed by its length) and decoder of a header value, by type.
_TYPES: tuple[tuple[int | None, Callable[[bytes], Value]], ...] = (
    (0, lambda data: True),
    (0, lambda data: False),
    (1, _read_int),
    (2, _read_int),
    (4, _read_int),
    (8, _read_int),
    (None, lambda data: data),
    (None, _text),
    (8, _read_int),  # a timestamp in milliseconds since 1970
    (16, lambda data: UUID(bytes=data)),
)


def encode(headers: Mapping[str, Value], payload: bytes = b"") -> bytes:
    r"""Encode one message. Integers have 64 bits.

    >>> encode({}, b"").hex()
    '000000100000000005c248eb7d98c8ff'
    """
    block = b"".join(_header(name, value) for name, value in headers.items())
    lengths = (len(block) + len(payload) + _OVERHEAD).to_bytes(4, "big") + len(block).to_bytes(4, "big")
    message = lengths + _CRC.pack(crc32(lengths)) + block + payload
    return message + _CRC.pack(crc32(message))


def _header(name: str, value: Value) -> bytes:
    raw = name.encode()
    return bytes([len(raw)]) + raw + _encode_value(value)


def _encode_value(value: Value) -> bytes:
    match value:
        case bool():
            return b"\0" if value else b"\1"
        case int():
            return b"\5" + value.to_bytes(8, "big", signed=True)
        case bytes():
            return b"\6" + len(value).to_bytes(2, "big") + value
        case str():
            return b"\7" + len(raw := value.encode()).to_bytes(2, "big") + raw
        case UUID():
            return b"\x09" + value.bytes
