"""AWS's binary event stream (`application/vnd.amazon.eventstream`): messages of headers and a payload, with checksums.

    message = prelude (total length u32, headers' length u32, CRC-32 of these eight bytes)
              headers (name length u8, name, type u8, value) · payload · CRC-32 of everything before it

All numbers are big-endian. There is no last message: the stream is over when the body is, on a message's border.
Sources: Smithy's specification of `vnd.amazon.eventstream`, and `botocore/eventstream.py` for the limits.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from mdstream_core.errors import MalformedStream, StreamInterrupted

#: The most bytes that a message's headers and its payload may have; security limits, as botocore has them.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024

Value = bool | int | bytes | str | UUID

_PRELUDE = Struct("!III")
_CRC = Struct("!I")
_OVERHEAD = _PRELUDE.size + _CRC.size
_checksum, _new = _CRC.unpack_from, tuple.__new__  # looked up once: this is the hot path

#: How many blocks of headers are remembered, how long these are, and how many preludes: a stream repeats itself.
_MAX_CACHED, _KNOWN_SIZE, _KNOWN_LENGTHS = 16, 1024, 256


class Message(NamedTuple):
    """One message. Messages with equal headers share the mapping: it is not to be changed."""

    headers: Mapping[str, Value]
    payload: bytes = b""


class EventStreamDecoder:
    r"""Reads messages out of bytes, cut anywhere.

    >>> EventStreamDecoder().feed(encode({":message-type": "event"}, b"Hi"))
    [Message(headers={':message-type': 'event'}, payload=b'Hi')]

    Args:
        max_headers: The most bytes that the headers of one message may have.
        max_payload: The most bytes that its payload may have.
    """

    def __init__(self, max_headers: int = MAX_HEADERS, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_headers = max_headers
        self._max_payload = max_payload
        self._buffered = bytearray()  # a message whose end has not come
        self._need = 0  # how many bytes must be held before it is worth looking
        self._known: dict[bytes, Mapping[str, Value]] = {}
        self._lengths: dict[bytes, tuple[int, int]] = {}
        #: What is wrong with bytes that had whole messages before it: these come first, and nothing is read any more.
        self.error: MalformedStream | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with these bytes. Raises `MalformedStream`."""
        if self.error:
            raise self.error
        if self._buffered:
            self._buffered += data
            if len(self._buffered) < self._need:
                return []
            data = bytes(self._buffered)
            self._buffered.clear()
        messages: list[Message] = []
        try:
            self._read(data, messages)
        except MalformedStream as error:
            self.error = error
            if not messages:
                raise
        return messages

    @property
    def buffered_size(self) -> int:
        """How many bytes wait for the end of their message."""
        return len(self._buffered)

    def finish(self) -> None:
        """There are no more bytes. Raises `StreamInterrupted` if a message is not complete."""
        if self.error:
            raise self.error
        if held := len(self._buffered):
            known = held >= _PRELUDE.size
            raise StreamInterrupted(
                f"the event stream stopped in the middle of a message: {held} bytes"
                + (f" of {self._need} have come" if known else ", less than a prelude"),
                code="PartialMessage",
            )

    def _read(self, data: bytes, messages: list[Message]) -> None:
        at, size = 0, len(data)
        lengths, add = self._lengths.get, messages.append
        last, headers = b"", None
        while size - at >= 12:
            prelude = data[at : at + 12]
            total, body = lengths(prelude) or self._check_prelude(prelude)
            end = at + total - 4
            if end + 4 > size:
                self._buffer(data, at, total)
                return
            crc = crc32(data[at:end])
            (promised,) = _checksum(data, end)
            if crc != promised:
                raise _checksum_error("a message", promised, crc)
            block = data[at + 12 : at + body]
            if headers is None or block != last:  # most often they are those of the message before
                last, headers = block, self._known.get(block) or self._headers(block)
            add(_new(Message, (headers, data[at + body : end])))
            at = end + 4
        if at < size:
            self._buffer(data, at, _PRELUDE.size)

    def _check_prelude(self, prelude: bytes) -> tuple[int, int]:
        """How long a message is, and where its payload begins. Raises `MalformedStream`."""
        total, headers, promised = _PRELUDE.unpack(prelude)
        crc = crc32(prelude[:8])
        if crc != promised:
            raise _checksum_error("a prelude", promised, crc)
        payload = total - headers - _OVERHEAD
        if headers > self._max_headers or not 0 <= payload <= self._max_payload:
            raise self._size_error(headers, payload)
        lengths = total, _PRELUDE.size + headers
        if len(self._lengths) < _KNOWN_LENGTHS:
            self._lengths[prelude] = lengths
        return lengths

    def _buffer(self, data: bytes, at: int, need: int) -> None:
        self._buffered += data[at:]
        self._need = need

    def _headers(self, block: bytes) -> Mapping[str, Value]:
        headers = read_headers(block)
        if len(self._known) < _MAX_CACHED and len(block) <= _KNOWN_SIZE:
            self._known[block] = headers
        return headers

    def _size_error(self, headers: int, payload: int) -> MalformedStream:
        if payload < 0:
            return MalformedStream(
                f"a message whose {headers} bytes of headers do not fit into its own length", code="InvalidLength"
            )
        if headers > self._max_headers:
            return MalformedStream(
                f"headers of {headers} bytes, where {self._max_headers} are the most", code="InvalidHeadersLength"
            )
        return MalformedStream(
            f"a payload of {payload} bytes, where {self._max_payload} are the most", code="InvalidPayloadLength"
        )


