"""Replace the texts of a recorded body, whatever its framing, without changing where its reads begin and end."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple
from zlib import crc32

from mdstream_core.recording._texts import SSE_FIELD, hide_texts, hide_words
from mdstream_core.wire.websocket import CLOSE

_PRELUDE = 12  # bytes: total length, headers' length, checksum
_CRC = 4
_ERROR_MESSAGE = b"\x0e:error-message\x07"  # the start of a header: the length of its name, its name, its type


def hide_pieces(pieces: Sequence[bytes], *, is_websocket: bool) -> list[bytes]:
    """Replace the texts of a body that was received in pieces; each piece keeps its length."""
    body = b"".join(pieces)
    if is_websocket:
        hidden = _hide_websocket(body)
    elif _is_event_stream(body):
        hidden = _hide_event_stream(body)
    else:
        hidden = hide_texts(body)
    return _split(hidden, map(len, pieces))


def _split(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *accumulate(sizes)])]


def _is_event_stream(body: bytes) -> bool:
    return len(body) >= _PRELUDE and crc32(body[:8]) == int.from_bytes(body[8:12], "big")


class _Frame(NamedTuple):
    """A frame with its text: the bytes before it, the text, and the bytes after it."""

    start: bytes
    text: bytes
    end: bytes
    is_control: bool = False


# AWS event stream


def _hide_event_stream(body: bytes) -> bytes:
    """Replace the payloads of messages. Those of one body are parts of one text; those of exceptions are not."""
    frames = [*_read_messages(body)]
    parts = [frame.text for frame in frames if not frame.is_control]
    hidden = iter(_split(hide_texts(b"".join(parts)), map(len, parts)))
    return b"".join(_seal(frame, hide_texts(frame.text) if frame.is_control else next(hidden)) for frame in frames)


def _read_messages(body: bytes) -> Iterator[_Frame]:
    at = 0
    while at < len(body):
        prelude = body[at : at + _PRELUDE]
        if not _is_event_stream(prelude):  # nothing is known about the length of a message with a damaged prelude
            yield _Frame(prelude, body[at + _PRELUDE :], b"", is_control=True)
            return
        total, size = int.from_bytes(prelude[:4], "big"), int.from_bytes(prelude[4:8], "big")
        payload, end = _PRELUDE + size, total - _CRC
        message, at = body[at : at + total], at + max(total, _PRELUDE + _CRC)
        headers = message[_PRELUDE:payload]
        yield _Frame(message[:payload], message[payload:end], message[end:], is_control=b"PayloadPart" not in headers)


def _seal(frame: _Frame, text: bytes) -> bytes:
    """Join a message with its hidden payload. Its checksum stays right, or wrong."""
    message = _hide_error_message(frame.start) + text
    if len(frame.end) != _CRC:
        return message + frame.end
    checksum = crc32(message)
    if crc32(frame.start + frame.text) != int.from_bytes(frame.end, "big"):
        checksum ^= 0xFFFFFFFF
    return message + checksum.to_bytes(_CRC, "big")


def _hide_error_message(start: bytes) -> bytes:
    """Replace the value of the header `:error-message`."""
    at = start.find(_ERROR_MESSAGE)
    if at < 0:
        return start
    value = at + len(_ERROR_MESSAGE) + 2
    end = value + int.from_bytes(start[value - 2 : value], "big")
    return start[:value] + _hide_bytes(start[value:end]) + start[end:]


# WebSocket

#: The beginning of a message that is JSON or an event of its own, and not the continuation of the one before.
_MESSAGE_START = re.compile(rb"\s*(?:[{\[]|%b)" % SSE_FIELD.encode())


def _hide_websocket(body: bytes) -> bytes:
    frames = [*_read_frames(body)]
    hidden: list[bytes] = []
    group: list[bytes] = []
    for frame in frames:
        if not frame.is_control and _MESSAGE_START.match(frame.text):
            hidden += _hide_group(group)
            group = []
        if not frame.is_control:
            group.append(frame.text)
    texts = iter([*hidden, *_hide_group(group)])
    return b"".join(frame.start + (_hide_close(frame.text) if frame.is_control else next(texts)) for frame in frames)


def _hide_group(group: list[bytes]) -> list[bytes]:
    return _split(hide_texts(b"".join(group)), map(len, group))


def _hide_close(payload: bytes) -> bytes:
    return payload[:2] + _hide_bytes(payload[2:])


def _read_frames(body: bytes) -> Iterator[_Frame]:
    """Read unmasked frames (RFC 6455 §5.2); the last may be incomplete."""
    at = 0
    while at < len(body):
        size = body[at + 1] & 0x7F if at + 1 < len(body) else 0
        head = 2 + {126: 2, 127: 8}.get(size, 0)
        if head > 2:
            size = int.from_bytes(body[at + 2 : at + head], "big")
        end = min(at + head + size, len(body))
        yield _Frame(body[at : at + head], body[at + head : end], b"", is_control=body[at] & 0x0F == CLOSE)
        at = max(end, at + head)


def _hide_bytes(data: bytes) -> bytes:
    return hide_words(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
