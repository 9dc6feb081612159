"""Server-sent events: the standard's examples, deviations of model servers, every split, and limits."""

import random
from collections.abc import Iterator

import pytest
from _samples import pieces

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import Frame
from mdstream_core.wire.sse import SSEDecoder, comment, encode

STEPS = [1, 2, 3, 7, 4096]

#: name: (bytes, the frames)
VECTORS: dict[str, tuple[bytes, list[tuple[bytes, str]]]] = {
    # the HTML standard, section 9.2.6
    "whatwg: three lines of stock": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [(b"YHOO\n+2\n10", "")]),
    "whatwg: four blocks, the last one not ended": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [(b"first event", ""), (b"second event", ""), (b" third event", "")],
    ),
    "whatwg: empty data": (b"data\n\ndata\ndata\n\ndata:", [(b"", ""), (b"\n", ""), (b"", "")]),
    "whatwg: one space is removed": (b"data:test\n\ndata: test\n\n", [(b"test", ""), (b"test", "")]),
    "whatwg: event names": (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [(b"73857293", "add"), (b"2153", "remove"), (b"113411", "add")],
    ),
    "an error without data": (b"data: a\n\nevent: error\n\ndata: b\n\n", [(b"a", ""), (b"", "error"), (b"b", "")]),
    "an error without data, not ended": (b"event: error", [(b"", "error")]),
    "another event without data": (b"event: ping\n\n", []),
    "a bare error": (b'data: a\n\n{"error":"x"}\n', [(b"a", ""), (b'{"error":"x"}', "error")]),
    "a bare error in an event": (
        b'data: a\n{"error":"x"}\n\ndata: b\n\n',
        [(b"a", ""), (b'{"error":"x"}', "error"), (b"b", "")],
    ),
    "a page": (b"data: a\n\n<html>\n 502: Bad\n</html>\n", [(b"a", ""), (b"<html>\n 502: Bad\n</html>", "error")]),
    # reference/sse-and-openai-streams.md, section 1
    "1 invalid UTF-8 passes untouched": (b"data: a\xff\n\n", [(b"a\xff", "")]),
    "2 one BOM is dropped": (b"\xef\xbb\xbfdata: a\n\n", [(b"a", "")]),
    "2 a later BOM before a line without data": (
        b"data: a\n\n\xef\xbb\xbf: ping\n\xef\xbb\xbf\ndata: b\n\n",
        [(b"a", ""), (b"b", "")],
    ),
    "2 a BOM before the only line": (b"\xef\xbb\xbfdata: a", [(b"a", "")]),
    "3 CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"a", ""), (b"b", "")]),
    "3 CR": (b"data: a\r\rdata: b\r\r", [(b"a", ""), (b"b", "")]),
    "3 mixed": (b"data: a\r\ndata: b\n\r\ndata: c\r\r\n", [(b"a\nb", ""), (b"c", "")]),
    "3 only CR and LF end lines": (
        "data: x\u2028y\u2029z\x85\x0b\x0c\x1c\x1d\x1e\n\n".encode(),
        [("x\u2028y\u2029z\x85\x0b\x0c\x1c\x1d\x1e".encode(), "")],
    ),
    "4 an empty line without data resets the name": (b"event: a\n\ndata: b\n\n", [(b"b", "")]),
    "4 empty lines say nothing": (b"\n\n\r\n\rdata: a\n\n\n\n", [(b"a", "")]),
    "5 comments": (b": keep-alive\n\n:\n:data: a\ndata: b\n: c\n\n", [(b"b", "")]),
    "6 only one space": (b"data:  a \n\n", [(b" a ", "")]),
    "6 no colon": (b"data: a\ndata\n\n", [(b"a\n", "")]),
    "7 the last name wins": (b"event: a\nevent: b\ndata: c\n\n", [(b"c", "b")]),
    "7 id, retry and the unknown are ignored": (b"id: 7\nretry: 10\nfoo: bar\nbaz\ndata: a\n\n", [(b"a", "")]),
    "7 error is a field (llama.cpp)": (b'error: {"code":400}\n\n', [(b'{"code":400}', "error")]),
    "7 an empty error is none": (b"error\nerror:\ndata: a\n\n", [(b"a", "")]),
    "7 data: is not a prefix of a name": (b"data2: a\n data: b\nData: c\ndata: d\n\n", [(b"d", "")]),
    "8 the last line break is missing": (b"data: [DONE]", [(b"[DONE]", "")]),
    "8 the blank line is missing": (b"event: a\ndata: b\r\n", [(b"b", "a")]),
    "9 any name is read": (b"event: sglext_ids\ndata: {}\n\n", [(b"{}", "sglext_ids")]),
    "9 a name holds for one event": (b"event: a\ndata: b\n\ndata: c\n\n", [(b"b", "a"), (b"c", "")]),
    "a split character": ("data: 日本\n\n".encode(), [("日本".encode(), "")]),
    "nothing": (b"", []),
}


