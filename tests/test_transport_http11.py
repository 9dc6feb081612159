"""HTTP/1.1 without sockets: serializing requests, and parsing responses."""

import weakref

import pytest

from mdstream_core.transport._http11 import MAX_OVERHEAD, READ_SIZE, RequestWriter, ResponseParser


class Wrong(Exception):
    pass


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# name: (wire, status, body, trailers, may the connection be used again)
RESPONSES = {
    "fixed length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello", [], True),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", 200, b"", [], True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", [], True),
    "204 that claims a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"", [], True),
    "304 that claims a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", [], True),
    "chunked": (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 200, b"hello!", [], True),
    "chunk extensions": (CHUNKED + b'5;a=b;c="d"\r\nhello\r\n0;z\r\n\r\n', 200, b"hello", [], True),
    "padded chunk sizes": (CHUNKED + b"5  \r\nhello\r\n0 \r\n\r\n", 200, b"hello", [], True),
    "trailer": (CHUNKED + b"2\r\nhi\r\n0\r\nX: y\r\n\r\n", 200, b"hi", [(b"X", b"y")], True),
    "duplicate and empty trailers": (
        CHUNKED + b"2\r\nhi\r\n0\r\nX: y\r\nX:  z \t \r\nE:\r\n\r\n",
        200,
        b"hi",
        [(b"X", b"y"), (b"X", b"z"), (b"E", b"")],
        True,
    ),
    "trailers that frame nothing": (
        CHUNKED + b"2\r\nhi\r\n0\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
        200,
        b"hi",
        [(b"Content-Length", b"9"), (b"Connection", b"close")],
        True,
    ),
    "text that imitates a trailer, and one": (
        CHUNKED + b"17\r\n0\r\nStreamFailure: x\r\n\r\n\r\n0\r\nX: y\r\n\r\n",
        200,
        b"0\r\nStreamFailure: x\r\n\r\n",
        [(b"X", b"y")],
        True,
    ),
    "both lengths": (
        OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
        200,
        b"hi",
        [(b"X", b"y")],
        True,
    ),
    "both lengths, the other way round": (
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        200,
        b"hi",
        [],
        True,
    ),
    "interim responses": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",
        200,
        b"hi",
        [],
        True,
    ),
    "Connection: close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", [], False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", [], False),
    "no reason": (b"HTTP/1.1 299\r\nContent-Length: 2\r\n\r\nhi", 299, b"hi", [], True),
    "ended by the connection": (OK + b"\r\nhello", 200, b"hello", [], False),
    "ended by the connection, coded": (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", 200, b"hello", [], False),
    "junk behind it": (OK + b"Content-Length: 2\r\n\r\nhi!!!", 200, b"hi", [], False),
    "another parser behind it": (OK + b"Content-Length: 2\r\n\r\nhi" + CHUNKED + b"2\r\nno\r\n", 200, b"hi", [], False),
}
BROKEN = {
    "nothing": b"",
    "half a head": OK + b"Content-Le",
    "cut body": OK + b"Content-Length: 5\r\n\r\nhell",
    "cut chunk": CHUNKED + b"5\r\nhel",
    "cut before the last chunk": CHUNKED + b"5\r\nhello\r\n",
    "cut in the last chunk": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "cut trailer section": CHUNKED + b"5\r\nhello\r\n0\r\nStreamFailure: x\r\n",
    "cut trailer field": CHUNKED + b"5\r\nhello\r\n0\r\nStreamFail",
    "only an interim parser": b"HTTP/1.1 100 Continue\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no chunk size": CHUNKED + b"hello\r\n",
    "too large a chunk size": CHUNKED + b"fffffffffffffffff\r\n",
    "not a header": OK + b"Bad Name: x\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
}

FLOODS = {
    "one huge header": OK + b"X: " + b"x" * 3 * MAX_OVERHEAD,
    "many headers": OK + b"".join(b"X-%d: y\r\n" % n for n in range(MAX_OVERHEAD)),
    "a head that ends in time, and is too large": OK + b"X: " + b"x" * MAX_OVERHEAD + b"\r\nContent-Length: 0\r\n\r\n",
    "interim answers without end": b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_OVERHEAD,
    "a huge reason": b"HTTP/1.1 200 " + b"x" * 3 * MAX_OVERHEAD,
    "a huge trailer": CHUNKED + b"2\r\nhi\r\n0\r\nX: " + b"x" * 3 * MAX_OVERHEAD,
    "many trailers": CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X: yyyyyyyy\r\n" * MAX_OVERHEAD,
    "a huge chunk extension": CHUNKED + b"2;" + b"x" * 3 * MAX_OVERHEAD,
}


def read(wire: bytes, step: int, method: bytes = b"POST") -> tuple[ResponseParser, bytes]:
    parser, body = ResponseParser(method, error=Wrong), b""
    for at in range(0, len(wire), step):
        parser.feed(wire[at : at + step])
        body += parser.take_body()
        if parser.is_complete:
            return parser, body
    parser.feed(b"")
    return parser, body + parser.take_body()