def _checksum_error(what: str, promised: int, found: int) -> MalformedStream:
    return MalformedStream(
        f"the checksum of {what} is 0x{found:08x} where 0x{promised:08x} was promised: bytes were changed or lost",
        code="ChecksumMismatch",
    )


def read_headers(block: bytes) -> dict[str, Value]:
    """The headers in a block of bytes. Raises `MalformedStream`."""
    headers: dict[str, Value] = {}
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        name = _text(block[at + 1 : name_end])
        if name_end >= len(block):
            raise _truncated_header(name)
        value, at = _value(block, name_end, name)
        if name in headers:
            raise MalformedStream(f"the header {name!r} came twice in one message", code="DuplicateHeader")
        headers[name] = value
    return headers


def _value(block: bytes, at: int, name: str) -> tuple[Value, int]:
    """A header's value, whose type stands at `at`, and where the next header begins."""
    kind = block[at]
    if kind >= len(_TYPES):
        raise MalformedStream(f"the header {name!r} has type {kind}, where 9 is the last", code="InvalidHeaderType")
    size, read = _TYPES[kind]
    start = at + 1
    if size is None:  # the length comes first
        start += 2
        size = int.from_bytes(block[at + 1 : start], "big")
    end = start + size
    if end > len(block):
        raise _truncated_header(name)
    return read(block[start:end]), end


def _truncated_header(name: str) -> MalformedStream:
    return MalformedStream(f"the header {name!r} goes beyond the end of the headers", code="InvalidHeaderValue")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedStream(f"a header that is not UTF-8: {data!r:.100}", code="InvalidHeaderValue") from None


def _read_int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


#: By type: how many bytes a value has (`None`: its length stands before it), and how they are read.
_TYPES: tuple[tuple[int | None, Callable[[bytes], Value]], ...] = (
    (0, lambda data: True),
    (0, lambda data: False),
    (1, _read_int),
    (2, _read_int),
    (4, _read_int),
    (8, _read_int),
    (None, lambda data: data),
    (None, _text),
    (8, _read_int),  # a time, in milliseconds since 1970
    (16, lambda data: UUID(bytes=data)),
)


def encode(headers: Mapping[str, Value], payload: bytes = b"") -> bytes:
    r"""Write one message. Whole numbers are written with 64 bits.

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
