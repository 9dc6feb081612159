"""Faults and oddities in how an answer is written: framing, line ends, splitting, encodings, whole other bodies."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from mdstream_core.emulator._response_plan import ResponsePlan, identity
from mdstream_core.emulator.faults._fault import Fault
from mdstream_core.emulator.faults.error_responses import ERROR_RESPONSES, oci_error


def refuse(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """An error status: a row of `ERROR_RESPONSES`, or `status`, `code` and `message` of your own."""
    own = oci_error(fault.status or 500, fault.code, fault.message)
    answer = (ERROR_RESPONSES[fault.spelling] if fault.spelling else own).build_response()
    if fault.status is not None:
        answer = replace(answer, status=fault.status)
    return answer if fault.retry_after is None else answer.with_headers(("Retry-After", fault.retry_after))


def html(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """200 and a page."""
    page = b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"
    return ResponsePlan(200, (("content-type", "text/html; charset=utf-8"),), (fault.data or page,), framing="length")


def json_body(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """200 and the answer as one JSON document where a stream was asked for. `spelling` is its content type."""
    kind = fault.spelling or "application/json"
    return ResponsePlan(200, (("content-type", kind),), (fault.data or plan.whole,), framing="length")


def content_type(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Another content type; an empty one leaves the header out."""
    if fault.spelling:
        return plan.with_headers(("content-type", fault.spelling))
    return replace(plan, headers=tuple(field for field in plan.headers if field[0].lower() != "content-type"))


def crlf(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Lines end with CR LF."""
    return replace(plan, chunks=[piece.replace(b"\n", b"\r\n") for piece in plan.body_chunks])


def cr(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Lines end with a lone CR."""
    return replace(plan, chunks=[piece.replace(b"\n", b"\r") for piece in plan.body_chunks])


def mixed(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Each event with another kind of line end."""
    ends = cycle((b"\n", b"\r\n", b"\r"))
    return replace(plan, chunks=[piece.replace(b"\n", end) for piece, end in zip(plan.body_chunks, ends, strict=False)])


def bom(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """A byte order mark first."""
    return replace(plan, chunks=[b"\xef\xbb\xbf", *plan.body_chunks])


def unterminated(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """No blank line after the last event."""
    *pieces, last = plan.body_chunks
    return replace(plan, chunks=[*pieces, last.rstrip(b"\r\n")])


def bytewise(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """`size` bytes (1) in each chunk and each write: characters and line ends are split."""
    return replace(plan, chunks=list(_split(b"".join(plan.body_chunks), fault.size or 1)), flush_each=True)


def joined(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """The whole body in one chunk."""
    return replace(plan, chunks=(b"".join(plan.body_chunks),))


def content_length_too(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Content-Length and Transfer-Encoding, both."""
    return replace(plan, framing="both")


def fixed_length(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Content-Length instead of chunks: no place for a trailer."""
    return replace(plan, framing="length")


def until_eof(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Neither length nor chunks: the end of the connection ends the body."""
    return replace(plan, framing="eof")


def _flushed(pieces: list[bytes], wbits: int) -> list[bytes]:
    squeeze = zlib.compressobj(wbits=wbits)
    return [*(squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH) for piece in pieces), squeeze.flush()]


def _members(pieces: list[bytes]) -> list[bytes]:
    """RFC 1952 §2.2: members follow one another, and their contents are joined."""
    return [gzip.compress(piece, mtime=0) for piece in pieces]


def _brotli(pieces: list[bytes]) -> list[bytes]:
    """RFC 7932 §9.2, without compressing: a window of 16 bits, uncompressed meta-blocks, an empty last one."""
    blocks = [block for piece in pieces for block in _split(piece, _BLOCK)]
    heads = [(len(block) - 1 << 3 | 1 << 19).to_bytes(3, "little") for block in blocks]
    if heads:  # the stream's own bit stands before the first block's
        heads[0] = (int.from_bytes(heads[0], "little") << 1).to_bytes(3, "little")
    written = [head + block for head, block in zip(heads, blocks, strict=True)]
    return [*written, b"\x03" if written else b"\x06"]


_BLOCK = 65_536

#: The name of a content coding, and what writes it piece by piece.
ENCODINGS: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]] = {
    "gzip": ("gzip", lambda pieces: _flushed(pieces, 31)),
    "deflate": ("deflate", lambda pieces: _flushed(pieces, 15)),
    "gzip-members": ("gzip", _members),
    "br": ("br", _brotli),
}


def encoded(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Compressed event by event: `gzip`, `deflate`, `gzip-members` (each event a member of its own), `br`."""
    name, write = ENCODINGS[fault.spelling or "gzip"]
    answer = replace(plan, chunks=write(plan.wrapped_chunks), envelope=identity)
    return answer.with_headers(("content-encoding", name))


def interim(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """`103 Early Hints` before the answer."""
    return replace(plan, preface=b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")


def raw(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Exactly these bytes, head and all, then the connection closes."""
    return ResponsePlan(chunks=(fault.data,), framing="bare", ending="cut")


def body(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """A stream of exactly these bytes, in chunks of `size` (all at once without)."""
    pieces = list(_split(fault.data, fault.size)) if fault.size else [fault.data]
    return replace(plan, chunks=pieces)


def transcript(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """What a real server once sent, head and body, in chunks of one event."""
    data = Path(fault.path).read_bytes()
    head, found, body = data.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/"):
        return replace(plan, chunks=list(_events(data)))
    line, *fields = head.decode("latin-1").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    framing = "chunked" if any(name.lower() == "transfer-encoding" for name, _ in pairs) else "length"
    kept = tuple(pair for pair in pairs if pair[0].lower() not in {"transfer-encoding", "content-length", "connection"})
    promise = tuple(field for field in plan.headers if field[0].lower() in {"trailer", "opc-request-id"})
    return ResponsePlan(int(line.split()[1]), (*kept, *promise), list(_events(body)), framing=framing)


def _events(data: bytes) -> Iterator[bytes]:
    *whole, rest = data.split(b"\n\n")
    yield from (event + b"\n\n" for event in whole)
    if rest:
        yield rest


def _split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
