"""AWS event stream: test vectors in both directions, every split, corrupt data, limits, and botocore as a reference."""

import random
import struct
import uuid
import zlib
from typing import Any

import pytest
from _samples import pieces

from mdstream_core.errors import MalformedStream, StreamInterrupted
from mdstream_core.wire.eventstream import EventStreamDecoder, Message, encode, read_headers

#: The event stream of reference/sagemaker.md, section 3, and what Smithy's specification calls by these names.
PAYLOAD_PART = bytes.fromhex(
    "00000078" "00000059" "be379d37"  # 120 bytes, 89 of headers, their checksum
    "0b3a6576656e742d74797065" "07000b5061796c6f616450617274"  # :event-type PayloadPart
    "0d3a636f6e74656e742d74797065" "0700186170706c69636174696f6e2f6f637465742d73747265616d"  # :content-type
    "0d3a6d6573736167652d74797065" "0700056576656e74"  # :message-type event
    "646174613a207b2261223a317d0a0a"  # data: {"a":1}
    "cfe55529"
)  # fmt: skip
PART = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
BROKEN = {":exception-type": "ModelStreamError", ":content-type": "application/json", ":message-type": "exception"}

ID = uuid.UUID("01020304-0506-0708-090a-0b0c0d0e0f10")

#: name: (bytes, or None for those that are only written, headers, payload)
VECTORS: dict[str, tuple[bytes, dict[str, Any], bytes]] = {
    "empty": (bytes.fromhex("000000100000000005c248eb7d98c8ff"), {}, b""),
    "a payload alone": (bytes.fromhex("0000001d00000000fd528c5a") + b"{'foo':'bar'}" + bytes.fromhex("c3653936"), {}, b"{'foo':'bar'}"),
    "a text": (encode({"content-type": "application/json"}), {"content-type": "application/json"}, b""),
    "a payload part": (PAYLOAD_PART, PART, b'data: {"a":1}\n\n'),
    "true": (encode({"t": True}), {"t": True}, b""),
    "false": (encode({"f": False}, b"x"), {"f": False}, b"x"),
    "a whole number": (encode({"n": -(2**63)}), {"n": -(2**63)}, b""),
    "bytes": (encode({"b": b"\0\xff"}), {"b": b"\0\xff"}, b""),
    "characters": (encode({"é": "日本"}, "日本".encode()), {"é": "日本"}, "日本".encode()),
    "a uuid": (encode({"u": ID}), {"u": ID}, b""),
    "every type that is written": (
        encode({"t": True, "f": False, "n": 1, "b": b"", "s": "", "u": ID}, b"\0" * 70_000),
        {"t": True, "f": False, "n": 1, "b": b"", "s": "", "u": ID},
        b"\0" * 70_000,
    ),
}  # fmt: skip


def read(wire: bytes, step: int) -> list[Message]:
    decoder = EventStreamDecoder()
    messages = [message for data in pieces(wire, step) for message in decoder.feed(data)]
    decoder.finish()
    return messages


@pytest.mark.parametrize(("wire", "headers", "payload"), VECTORS.values(), ids=VECTORS)
def test_encoding_of_the_vectors(wire: bytes, headers: dict[str, Any], payload: bytes) -> None:
    """The encoder produces the bytes of each vector."""
    assert wire == encode(headers, payload)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
@pytest.mark.parametrize(("wire", "headers", "payload"), VECTORS.values(), ids=VECTORS)
def test_decoding_in_every_split(wire: bytes, headers: dict[str, Any], payload: bytes, step: int) -> None:
    """Also between messages."""
    assert [Message(headers, payload)] * 2 == read(2 * wire, step if len(wire) < 1000 else 997 * step)


def test_the_checksums_of_the_reference() -> None:
    """Of the prelude and of the message, for the exception of the reference."""
    payload = b'{"Message": "boom", "ErrorCode": "StreamBroken"}'
    wire = encode(BROKEN, payload)

    assert (158, "87c73aeb") == (len(wire), wire[8:12].hex())
    assert [Message(BROKEN, payload)] == read(wire, 4096)


