"""Payloads of a hostile server: invalid compression, AWS event streams, WebSocket frames, text."""

import gzip
import struct
import zlib
from collections.abc import Callable
from itertools import repeat

import pytest
from _hostile import CHUNKED, DONE, FRAMES, HI, STOP, STREAM, Send, body_part, both, burst, chunk, event, send_parts
from _raw_server import Peer, RawServer
from test_transport_websocket import BYE, accept_handshake, frame, message
from test_transport_websocket import HI as CONTENT

from mdstream_core import Timeout
from mdstream_core.errors import (
    MalformedStream,
    MDStreamError,
    StreamError,
    StreamInterrupted,
    StreamStalled,
)

Hostile = Callable[..., RawServer]

# codings


def coded(name: bytes, data: bytes) -> bytes:
    return STREAM + b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (name, len(data), data)


GARBAGE: dict[str, bytes] = {
    "gzip that is none": coded(b"gzip", b"garbage" * 100),
    "gzip with a bad checksum": coded(b"gzip", gzip.compress(HI + STOP)[:-8] + b"\0" * 8),
    "deflate that is none": coded(b"deflate", b"\xff" * 100),
    "zlib that turns into garbage": coded(b"deflate", zlib.compress(HI * 1_000)[:40] + b"\xff" * 100),
    "gzip that is cut": coded(b"gzip", gzip.compress(HI * 1_000)[:30]),
}


@both
@pytest.mark.parametrize("wire", GARBAGE.values(), ids=GARBAGE)
def test_invalid_compressed_data_is_malformed(hostile: Hostile, send_request: Send, wire: bytes) -> None:
    """The error is mdstream's, not zlib's."""
    outcome = send_request(hostile(send_parts(wire)).url)

    assert isinstance(outcome.error, StreamError), outcome.error
    assert outcome.is_bounded()


# AWS event streams


def corrupt(at: int, data: bytes = body_part(HI)) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def framed(total: int, headers: int) -> bytes:
    prelude = struct.pack(">II", total, headers)
    return prelude + struct.pack(">I", zlib.crc32(prelude)) + b"x" * 100


AWS: dict[str, bytes] = {
    "a wrong checksum of a message": corrupt(-1 % len(body_part(HI))),
    "a wrong checksum of a prelude": corrupt(8),
    "a changed payload": corrupt(len(body_part(HI)) - 10),
    "a length of 4 GB": framed(0xFFFFFFFF, 0),
    "headers longer than the message": framed(64, 4_096),
    "headers of 4 GB": framed(64, 0xFFFFFFFF),
    "no length": framed(0, 0),
    "a length below a frame's least": framed(15, 0),
    "text": b"data: {}\n\n" * 20,
}


@both
@pytest.mark.parametrize("wire", AWS.values(), ids=AWS)
def test_an_invalid_frame_is_malformed(hostile: Hostile, send_request: Send, wire: bytes) -> None:
    """Checksums and length limits are checked, and the text before the frame is kept."""
    outcome = send_request(
        hostile(send_parts(FRAMES + chunk(body_part(HI)), chunk(wire), end="wait")).url, "sagemaker", memory=True
    )

    assert isinstance(outcome.error, MalformedStream), outcome.error
    assert "Hi" == outcome.text
    assert outcome.is_bounded()


@both
def test_frames_without_content_are_no_progress(hostile: Hostile, send_request: Send) -> None:
    """Endless empty payload parts end with the total timeout."""
    script = burst(FRAMES + chunk(body_part(HI)), chunk(body_part(b"")), 1 << 40)
    outcome = send_request(hostile(script).url, "sagemaker", timeout=Timeout(read=0.3, total=0.6))

    assert isinstance(outcome.error, StreamStalled), outcome.error
    assert "Hi" == outcome.text
    assert outcome.is_bounded()


# WebSocket


def send_messages(
    *parts: bytes, accept: Callable[[bytes], bytes] = accept_handshake
) -> Callable[[RawServer, Peer], None]:
    """Create a script: complete the handshake, read the request, send the parts, wait for the client to disconnect."""

    def script(server: RawServer, peer: Peer) -> None:
        head = peer.head()
        server.requests.append(head)
        peer.send(accept(head))
        message(peer)
        for part in parts:
            peer.sock.sendall(part)
        server.note(peer.sees_end(20))

    return script


