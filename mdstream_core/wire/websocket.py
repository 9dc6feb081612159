"""WebSocket protocol (RFC 6455) without sockets: frames, messages, the closing handshake.

`WebSocketProtocol` is one endpoint of a connection after its opening handshake: it takes bytes, and returns messages
and the bytes to send (pongs, the close frame). Extensions are not supported.
"""

import base64
import hashlib
import secrets
import struct
from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import MAX_FRAME_BYTES

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

NORMAL, NO_CODE = 1000, 1005  # the second stands for a close frame without a code (§7.4.1)
_PROTOCOL, _ENCODING, _TOO_BIG = "1002", "1007", "1009"
_new = tuple.__new__  # faster than `Frame(…)`, for the hot path


class Message(NamedTuple):
    """A frame, or a message."""

    opcode: int
    """Opcode of the frame, or `TEXT` or `BINARY` for a message."""
    data: bytes
    """The unmasked payload."""
    is_whole: bool = True
    """Whether this is the last frame of its message (FIN)."""


def accept_key(key: str) -> str:
    """Compute `Sec-WebSocket-Accept` from `Sec-WebSocket-Key` (§4.2.2).

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()  # noqa: S324


def encode_frame(opcode: int, data: bytes, *, is_final: bool = True, mask: bytes = b"") -> bytes:
    r"""Encode one frame.

    >>> encode_frame(TEXT, b"Hello"), encode_frame(TEXT, b"Hello", mask=b"\x37\xfa\x21\x3d")
    (b'\x81\x05Hello', b'\x81\x857\xfa!=\x7f\x9fMQX')
    """
    size, masked = len(data), 0x80 if mask else 0
    first = opcode | (0x80 if is_final else 0)
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65_536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    return head + mask + _apply_mask(data, mask) if mask else head + data


def close_data(code: int, reason: str = "") -> bytes:
    """Encode the payload of a close frame. The reason is truncated: control frames have at most 125 bytes (§5.5)."""
    return struct.pack("!H", code) + reason.encode()[:123].decode("utf-8", "ignore").encode()


class WebSocketFrameDecoder:
    """Decoder of frames from bytes that may be split anywhere.

    Args:
        masked: Whether the frames must be masked: those of a client must, those of a server must not (§5.1).
        max_size: Maximum size of a frame's payload in bytes; a security limit.
    """

    def __init__(self, *, masked: bool, max_size: int = MAX_FRAME_BYTES) -> None:
        self._masked = masked
        self._max_size = max_size
        self._buffered = bytearray()
        self._need = 2

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the frames that these bytes complete. Raises `MalformedStream`, whose `code` is the close code."""
        if self._buffered:
            self._buffered += data
            if len(self._buffered) < self._need:
                return
            data = bytes(self._buffered)
            self._buffered.clear()
        at, size, masked = 0, len(data), self._masked
        start, end = self._span(data, at)
        while end <= size:
            first, payload = data[at], data[start:end]
            yield Message(
                first & 0x0F, _apply_mask(payload, data[start - 4 : start]) if masked else payload, first >= 0x80
            )
            at = end
            start, end = self._span(data, at)
        self._need = end - at
        self._buffered += data[at:]

    def decode_texts(self, data: bytes) -> tuple[list[bytes], bytes, bytes]:
        """Decode the unmasked text messages at the start of the data, which is the fast path for streams of a server.

        Returns:
            The texts, the bytes of their frames, and the remaining bytes, for `feed`.
        """
        if self._buffered:
            if len(self._buffered) + len(data) < self._need:
                return [], b"", data
            data = bytes(self._buffered) + data
            self._buffered.clear()
        texts: list[bytes] = []
        at, last, max_size = 0, len(data) - 4, self._max_size
        while at <= last:
            first, size, long_size = _read_head(data, at)
            if first != _WHOLE_TEXT or size > 126:
                break
            start = at + 2
            if size == 126:
                start, size = at + 4, long_size
            end = start + size
            if end > last + 4 or size > max_size:
                break
            texts.append(data[start:end])
            at = end
        return texts, data[:at], data[at:]

    @property
    def buffered_size(self) -> int:
        """Number of buffered bytes of an incomplete frame."""
        return len(self._buffered)

    def _span(self, data: bytes, at: int) -> tuple[int, int]:
        """Return start and end of the payload of the frame at `at`; an end that is not known yet exceeds the data."""
        if len(data) < at + 2:
            return at, at + 2
        first, second = data[at], data[at + 1]
        if first != _WHOLE_TEXT or second >= 0x80 or self._masked:
            self._check(first, second)
        size = second & 0x7F
        start = at + _HEAD.get(size, 2) + (4 if self._masked else 0)
        if size >= 126:
            if len(data) < start:
                return start, start
            size = int.from_bytes(data[at + 2 : at + _HEAD[size]])
            if size > self._max_size:
                raise MalformedStream(f"a message has more than {self._max_size} bytes", code=_TOO_BIG)
        return start, start + size

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise MalformedStream("a frame has reserved bits set, which belong to extensions", code=_PROTOCOL)
        if opcode not in _OPCODES:
            raise MalformedStream(f"a frame has the unknown opcode {opcode}", code=_PROTOCOL)
        if bool(second & 0x80) is not self._masked:
            raise MalformedStream(f"a frame is {'not ' if self._masked else ''}masked", code=_PROTOCOL)
        if opcode >= CLOSE and (second & 0x7F > 125 or not first & 0x80):
            raise MalformedStream("a control frame is too long or fragmented", code=_PROTOCOL)