def decoded(body: bytes, step: int, longest: int = 1 << 20) -> list[Frame]:
    decoder = SSEDecoder(longest)
    return [*(frame for data in pieces(body, step) for frame in decoder.feed(data)), *decoder.finish()]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("wire", "expected"), VECTORS.values(), ids=VECTORS)
def test_decoding_in_every_split(wire: bytes, expected: list[tuple[bytes, str]], step: int) -> None:
    """Reads of any size."""
    assert expected == [tuple(frame) for frame in decoded(wire, step)]


@pytest.mark.parametrize(("wire", "expected"), VECTORS.values(), ids=VECTORS)
def test_two_pieces_split_at_every_byte(wire: bytes, expected: list[tuple[bytes, str]]) -> None:
    """With an empty read in between."""
    for at in range(len(wire) + 1):
        decoder = SSEDecoder()
        frames = [frame for data in (wire[:at], b"", wire[at:]) for frame in decoder.feed(data)]

        assert expected == [tuple(frame) for frame in [*frames, *decoder.finish()]]


@pytest.mark.parametrize("field", [b"data: b", b"data:b", b"event: b", b"error: b"])
@pytest.mark.parametrize("before", [b"data: a\n\n", b"\xef\xbb\xbf", b"data: a\n"], ids=["event", "BOM", "line"])
def test_a_later_bom_before_data_is_an_error(field: bytes, before: bytes) -> None:
    """By the standard the line would be ignored, and data lost. The events before it are delivered."""
    wire = before + b"\xef\xbb\xbf" + field + b"\n\n"
    for step in STEPS:
        frames: list[Frame] = []
        with pytest.raises(MalformedStream, match="byte order mark"):
            decoder = SSEDecoder()
            for data in pieces(wire, step):
                for frame in decoder.feed(data):
                    frames.append(frame)  # noqa: PERF402  # those before the error are kept

        assert [Frame(b"a")] * before.endswith(b"\n\n") == frames


def test_an_event_ends_with_its_blank_line() -> None:
    """It does not wait for further bytes, whatever the line ends."""
    for line_end in (b"\n", b"\r\n", b"\r"):
        assert [(b"a", "")] == SSEDecoder().feed(b"data: a" + 2 * line_end)


BOUNDS: dict[str, bytes] = {
    "a line": b"data: " + b"x" * 100,
    "a comment": b": " + b"x" * 100,
    "a name": b"x" * 100,
    "an event of many lines": b"data: xxxxxxxxx\n" * 10,
    "an event of many empty lines": b"data\n" * 100,
    "an event of many empty lines with a colon": b"data:\r\n" * 100,
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("wire", BOUNDS.values(), ids=BOUNDS)
def test_every_buffer_is_bounded(wire: bytes, step: int) -> None:
    """A line or an event without end is rejected, in every split."""
    with pytest.raises(MalformedStream, match="more than 64 bytes"):
        decoded(wire, step, longest=64)


def test_events_within_the_limit() -> None:
    """An event of exactly the maximum size, any number of times."""
    assert [Frame(b"x" * 50)] * 100 == decoded((b"data: " + b"x" * 50 + b"\n\n") * 100, 7, longest=64)


class Counting(bytes):
    """Bytes that count how often they are searched."""

    looked = 0

    def __contains__(self, other: object) -> bool:
        Counting.looked += len(self)
        return super().__contains__(other)  # type: ignore[operator]


def test_a_long_line_in_small_pieces_takes_linear_time() -> None:
    """Each piece of a line of 16 MB is searched once, not together with those before it."""
    size, step = 16 * 1024 * 1024 - 64, 1024
    piece = Counting(b"x" * step)
    decoder = SSEDecoder()
    Counting.looked = 0

    frames = decoder.feed(b"data: ")
    for _ in range(size // step):
        frames += decoder.feed(piece)
    frames += decoder.feed(b"\n\n")

    assert [size // step * step] == [len(frame.data) for frame in frames]
    assert Counting.looked <= 2 * size


def payloads(seed: int) -> Iterator[tuple[bytes, str]]:
    chance = random.Random(seed)
    alphabet = [b"a", b":", b" ", b"\n", b"data: x", b"\xef\xbb\xbf", "é\u2028".encode(), b"\xff", b"\0", b"{", b"}"]
    for _ in range(30):
        data = b"".join(chance.choices(alphabet, k=chance.randrange(12)))
        yield data, chance.choice(["", "message", "error", "é"])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("seed", range(20))
def test_encoded_events_are_decoded(seed: int, line_end: bytes) -> None:
    """With comments in between, and in every split."""
    events = list(payloads(seed))
    wire = b"".join(comment("ping", line_end=line_end) + encode(*event, line_end=line_end) for event in events)

    assert events == decoded(wire, 1 + seed)


def test_other_line_breaks_inside_data_become_line_feeds() -> None:
    """The format cannot distinguish them: a CR inside data must not end the field."""
    assert [(b"a\nb\nc\nd", "")] == decoded(encode(b"a\rb\r\nc\nd"), 4096)