def test_two_pieces_split_at_every_byte() -> None:
    """With an empty read in between; each message is returned as soon as it is complete."""
    wire = 3 * PAYLOAD_PART
    for at in range(len(wire) + 1):
        decoder = EventStreamDecoder()
        first = decoder.feed(wire[:at])
        rest = [*decoder.feed(b""), *decoder.feed(wire[at:])]
        decoder.finish()

        assert [Message(PART, b'data: {"a":1}\n\n')] * 3 == [*first, *rest]
        assert at // len(PAYLOAD_PART) == len(first)


def test_a_truncated_message_is_an_interruption_at_every_byte() -> None:
    """A stream may only end at the end of a message."""
    for at in range(1, len(PAYLOAD_PART)):
        decoder = EventStreamDecoder()
        decoder.feed(PAYLOAD_PART + PAYLOAD_PART[:at])
        with pytest.raises(StreamInterrupted, match=f"in the middle of a message: received {at} bytes") as truncated:
            decoder.finish()

        assert "PartialMessage" == truncated.value.code


def test_any_changed_byte_is_detected() -> None:
    """It breaks a checksum, or makes the decoder wait for missing bytes."""
    for at in range(len(PAYLOAD_PART)):
        bent = bytearray(PAYLOAD_PART)
        bent[at] ^= 0x10
        with pytest.raises((MalformedStream, StreamInterrupted)) as found:
            read(bytes(bent), 4096)

        assert "ChecksumMismatch" == found.value.code


def test_a_checksum_error_states_both_numbers() -> None:
    """The expected checksum, and the actual one."""
    with pytest.raises(MalformedStream, match="checksum of a message is 0xcfe55529, expected 0xcfe55528"):
        read(PAYLOAD_PART[:-1] + b"\x28", 4096)


def test_messages_before_corrupt_data_come_first() -> None:
    """In one read: two messages, then a corrupt one; the error is stored, and nothing more is decoded."""
    decoder = EventStreamDecoder()
    messages = decoder.feed(2 * PAYLOAD_PART + PAYLOAD_PART[:-1] + b"!")

    assert 2 == len(messages)
    assert decoder.error is not None
    with pytest.raises(MalformedStream, match="checksum"):
        decoder.feed(PAYLOAD_PART)
    with pytest.raises(MalformedStream, match="checksum"):
        decoder.finish()


def build_message(block: bytes, payload: bytes = b"", *, total: int | None = None, headers: int | None = None) -> bytes:
    """A message around raw headers, whose checksums are right."""
    lengths = struct.pack("!II", 16 + len(block) + len(payload) if total is None else total, len(block) if headers is None else headers)  # fmt: skip
    message = lengths + struct.pack("!I", zlib.crc32(lengths)) + block + payload
    return message + struct.pack("!I", zlib.crc32(message))


#: name: (a block of headers, what is read)
BLOCKS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "0 true": (b"\1a\0", {"a": True}),
    "1 false": (b"\1a\1", {"a": False}),
    "2 byte": (b"\1a\2\xff", {"a": -1}),
    "3 short": (b"\1a\3\x80\0", {"a": -32768}),
    "4 integer": (b"\1a\4\0\0\1\0", {"a": 256}),
    "5 long": (b"\1a\5" + b"\xff" * 8, {"a": -1}),
    "6 bytes": (b"\1a\6\0\2\xff\0", {"a": b"\xff\0"}),
    "7 text": (b"\1a\7\0\1b", {"a": "b"}),
    "8 time": (b"\1a\x08\0\0\0\0\0\0\3\xe8", {"a": 1000}),
    "9 uuid": (b"\1a\x09" + ID.bytes, {"a": ID}),
    "two": (b"\1a\0\1b\1", {"a": True, "b": False}),
    "a name of 255 bytes": (b"\xff" + b"x" * 255 + b"\0", {"x" * 255: True}),
}


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_every_type_of_header(block: bytes, expected: dict[str, Any]) -> None:
    """Types 0 to 9."""
    assert expected == read_headers(block)
    assert [Message(expected, b"p")] == read(build_message(block, b"p"), 1)