_WHOLE_TEXT = 0x80 | TEXT  # first byte of an unfragmented text message without reserved bits: valid without checks
_read_head = struct.Struct("!BBH").unpack_from  # opcode, length field, and the longer length that may follow
_HEAD = {126: 4, 127: 10}  # bytes before mask and payload, by the length field of the second byte
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))


class WebSocketProtocol:
    """One endpoint of a connection.

    Args:
        client: Whether this is the client's side, which masks its frames.
        max_size: Maximum size of a message in bytes; a security limit.

    Attributes:
        is_closing: A close frame was sent; nothing more is sent.
        is_closed: The peer sent a close frame or violated the protocol; nothing more is read.
        error: The protocol violation; `feed` returned the messages before it.
        ready_texts: Frames of the first messages of the last `feed`, as received, and the number of these messages.
    """

    def __init__(self, *, client: bool, max_size: int = MAX_FRAME_BYTES) -> None:
        self._client = client
        self._max_size = max_size
        self._reader = WebSocketFrameDecoder(masked=not client, max_size=max_size)
        self._send_buffer = b""
        self._pong: bytes | None = None
        self.ready_texts = b"", 0
        self._opcode = 0
        self._parts = bytearray()
        self.is_closing = self.is_closed = False
        self.error: MalformedStream | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Decode further bytes, and return the messages that they complete; a close frame is the last."""
        messages: list[Message] = []
        self.ready_texts = b"", 0
        if self.is_closed:
            return messages
        if self._client and not self._opcode:
            data = self._texts(data, messages)
        try:
            for frame in self._reader.feed(data) if data else ():
                message = self._take(frame)
                if message is not None:
                    messages.append(message)
                if self.is_closed:
                    break
        except MalformedStream as error:
            self.error, self.is_closed = error, True
            self.close(int(error.code or _PROTOCOL))
        return messages

    def _texts(self, data: bytes, messages: list[Message]) -> bytes:
        """Decode the text messages at the start of the data, and return the remaining bytes."""
        texts, frames, rest = self._reader.decode_texts(data)
        try:
            if not b"".join(texts).isascii():
                for text in texts:
                    text.decode()
        except UnicodeDecodeError:
            return frames + rest  # decode them one by one
        messages += map(_new, repeat(Message), zip(repeat(TEXT), texts, repeat(True)))
        self.ready_texts = frames, len(texts)
        return rest

    def send(self, opcode: int, data: bytes) -> None:
        """Queue a frame; ignored after the close frame, which must be the last (§5.5.1)."""
        if not self.is_closing:
            self._queue_pong()
            self._send_buffer += self._encode_frame(opcode, data)

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Start or complete the closing handshake."""
        self._close(close_data(code, reason))

    def bytes_to_send(self) -> bytes:
        """Return and clear the bytes to send."""
        self._queue_pong()
        data, self._send_buffer = self._send_buffer, b""
        return data

    def _queue_pong(self) -> None:
        if self._pong is not None:
            self._send_buffer += self._encode_frame(PONG, self._pong)
            self._pong = None

    def _encode_frame(self, opcode: int, data: bytes) -> bytes:
        return encode_frame(opcode, data, mask=secrets.token_bytes(4) if self._client else b"")

    def _close(self, data: bytes) -> None:
        self.send(CLOSE, data)
        self.is_closing = True

    def _take(self, frame: Message) -> Message | None:
        if frame.opcode == TEXT and frame.is_whole and not self._opcode:
            _text(frame.data)
            return frame
        match frame.opcode:
            case 9:
                # §5.5.3: "the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame"
                self._pong = None if self.is_closing else frame.data
            case 8:
                code = close_code(frame.data)
                self.is_closed = True
                self._close(b"" if code == NO_CODE else frame.data[:2])
                return frame
            case 0 | 1 | 2:
                return self._join_message(frame)
        return None

    def _join_message(self, frame: Message) -> Message | None:
        opcode, data, whole = frame
        if (opcode == CONTINUATION) is not bool(self._opcode):
            raise MalformedStream("a message within a message, or a continuation without a start", code=_PROTOCOL)
        if not (whole and opcode):
            self._opcode = self._opcode or opcode
            self._parts += data
            if len(self._parts) > self._max_size:
                raise MalformedStream(f"a message has more than {self._max_size} bytes", code=_TOO_BIG)
            if not whole:
                return None
            opcode, data = self._opcode, bytes(self._parts)
            self._opcode = 0
            self._parts.clear()
        if opcode == TEXT:
            _text(data)
        return Message(opcode, data)


def close_code(data: bytes) -> int:
    """Return the code of a close frame. Raises `MalformedStream` for a code that must not be sent (§7.4)."""
    if not data:
        return NO_CODE
    code = int.from_bytes(data[:2])
    if len(data) == 1 or not (3000 <= code < 5000 or 1000 <= code < 1015) or code in {1004, 1005, 1006}:
        raise MalformedStream(f"a close frame has the code {code}, which must not be sent", code=_PROTOCOL)
    _text(data[2:])
    return code


def _text(data: bytes) -> None:
    """Check that a text message is UTF-8 (§8.1)."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise MalformedStream(f"a text message is not UTF-8: {error}", code=_ENCODING) from error


def _apply_mask(data: bytes, mask: bytes) -> bytes:
    """Mask or unmask data (§5.3) as one large integer, which is faster than byte by byte."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
