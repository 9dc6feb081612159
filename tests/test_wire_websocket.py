"""The WebSocket protocol: frames in every split, the closing handshake, and the package `websockets` as the peer."""

import random

import pytest

from mdstream_core.errors import MalformedStream, StreamFailure, StreamTimeout
from mdstream_core.wire import Frame
from mdstream_core.wire.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Message,
    WebSocketProtocol,
    accept_key,
    close_data,
    encode_frame,
)
from mdstream_core.wire.websocket_messages import MessageDecoder

STEPS = [1, 2, 7, 4096]

#: RFC 6455 §5.7 and similar: (bytes from a server, messages).
VECTORS: dict[str, tuple[bytes, list[Message]]] = {
    "a single frame": (b"\x81\x05Hello", [Message(TEXT, b"Hello")]),
    "two fragments": (b"\x01\x03Hel\x80\x02lo", [Message(TEXT, b"Hello")]),
    "a ping between fragments": (b"\x01\x03Hel\x89\x01?\x80\x02lo", [Message(TEXT, b"Hello")]),
    "a pong nobody asked for": (b"\x8a\x05Hello\x81\x01x", [Message(TEXT, b"x")]),
    "256 bytes": (b"\x82\x7e\x01\x00" + bytes(256), [Message(BINARY, bytes(256))]),
    "64 KiB": (b"\x82\x7f" + (65_536).to_bytes(8) + bytes(65_536), [Message(BINARY, bytes(65_536))]),
    "a character in two fragments": (b"\x01\x01\xc3\x80\x01\xa9", [Message(TEXT, "é".encode())]),
    "an empty message": (b"\x81\x00", [Message(TEXT, b"")]),
    "empty fragments": (b"\x01\x00\x00\x00\x80\x00", [Message(TEXT, b"")]),
    "a close with a code": (b"\x81\x01a\x88\x02\x03\xe8", [Message(TEXT, b"a"), Message(CLOSE, b"\x03\xe8")]),
    "a close without": (b"\x88\x00", [Message(CLOSE, b"")]),
    "bytes behind the close": (b"\x88\x00\x81\x01a", [Message(CLOSE, b"")]),
}

#: (bytes from a server after a valid message "a", the close code to send, a part of the error message)
BROKEN: dict[str, tuple[bytes, int, str]] = {
    "reserved bits": (b"\xc1\x01b", 1002, "reserved bits"),
    "an unknown kind": (b"\x83\x01b", 1002, "unknown opcode 3"),
    "a masked frame from a server": (b"\x81\x81\x00\x00\x00\x00b", 1002, "masked"),
    "a long ping": (b"\x89\x7e\x00\x80" + bytes(128), 1002, "control frame"),
    "a ping in parts": (b"\x09\x01b", 1002, "control frame"),
    "the rest of nothing": (b"\x80\x01b", 1002, "without a start"),
    "a message within a message": (b"\x01\x01b\x81\x01c", 1002, "within a message"),
    "a close of one byte": (b"\x88\x01\x03", 1002, "must not be sent"),
    "a close with 1006": (b"\x88\x02\x03\xee", 1002, "1006"),
    "a reason that is not UTF-8": (b"\x88\x03\x03\xe8\xff", 1007, "UTF-8"),
    "a text that is not UTF-8": (b"\x81\x01\xff", 1007, "UTF-8"),
    "too long": (b"\x82\x7e\x03\xe9", 1009, "more than 1000 bytes"),
    "too long in parts": (b"\x02\x7e\x02\x58" + bytes(600) + b"\x80\x7e\x02\x58" + bytes(600), 1009, "1000 bytes"),
}


def results(end: WebSocketProtocol, data: bytes, step: int) -> list[Message]:
    return [message for at in range(0, len(data), step) for message in end.feed(data[at : at + step])]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("wire", "expected"), VECTORS.values(), ids=VECTORS)
def test_decoding_in_every_split(wire: bytes, expected: list[Message], step: int) -> None:
    """Reads of any size."""
    client = WebSocketProtocol(client=True)

    assert expected == results(client, wire, step)
    assert client.error is None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("wire", "code", "words"), BROKEN.values(), ids=BROKEN)
def test_a_protocol_violation_closes_the_connection(wire: bytes, code: int, words: str, step: int) -> None:
    """Earlier messages are delivered, the close frame has the reason, and nothing more is read."""
    client = WebSocketProtocol(client=True, max_size=1000)
    messages = results(client, b"\x81\x01a" + wire + b"\x81\x01z", step)
    server = WebSocketProtocol(client=False)

    assert [Message(TEXT, b"a")] == messages
    assert isinstance(client.error, MalformedStream)
    assert words in str(client.error)
    assert [Message(CLOSE, close_data(code))] == server.feed(client.bytes_to_send())


