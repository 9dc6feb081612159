"""JSON lines, single documents, and bodies with a wrong content type."""

import pytest
from _samples import pieces

from mdstream_core.errors import MalformedStream
from mdstream_core.wire import FrameDecoder
from mdstream_core.wire.jsonlines import (
    DocumentDecoder,
    DocumentSniffingDecoder,
    JSONLinesDecoder,
    SniffingDecoder,
)

VECTORS: dict[str, tuple[type[FrameDecoder], bytes, list[bytes]]] = {
    "lines": (JSONLinesDecoder, b'{"a":1}\n{"b":2}\r\n\n{"c":3}', [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
    "a line": (JSONLinesDecoder, b' {"a":1}\r\n', [b'{"a":1}']),
    "an empty line": (JSONLinesDecoder, b" \r\n", []),
    "lines with U+2028": (JSONLinesDecoder, '{"a":"\u2028"}\n'.encode(), ['{"a":"\u2028"}'.encode()]),
    "a document": (DocumentDecoder, b' {"a":\n1}\n', [b'{"a":\n1}']),
    "no document": (DocumentDecoder, b" \n", []),
    "detected: events": (SniffingDecoder, b'data: {"a":1}\n\n', [b'{"a":1}']),
    "detected: events after a BOM and blank lines": (SniffingDecoder, b"\xef\xbb\xbf\n\ndata: a\n\n", [b"a"]),
    "detected: a comment first": (SniffingDecoder, b": {\n\ndata: a\n\n", [b"a"]),
    "detected: lines": (SniffingDecoder, b'{"a":1}\n{"b":2}\n\n', [b'{"a":1}', b'{"b":2}']),
    "detected: one document": (SniffingDecoder, b'  {"a":1}', [b'{"a":1}']),
    "detected: a document over lines": (SniffingDecoder, b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}']),
    "detected: a list": (SniffingDecoder, b'[{"a":1}]', [b'[{"a":1}]']),
    "detected: lines of lists": (SniffingDecoder, b'[{"a":1}]\n[{"b":2}]\n', [b'[{"a":1}]', b'[{"b":2}]']),
    "detected: a list over lines": (SniffingDecoder, b'[\n {"a": 1}\n]\n', [b'[\n {"a": 1}\n]']),
    "detected: a list of an object over lines": (SniffingDecoder, b'[{\n"a": 1}]', [b'[{\n"a": 1}]']),
    "declared as JSON: a list": (DocumentSniffingDecoder, b'[{"a":\n\n1}]', [b'[{"a":\n\n1}]']),
    "detected: one byte": (SniffingDecoder, b"{", [b"{"]),
    "detected: nothing": (SniffingDecoder, b"\n\n  ", []),
    "declared as JSON: a document": (DocumentSniffingDecoder, b'{"a":\n\n1}', [b'{"a":\n\n1}']),
    "declared as JSON: events": (DocumentSniffingDecoder, b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
@pytest.mark.parametrize(("kind", "wire", "expected"), VECTORS.values(), ids=VECTORS)
def test_decoding_in_every_split(kind: type[FrameDecoder], wire: bytes, expected: list[bytes], step: int) -> None:
    """Reads of any size."""
    decoder = kind()
    frames = [frame for data in pieces(wire, step) for frame in decoder.feed(data)]

    assert expected == [frame.data for frame in [*frames, *decoder.finish()]]


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize("kind", [JSONLinesDecoder, DocumentDecoder, SniffingDecoder, DocumentSniffingDecoder])
def test_every_buffer_is_bounded(kind: type[JSONLinesDecoder], step: int) -> None:
    """A line or a document without end is rejected."""
    decoder = kind(64)
    with pytest.raises(MalformedStream, match="more than 64 bytes"):
        for data in pieces(b'{"a":"' + b"x" * 100, step):
            decoder.feed(data)


@pytest.mark.parametrize("kind", [DocumentDecoder, DocumentSniffingDecoder])
def test_large_and_small_pieces_of_a_document(kind: type[JSONLinesDecoder]) -> None:
    """They are joined in their order, within the limit of the whole document."""
    document = b"[" + b",".join(b"%d" % number for number in range(20_000)) + b"]"
    ends = [1, 2, 50, 5_000, 5_001, 40_000, 40_007, 90_000, len(document)]
    cuts = [document[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    decoder = kind(len(document))
    assert [] == [frame for data in cuts for frame in decoder.feed(data)]
    assert [document] == [frame.data for frame in decoder.finish()]
    bounded = kind(len(document) - 1)
    with pytest.raises(MalformedStream, match="bytes"):
        for data in cuts:
            bounded.feed(data)


def test_blank_lines_before_the_response_are_not_buffered() -> None:
    """Some servers send them to keep the connection alive."""
    decoder = SniffingDecoder(64)
    for _ in range(1000):
        assert [] == decoder.feed(b"\r\n" * 100)

    assert [b"a"] == [frame.data for frame in decoder.feed(b"data: a\n\n")]