#: name: (a message, the code, some words)
INVALID: dict[str, tuple[bytes, str, str]] = {
    "a header twice": (build_message(b"\1a\0\1a\0"), "DuplicateHeader", "the header 'a' twice"),
    "type 10": (build_message(b"\1a\x0a"), "InvalidHeaderType", "'a' has the unknown type 10"),
    "a name that is truncated": (build_message(b"\5ab"), "InvalidHeaderValue", "beyond the end"),
    "no type": (build_message(b"\1a"), "InvalidHeaderValue", "beyond the end"),
    "a value that is truncated": (build_message(b"\1a\5\0"), "InvalidHeaderValue", "beyond the end"),
    "a text that is truncated": (build_message(b"\1a\7\0\5b"), "InvalidHeaderValue", "beyond the end"),
    "a text's length that is truncated": (build_message(b"\1a\7\1"), "InvalidHeaderValue", "beyond the end"),
    "a text that is not UTF-8": (build_message(b"\1a\7\0\1\xff"), "InvalidHeaderValue", "not UTF-8"),
    "a name that is not UTF-8": (build_message(b"\1\xff\0"), "InvalidHeaderValue", "not UTF-8"),
    "headers longer than the message": (build_message(b"\1a\0", headers=9), "InvalidLength", "9 bytes of headers"),
    "a length of nothing": (build_message(b"", total=0), "InvalidLength", "own length"),
    "headers beyond the limit": (
        build_message(b"", total=16 + 131_073, headers=131_073),
        "InvalidHeadersLength",
        "131073",
    ),
    "a payload beyond the limit": (build_message(b"", total=16 + 25_165_825), "InvalidPayloadLength", "25165825"),
}


@pytest.mark.parametrize("step", [1, 4096])
@pytest.mark.parametrize(("wire", "code", "words"), INVALID.values(), ids=INVALID)
def test_invalid_messages_are_rejected(wire: bytes, code: str, words: str, step: int) -> None:
    """With a valid checksum; limits are checked in the prelude, before anything is buffered."""
    with pytest.raises(MalformedStream, match=words) as found:
        read(wire, step)

    assert code == found.value.code


def test_a_long_message_in_small_pieces_is_joined_once() -> None:
    """
    20 MB in pieces of 64 bytes: nothing is gone through again for each piece, so this ends soon.
    """
    payload = b"x" * (20 * 1024 * 1024)
    decoder = EventStreamDecoder()
    messages = [message for piece in pieces(encode(PART, payload), 64) for message in decoder.feed(piece)]

    assert [len(payload)] == [len(message.payload) for message in messages]


def test_memory_does_not_grow_with_headers() -> None:
    """The caches of headers and heads are bounded."""
    decoder = EventStreamDecoder()
    for number in range(1000):
        sent = Message({"n": number}, b"x" * number)
        assert [sent] == decoder.feed(encode(*sent))

    assert (16, 256) == (len(decoder._known_headers), len(decoder._heads))


@pytest.mark.parametrize("seed", range(20))
def test_encoded_messages_are_decoded_here_and_by_botocore(seed: int) -> None:
    """In every split."""
    eventstream = pytest.importorskip("botocore.eventstream", reason="botocore judges the event stream; install mdstream-llm[aws]")  # fmt: skip
    chance = random.Random(seed)
    values = [True, False, 7, -7, b"\0\xff", "é", "x" * 300]
    sent = [Message({f"h{n}": chance.choice(values) for n in range(chance.randrange(5))}, chance.randbytes(chance.randrange(200))) for _ in range(30)]  # fmt: skip
    wire = b"".join(encode(*message) for message in sent)
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(wire)

    assert sent == read(wire, 1 + seed * 7)
    assert [(dict(message.headers), message.payload) for message in sent] == [(event.headers, event.payload) for event in theirs]  # fmt: skip