def test_a_pong_has_the_payload_of_its_ping() -> None:
    """Masked by a client, unmasked by a server."""
    client, server = WebSocketProtocol(client=True), WebSocketProtocol(client=False)
    server.send(PING, b"there?")
    client.feed(server.bytes_to_send())
    pong = client.bytes_to_send()

    assert [PONG, 0x80 | 6] == [pong[0] & 0x0F, pong[1]]
    assert pong[6:] != b"there?"
    client.send(PING, b"you?")
    server.feed(client.bytes_to_send())
    assert encode_frame(PONG, b"you?") == server.bytes_to_send()


def test_the_closing_handshake() -> None:
    """Both sides send one close frame with the same code, and nothing after it."""
    client, server = WebSocketProtocol(client=True), WebSocketProtocol(client=False)
    client.close(1000, "thanks")
    client.send(TEXT, b"too late")
    (close,) = server.feed(client.bytes_to_send())
    server.close(1011)
    response = server.bytes_to_send()

    assert Message(CLOSE, b"\x03\xe8thanks") == close
    assert b"\x88\x02\x03\xe8" == response
    assert [Message(CLOSE, b"\x03\xe8")] == client.feed(response)
    assert b"" == client.bytes_to_send()
    assert (client.is_closing, client.is_closed, server.is_closing, server.is_closed) == (True, True, True, True)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_003])
def test_client_and_server_decode_each_others_frames(size: int) -> None:
    """In all three encodings of a length."""
    data = random.Random(size).randbytes(size)
    client, server = WebSocketProtocol(client=True), WebSocketProtocol(client=False)
    client.send(BINARY, data)
    server.send(BINARY, data)

    assert [Message(BINARY, data)] == server.feed(client.bytes_to_send())
    assert [Message(BINARY, data)] == client.feed(server.bytes_to_send())


def test_a_reason_is_truncated_between_characters() -> None:
    """A control frame has at most 125 bytes."""
    data = close_data(1011, "é" * 100)

    assert 2 + 122 == len(data)
    assert "é" * 61 == data[2:].decode()


# The package `websockets` as the peer