@pytest.mark.parametrize("step", [1, 2, 7, 4096])
@pytest.mark.parametrize(("wire", "status", "body", "trailers", "_reusable"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_the_same_in_every_split(
    wire: bytes, status: int, body: bytes, trailers: list[tuple[bytes, bytes]], _reusable: bool, step: int
) -> None:
    """Reads of any size."""
    parser, found = read(wire, step)

    assert (status, body, trailers, True) == (parser.status, found, parser.trailers, parser.is_complete)


@pytest.mark.parametrize(("wire", "_status", "_body", "_trailers", "reusable"), RESPONSES.values(), ids=RESPONSES)
def test_when_a_connection_is_reusable(
    wire: bytes, _status: int, _body: bytes, _trailers: list[tuple[bytes, bytes]], reusable: bool
) -> None:
    """After a complete response that allows it and has no data after it."""
    parser, _ = read(wire, READ_SIZE)

    assert reusable == parser.is_reusable


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
def test_invalid_responses_are_errors(wire: bytes, step: int) -> None:
    """Data that ends too early or is not HTTP, in every split."""
    with pytest.raises(Wrong):
        read(wire, step)


@pytest.mark.parametrize("step", [997, READ_SIZE])
@pytest.mark.parametrize("wire", FLOODS.values(), ids=FLOODS)
def test_bursts_are_stopped(wire: bytes, step: int) -> None:
    """Headers, trailer sections and chunk lines are limited."""
    with pytest.raises(Wrong, match="more than 65536 bytes"):
        read(wire, step)


def test_a_long_stream_is_no_burst() -> None:
    """The limit applies to framing between two pieces of body."""
    wire = CHUNKED + b"1;some=extension\r\nx\r\n" * 20_000 + b"0\r\n\r\n"

    parser, body = read(wire, 4096)

    assert (20_000, True) == (len(body), parser.is_complete)


def test_head_has_no_body() -> None:
    """The response to HEAD ends with its head, whatever its Content-Length."""
    parser, body = read(OK + b"Content-Length: 5\r\n\r\n", 4096, b"HEAD")

    assert (b"", True, True) == (body, parser.is_complete, parser.is_reusable)


def test_an_upgrade_keeps_leading_bytes() -> None:
    """Data after a 101 belongs to the new protocol."""
    parser, body = read(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01x", 4096
    )

    assert (101, b"", b"\x81\x01x", False) == (parser.status, body, parser.leading, parser.is_reusable)


def test_request_with_a_length() -> None:
    """A body of known length is sent unchanged."""
    writer = RequestWriter(b"POST", b"/a?b", [(b"Host", b"h"), (b"Content-Length", b"5")], error=Wrong)

    assert b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" == b"".join(
        [writer.head, writer.body_chunk(b"he"), writer.body_chunk(b"llo"), writer.finish()]
    )


def test_request_in_chunks() -> None:
    """A body of unknown length is chunked, and an empty piece does not end it."""
    writer = RequestWriter(b"POST", b"/", [(b"Transfer-Encoding", b"chunked")], error=Wrong)

    assert b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" == b"".join(
        [*map(writer.body_chunk, (b"hello", b"", b"!")), writer.finish()]
    )


ILLEGAL = {
    "line break in a value": (b"GET", b"/", [(b"X", b"a\r\nEvil: b")]),
    "line break in a name": (b"GET", b"/", [(b"X\r\nEvil", b"b")]),
    "space in the target": (b"GET", b"/ HTTP/1.1\r\nEvil: b", []),
    "no method": (b"", b"/", []),
}


@pytest.mark.parametrize(("method", "target", "headers"), ILLEGAL.values(), ids=ILLEGAL)
def test_illegal_requests_are_rejected(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Names, values and targets that would break the head."""
    with pytest.raises(Wrong, match="illegal"):
        RequestWriter(method, target, headers, error=Wrong)


def test_an_illegal_header_value_is_not_shown() -> None:
    """It may be a credential, so the error names the header only."""
    with pytest.raises(Wrong) as caught:
        RequestWriter(b"GET", b"/", [(b"Authorization", b"Bearer hush\r\n")], error=Wrong)

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("pieces", [[b"hel"], [b"hello", b"!"]], ids=["too little", "too much"])
def test_a_body_must_match_its_length(pieces: list[bytes]) -> None:
    """Otherwise the next request would be misread."""
    writer = RequestWriter(b"POST", b"/", [(b"Content-Length", b"5")], error=Wrong)

    with pytest.raises(Wrong, match="Content-Length"):
        [*map(writer.body_chunk, pieces), writer.finish()]


def test_a_response_leaves_no_garbage() -> None:
    """A complete response is freed without the garbage collector."""
    parser, _ = read(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", 4096)
    known = weakref.ref(parser)
    del parser

    assert None is known()


#: Invalid data after a piece of body, in the same read.
BEHIND = {
    "a bad chunk size": b"ZZ\r\nxx",
    "a folded trailer": b"0\r\nStreamFailure: x\r\n y\r\n\r\n",
    "a huge trailer": b"0\r\nX: " + b"x" * 2 * MAX_OVERHEAD + b"\r\n\r\n",
}


@pytest.mark.parametrize("wire", BEHIND.values(), ids=BEHIND)
def test_data_before_an_error_is_not_lost(wire: bytes) -> None:
    """The head and body of the same read can be taken; then the error is raised, each time."""
    parser = ResponseParser(b"POST", error=Wrong)
    parser.feed(CHUNKED + b"5\r\nhello\r\n" + wire)

    assert (True, False, b"hello") == (parser.has_head, parser.is_complete, parser.take_body())
    for raises in (parser.raise_error, lambda: parser.feed(b"0\r\n\r\n"), lambda: parser.feed(b"")):
        with pytest.raises(Wrong):
            raises()
    assert not parser.is_reusable