#: name: (bytes sent after the first text, the error)
SOCKETS: dict[str, tuple[tuple[bytes, ...], type[MDStreamError]]] = {
    "a masked frame": ((b"\x81\x85\0\0\0\0hello",), MalformedStream),
    "a message of exabytes": ((b"\x81\x7f" + (2**62).to_bytes(8),), MalformedStream),
    "a length with its highest bit": ((b"\x81\x7f" + (2**63).to_bytes(8),), MalformedStream),
    "a message in fragments without end": ((b"\x01\x7e\xff\xff" + b"x" * 65_535, *repeat(b"\x00\x7e\xff\xff" + b"x" * 65_535, 2_000)), MalformedStream),
    "a continuation of nothing": ((b"\x80\x01x",), MalformedStream),
    "a message within a message": ((b"\x01\x01{", b"\x81\x01x"), MalformedStream),
    "a ping in fragments": ((b"\x09\x01x",), MalformedStream),
    "a ping that is too long": ((b"\x89\x7e\x00\x80" + b"x" * 128,), MalformedStream),
    "an unknown opcode": ((b"\x83\x01x",), MalformedStream),
    "a reserved bit": ((b"\xc1\x01x",), MalformedStream),
    "text that is no UTF-8": ((b"\x81\x02\xc3\x28",), MalformedStream),
    "half a surrogate": ((b"\x81\x03\xed\xa0\x80",), MalformedStream),
    "a close code of one byte": ((b"\x88\x01\x03",), MDStreamError),
    "a close code that must not be sent": ((b"\x88\x02\x03\xed",), MDStreamError),
    "a reason that is no UTF-8": ((b"\x88\x04\x03\xf3\xc3\x28",), MDStreamError),
    "closes without end": (tuple(repeat(b"\x88\x02\x03\xf3" * 1_000, 100)), MDStreamError),
    "a normal close": ((BYE,), StreamInterrupted),
}  # fmt: skip


@both
@pytest.mark.parametrize(("parts", "kind"), SOCKETS.values(), ids=SOCKETS)
def test_frames_that_violate_the_protocol(
    hostile: Hostile, send_request: Send, parts: tuple[bytes, ...], kind: type[MDStreamError]
) -> None:
    """Violations of RFC 6455 end the call, with the text so far."""
    limits = Timeout(read=5, total=8)
    outcome = send_request(hostile(send_messages(CONTENT, *parts)).url, "websocket", memory=True, timeout=limits)

    assert isinstance(outcome.error, kind), outcome.error
    assert "Hi" == outcome.text
    assert outcome.is_bounded()


@both
@pytest.mark.parametrize("part", [b"\x89\x00", b"\x8a\x00", b"\x89\x7d" + b"x" * 125, frame(b"{}"), frame(b"")], ids=["pings", "pongs", "long pings", "empty objects", "empty messages"])  # fmt: skip
def test_frames_without_content_are_bounded(hostile: Hostile, send_request: Send, part: bytes) -> None:
    """A burst of them neither extends the read timeout nor uses memory."""
    parts = repeat(part * (65_536 // len(part)), 5_000)
    outcome = send_request(
        hostile(send_messages(CONTENT, *parts)).url, "websocket", timeout=Timeout(read=0.4, total=0.8)
    )

    assert isinstance(outcome.error, StreamError), outcome.error
    assert "Hi" == outcome.text
    assert outcome.is_bounded()


HANDSHAKES: dict[str, Callable[[bytes], bytes]] = {
    "a wrong key": lambda head: accept_handshake(head, b"d3Jvbmc="),
    "no key": lambda head: b"\r\n".join(line for line in accept_handshake(head).split(b"\r\n") if b"Accept" not in line),
    "no upgrade": lambda head: accept_handshake(head).replace(b"Upgrade: websocket\r\n", b""),
    "another protocol": lambda head: accept_handshake(head).replace(b"websocket", b"h2c"),
    "an extension that was not requested": lambda head: accept_handshake(head).replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    "200": lambda head: CHUNKED,
}  # fmt: skip


@both
@pytest.mark.parametrize("accept", HANDSHAKES.values(), ids=HANDSHAKES)
def test_an_invalid_handshake(hostile: Hostile, send_request: Send, accept: Callable[[bytes], bytes]) -> None:
    """No response is read from it."""
    outcome = send_request(
        hostile(send_messages(CONTENT, accept=accept)).url, "websocket", timeout=Timeout(connect=2, read=1, total=3)
    )

    assert isinstance(outcome.error, MDStreamError), outcome.error
    assert "" == outcome.text
    assert outcome.is_bounded()


# text


TEXTS: dict[str, bytes] = {
    "bytes that are no UTF-8": event("x").replace(b"x", b"\xff\xfe"),
    "half a surrogate": event("x").replace(b"x", b"\\ud800"),
    "a NUL": event("x").replace(b"x", b"\\u0000"),
    "controls of a terminal": event("\x1b[2J\x1b]0;title\x07"),
    "bidirectional controls": event("\u202e\u2066x\u2069"),
    "a megabyte": event("x" * 1_000_000),
}


@both
@pytest.mark.parametrize("data", TEXTS.values(), ids=TEXTS)
def test_text_is_data(hostile: Hostile, send_request: Send, data: bytes) -> None:
    """All characters are passed on as text; invalid ones are replaced."""
    body = HI + data + STOP + DONE
    outcome = send_request(hostile(send_parts(CHUNKED + chunk(body) + b"0\r\n\r\n")).url)

    assert outcome.error is None
    assert outcome.text.startswith("Hi")
    outcome.text.encode()