def test_the_server_of_websockets_with_our_client() -> None:
    """Handshake key, masks, fragments, pings and the closing handshake match the reference implementation."""
    server = pytest.importorskip(
        "websockets.server", reason="checks the frames with websockets; install mdstream-llm[emulator]"
    )
    theirs, ours = server.ServerProtocol(), WebSocketProtocol(client=True)
    theirs.receive_data(
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    response = theirs.accept(theirs.events_received()[0])
    theirs.send_response(response)
    theirs.data_to_send()
    ours.send(TEXT, "Grüße".encode() * 30_000)
    theirs.receive_data(ours.bytes_to_send())

    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == response.headers["Sec-WebSocket-Accept"]
    assert "Grüße".encode() * 30_000 == bytes(theirs.events_received()[0].data)
    theirs.send_ping(b"p")
    theirs.send_text(b"one", fin=False)
    theirs.send_continuation(b" two", fin=True)
    theirs.send_close(1011, "broken")
    assert [Message(TEXT, b"one two"), Message(CLOSE, b"\x03\xf3broken")] == ours.feed(b"".join(theirs.data_to_send()))
    theirs.receive_data(ours.bytes_to_send())
    assert [PONG, CLOSE] == [frame.opcode for frame in theirs.events_received()]
    assert 1011 == theirs.close_rcvd.code


def test_the_client_of_websockets_with_our_server() -> None:
    """The other direction."""
    client = pytest.importorskip(
        "websockets.client", reason="checks the frames with websockets; install mdstream-llm[emulator]"
    )
    protocol = pytest.importorskip("websockets.protocol", reason="the same")
    uri = pytest.importorskip("websockets.uri", reason="the same")
    theirs, ours = (
        client.ClientProtocol(uri.parse_uri("ws://h/"), state=protocol.State.OPEN),
        WebSocketProtocol(client=False),
    )
    theirs.send_text(b"a" * 70_000, fin=False)
    theirs.send_continuation(b"b", fin=True)

    assert [Message(TEXT, b"a" * 70_000 + b"b")] == ours.feed(b"".join(theirs.data_to_send()))
    ours.send(TEXT, b"c" * 300)
    ours.close(1000, "bye")
    theirs.receive_data(ours.bytes_to_send())
    assert [TEXT, CLOSE] == [frame.opcode for frame in theirs.events_received()]
    assert (1000, "bye") == (theirs.close_rcvd.code, theirs.close_rcvd.reason)


# The body of messages

BODIES: dict[str, tuple[list[bytes], list[Frame]]] = {
    "JSON": ([b'{"a":1}', b"[DONE]"], [Frame(b'{"a":1}'), Frame(b"[DONE]")]),
    "events as they stand": ([b'data: {"a":1}\n\n', b"data: [DONE]"], [Frame(b'{"a":1}'), Frame(b"[DONE]")]),
    "several in one": ([b"data: 1\n\n: ping\n\nevent: error\ndata: 2\n\n"], [Frame(b"1"), Frame(b"2", "error")]),
    "an empty one": ([b"", b"x"], [Frame(b""), Frame(b"x")]),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("messages", "expected"), BODIES.values(), ids=BODIES)
def test_messages_contain_payloads_or_events(messages: list[bytes], expected: list[Frame], step: int) -> None:
    """In every form that servers send."""
    body = b"".join(encode_frame(TEXT, message) for message in messages) + encode_frame(CLOSE, close_data(1000))
    decoder = MessageDecoder()
    frames = [frame for at in range(0, len(body), step) for frame in decoder.feed(body[at : at + step])]

    assert expected == frames
    assert [] == decoder.finish()


CLOSES: dict[str, tuple[bytes, type[StreamFailure] | None, int | None, bool]] = {
    "1000": (close_data(1000, "done"), None, None, False),
    "none": (b"", None, None, False),
    "1001": (close_data(1001), StreamFailure, 503, True),
    "1008": (close_data(1008, "policy"), StreamFailure, 403, False),
    "1009": (close_data(1009), StreamFailure, 413, False),
    "1011": (close_data(1011, "engine died"), StreamFailure, 500, True),
    "3008": (close_data(3008), StreamTimeout, 408, True),
    "4711": (close_data(4711, "ours"), StreamFailure, None, True),
}


@pytest.mark.parametrize(("data", "kind", "status", "retryable"), CLOSES.values(), ids=CLOSES)
def test_a_failure_close_code_is_a_stream_failure(
    data: bytes, kind: type[StreamFailure] | None, status: int | None, retryable: bool
) -> None:
    """It is raised at the end, after everything before it was delivered."""
    decoder = MessageDecoder()

    assert [Frame(b"a")] == decoder.feed(encode_frame(TEXT, b"a") + encode_frame(CLOSE, data))
    if kind is None:
        assert [] == decoder.finish()
        return
    with pytest.raises(StreamFailure) as caught:
        decoder.finish()
    assert (kind, str(int.from_bytes(data[:2])), status, retryable) == (
        type(caught.value),
        caught.value.code,
        caught.value.status,
        caught.value.retryable,
    )
    assert data[2:].decode() in str(caught.value)


def test_a_body_that_ends_within_a_message_is_malformed() -> None:
    """A call converts it to `StreamInterrupted`."""
    decoder = MessageDecoder()
    assert [] == decoder.feed(encode_frame(CONTINUATION | TEXT, b"abc")[:-1])
    with pytest.raises(MalformedStream, match="truncated"):
        decoder.finish()


def test_frames_of_complete_texts_are_passed_on_unchanged() -> None:
    """Also if a read ends within one of them; other frames are not among them."""
    texts = [encode_frame(TEXT, b"a" * size) for size in (0, 1, 125, 126, 65_535)]
    client = WebSocketProtocol(client=True)
    body = b"".join(texts) + encode_frame(PING, b"?") + encode_frame(TEXT, b"b")

    assert [Message(TEXT, b""), Message(TEXT, b"a"), Message(TEXT, b"a" * 125)] == client.feed(body[:200])
    assert (b"".join(texts[:3]), 3) == client.ready_texts
    assert [Message(TEXT, b"a" * 126), Message(TEXT, b"a" * 65_535), Message(TEXT, b"b")] == client.feed(body[200:])
    assert (b"".join(texts[3:]), 2) == client.ready_texts


def test_invalid_utf8_fails_after_the_valid_texts() -> None:
    """Half a character is not completed by the next message."""
    client = WebSocketProtocol(client=True)

    assert [Message(TEXT, b"a")] == client.feed(
        encode_frame(TEXT, b"a") + encode_frame(TEXT, b"\xc3") + encode_frame(TEXT, b"\xa9")
    )
    assert client.error is not None
    assert "1007" == client.error.code


def test_a_too_long_text_fails_after_the_others() -> None:
    """The limit also applies to the fast path."""
    client = WebSocketProtocol(client=True, max_size=1000)

    assert [Message(TEXT, b"a")] == client.feed(encode_frame(TEXT, b"a") + encode_frame(TEXT, b"b" * 1001))
    assert client.error is not None
    assert "1009" == client.error.code
