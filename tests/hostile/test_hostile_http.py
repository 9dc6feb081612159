"""HTTP of a hostile server: too slow, too large, endless, or with wrong lengths."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from _hostile import (
    CHUNKED,
    DONE,
    END,
    HI,
    OK,
    PLATFORMS,
    STOP,
    STREAM,
    WHOLE,
    Send,
    both,
    burst,
    chunk,
    everywhere,
    send_parts,
    slow_stream,
)
from _raw_server import RawServer, Script

from mdstream_core import Timeout
from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    StreamInterrupted,
    StreamStalled,
)

Hostile = Callable[..., RawServer]
SHORT = Timeout(read=0.4, total=0.8)


def headers() -> Iterator[bytes]:
    return (b"x-%d: y\r\n" % number for number in count())


#: name: (script of the server, text of the partial response)
SLOW: dict[str, tuple[Script, str]] = {
    "nothing at all": (send_parts(end="wait"), ""),
    "a head, byte by byte": (slow_stream(OK + b"x: ", b"y"), ""),
    "a status line, byte by byte": (slow_stream(b"HTTP/1.1 200 ", b"O"), ""),
    "header fields without end": (slow_stream(OK, headers()), ""),
    "interim responses without end": (slow_stream(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), ""),
    "a chunk, byte by byte": (slow_stream(CHUNKED + chunk(HI) + b"ffff\r\n", b"x"), "Hi"),
    "a chunk size, byte by byte": (slow_stream(CHUNKED + chunk(HI), b"0"), "Hi"),
    "a chunk extension, byte by byte": (slow_stream(CHUNKED + chunk(HI) + b"5;", b"x"), "Hi"),
    "trailers, byte by byte": (slow_stream(CHUNKED + chunk(HI) + b"0\r\nx: ", b"y"), "Hi"),
    "trailers without end": (slow_stream(CHUNKED + chunk(HI) + b"0\r\n", headers()), "Hi"),
    "comments": (slow_stream(CHUNKED + chunk(HI), chunk(b": ping\n\n")), "Hi"),
    "empty lines": (slow_stream(CHUNKED + chunk(HI), chunk(b"\n")), "Hi"),
    "events without data": (slow_stream(CHUNKED + chunk(HI), chunk(b"event: ping\nid: 1\n\n")), "Hi"),
    "a body without length, byte by byte": (slow_stream(STREAM + b"\r\n" + HI, b":"), "Hi"),
    "100 GB of which a byte comes now and then": (slow_stream(STREAM + b"content-length: 100000000000\r\n\r\n" + HI, b":"), "Hi"),
}  # fmt: skip


@both
@pytest.mark.parametrize(("script", "text"), SLOW.values(), ids=SLOW)
def test_a_slow_server_times_out(hostile: Hostile, send_request: Send, script: Script, text: str) -> None:
    """Bytes without events do not count as progress, and the text received before is kept."""
    outcome = send_request(hostile(script).url, timeout=SHORT)

    assert isinstance(outcome.error, StreamStalled), outcome.error
    assert text == outcome.text
    assert outcome.is_bounded()


@both
@everywhere
@pytest.mark.parametrize("pause", [0.002, 0.1])
def test_an_endless_response_ends_with_the_total_timeout(
    hostile: Hostile, send_request: Send, platform: str, pause: float
) -> None:
    """Valid tokens without end: all tokens received are kept, on every platform."""
    _, head, frame = PLATFORMS[platform]
    outcome = send_request(
        hostile(slow_stream(head, chunk(frame(HI)), pause)).url, platform, timeout=Timeout(read=5, total=0.6)
    )

    assert isinstance(outcome.error, StreamStalled), outcome.error
    assert outcome.text.startswith("HiHi")
    assert outcome.is_bounded()


ENDLESS: dict[str, bytes] = {
    "tokens": chunk(HI),
    "chunks of 900 tokens": chunk(HI * 900),
    "chunks of 5,000 events without content": chunk(b"data: {}\n\n" * 5_000),
    "chunks of 10,000 empty events": chunk(b"data\n\n" * 10_000),
}


@both
@pytest.mark.parametrize("piece", ENDLESS.values(), ids=ENDLESS)
def test_the_total_timeout_is_checked_within_a_burst(hostile: Hostile, send_request: Send, piece: bytes) -> None:
    """Also between the events of one read."""
    outcome = send_request(hostile(burst(CHUNKED + chunk(HI), piece, 1 << 40)).url, timeout=Timeout(read=5, total=1))

    assert isinstance(outcome.error, StreamStalled), outcome.error
    assert outcome.is_bounded()


#: name: (script of the server, the error)
BURSTS: dict[str, tuple[Script, type[MDStreamError]]] = {
    "one header": (burst(OK + b"x: ", b"y"), ConnectionFailed),
    "header fields": (burst(OK, b"x: y\r\n"), ConnectionFailed),
    "a status line": (burst(b"HTTP/1.1 200 ", b"O"), ConnectionFailed),
    "interim responses": (burst(b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"), ConnectionFailed),
    "a chunk extension": (burst(CHUNKED + chunk(HI) + b"5;", b"x"), StreamInterrupted),
    "a chunk size": (burst(CHUNKED + chunk(HI), b"0"), StreamInterrupted),
    "a trailer": (burst(CHUNKED + chunk(HI) + b"0\r\nx: ", b"y"), StreamInterrupted),
    "trailers": (burst(CHUNKED + chunk(HI) + b"0\r\n", b"x: y\r\n"), StreamInterrupted),
    "one line": (burst(CHUNKED + chunk(HI), chunk(b"data: " + b"x" * 65_536)), MalformedStream),
    "one event": (burst(CHUNKED + chunk(HI), chunk((b"data: " + b"x" * 1_000 + b"\n") * 65)), MalformedStream),
    "a line of a body without length": (burst(STREAM + b"\r\n" + HI, b"x" * 65_536), MalformedStream),
}  # fmt: skip


@both
@pytest.mark.parametrize(("script", "kind"), BURSTS.values(), ids=BURSTS)
def test_a_burst_is_stopped(hostile: Hostile, send_request: Send, script: Script, kind: type[MDStreamError]) -> None:
    """The server offers a quarter of a gigabyte; the client stops at its limit and reports the problem."""
    outcome = send_request(hostile(script).url, memory=True, timeout=Timeout(read=10, total=15))

    assert isinstance(outcome.error, kind), outcome.error
    assert outcome.text in {"", "Hi"}
    assert outcome.is_bounded()


#: name: (the bytes of the response, the error, text of the partial response)
INVALID: dict[str, tuple[bytes, type[MDStreamError], str]] = {
    "nothing": (b"", ConnectionFailed, ""),
    "half a head": (OK + b"content-ty", ConnectionFailed, ""),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", ConnectionFailed, ""),
    "a length that is too long": (STREAM + b"content-length: 9999\r\n\r\n" + HI, StreamInterrupted, "Hi"),
    "100 GB that end": (STREAM + b"content-length: 100000000000\r\n\r\n" + HI, StreamInterrupted, "Hi"),
    "a length that is too short": (STREAM + b"content-length: %d\r\n\r\n" % len(HI) + HI + STOP, StreamInterrupted, "Hi"),
    "a negative length": (STREAM + b"content-length: -5\r\n\r\n" + HI, ConnectionFailed, ""),
    "a length beyond 64 bits": (STREAM + b"content-length: 99999999999999999999999\r\n\r\n" + HI, ConnectionFailed, ""),
    "two lengths": (STREAM + b"content-length: 3\r\ncontent-length: 4\r\n\r\n" + HI, ConnectionFailed, ""),
    "a length that is a list": (STREAM + b"content-length: 3, 3\r\n\r\n" + HI, ConnectionFailed, ""),
    "a chunk size beyond 64 bits": (CHUNKED + chunk(HI) + b"fffffffffffffffffff\r\nx", StreamInterrupted, "Hi"),
    "a chunk of exabytes": (CHUNKED + chunk(HI) + b"7fffffffffffffff\r\nx", StreamInterrupted, "Hi"),
    "a negative chunk size": (CHUNKED + chunk(HI) + b"-5\r\nhello\r\n", StreamInterrupted, "Hi"),
    "a chunk size in another base": (CHUNKED + chunk(HI) + b"0x5\r\nhello\r\n", StreamInterrupted, "Hi"),
    "a chunk that is longer than it says": (CHUNKED + chunk(HI) + b"2\r\nhello\r\n", StreamInterrupted, "Hi"),
    "a NUL in a header": (OK + b"x: a\0b\r\n\r\n", ConnectionFailed, ""),
    "a space before the colon": (OK + b"x : y\r\n\r\n", ConnectionFailed, ""),
    "a field without a name": (OK + b": y\r\n\r\n", ConnectionFailed, ""),
    "a folded header": (OK + b"x: a\r\n b\r\n\r\n", ConnectionFailed, ""),
    "line ends without CR": (STREAM.replace(b"\r\n", b"\n") + b"content-length: %d\n\n" % len(HI) + HI, ConnectionFailed, ""),
    "a lone CR in a header": (OK + b"x: a\rset-cookie: b\r\n\r\n", ConnectionFailed, ""),
    "a cut within the trailers": (CHUNKED + chunk(HI) + chunk(STOP) + chunk(DONE) + b"0\r\nx: y\r\n", StreamInterrupted, "Hi"),
    "no last chunk": (CHUNKED + chunk(HI) + chunk(STOP) + chunk(DONE), StreamInterrupted, "Hi"),
}  # fmt: skip


@both
@pytest.mark.parametrize(("wire", "kind", "text"), INVALID.values(), ids=INVALID)
def test_an_invalid_response_is_an_error(
    hostile: Hostile, send_request: Send, wire: bytes, kind: type[MDStreamError], text: str
) -> None:
    """Text before the error is kept, and the response does not count as complete."""
    outcome = send_request(hostile(send_parts(wire)).url)

    assert isinstance(outcome.error, kind), outcome.error
    assert text == outcome.text
    assert outcome.is_bounded()


#: Unusual but valid responses, all with the same content.
ODD: dict[str, bytes] = {
    "both lengths": STREAM + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n" + WHOLE.partition(b"\r\n\r\n")[2],
    "interim responses": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 50 + WHOLE,
    "another response after it": WHOLE + WHOLE.replace(b"Hi", b"No"),
    "bytes after it": WHOLE + b"\0" * 1_000,
    "chunk extensions": CHUNKED + b"%x;a=b\r\n%b\r\n" % (len(HI), HI) + chunk(STOP) + chunk(DONE) + END,
    "one byte in each chunk": CHUNKED + b"".join(chunk(bytes([byte])) for byte in HI + STOP + DONE) + END,
}  # fmt: skip


@both
@pytest.mark.parametrize("wire", ODD.values(), ids=ODD)
def test_an_unusual_response_is_decoded(hostile: Hostile, send_request: Send, wire: bytes) -> None:
    """Chunked framing wins over a length, and data after a response is not part of it."""
    outcome = send_request(hostile(send_parts(wire, end="wait")).url)

    assert (None, "Hi") == (outcome.error, outcome.text)


@both
@everywhere
@pytest.mark.parametrize("end", ["close", "reset", "shut"])
def test_a_connection_that_ends_in_the_middle(hostile: Hostile, send_request: Send, platform: str, end: str) -> None:
    """Closed, reset or half closed: interrupted, with the text so far, on every platform."""
    _, head, frame = PLATFORMS[platform]
    outcome = send_request(hostile(send_parts(head + chunk(frame(HI)), end=end)).url, platform)

    assert isinstance(outcome.error, StreamInterrupted), outcome.error
    assert "Hi" == outcome.text
    assert outcome.is_bounded()


@both
@everywhere
@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_disconnects_at_once(hostile: Hostile, send_request: Send, platform: str, reset: bool) -> None:
    """Right after accepting the connection, before it reads the request."""
    server = hostile(lambda server, peer: peer.reset() if reset else None)
    outcome = send_request(server.url, platform)

    assert isinstance(outcome.error, ConnectionFailed), outcome.error
    assert server.connections <= 2, "a connection without a response is tried once more at most"
    assert outcome.is_bounded()
