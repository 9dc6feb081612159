"""Faults and oddities in the bytes of a response: error statuses, line ends, splitting, framing, compression."""

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
    """Send an error status: the row of `ERROR_RESPONSES` in `spelling`, or the given `status`, `code` and `message`."""
    own = oci_error(fault.status or 500, fault.code, fault.message)
    response = (ERROR_RESPONSES[fault.spelling] if fault.spelling else own).build_response()
    if fault.status is not None:
        response = replace(response, status=fault.status)
    return response if fault.retry_after is None else response.with_headers(("Retry-After", fault.retry_after))


def html(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send status 200 and an HTML page (by default a sign-in page) where the client expects a stream."""
    page = b"<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"
    return ResponsePlan(200, (("content-type", "text/html; charset=utf-8"),), (fault.data or page,), framing="length")


def json_body(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the response as one JSON document where a stream was requested; `spelling` is its `content-type`."""
    kind = fault.spelling or "application/json"
    return ResponsePlan(200, (("content-type", kind),), (fault.data or plan.whole,), framing="length")


def content_type(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send another `content-type` (`spelling`), or none if the spelling is empty; the body is unchanged."""
    if fault.spelling:
        return plan.with_headers(("content-type", fault.spelling))
    return replace(plan, headers=tuple(field for field in plan.headers if field[0].lower() != "content-type"))


def crlf(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End every line of the stream with CR LF."""
    return replace(plan, chunks=[chunk.replace(b"\n", b"\r\n") for chunk in plan.body_chunks])


def cr(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End every line of the stream with a lone CR."""
    return replace(plan, chunks=[chunk.replace(b"\n", b"\r") for chunk in plan.body_chunks])


def mixed(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """End the lines of each event differently: LF, CR LF, CR in turn."""
    ends = cycle((b"\n", b"\r\n", b"\r"))
    return replace(plan, chunks=[chunk.replace(b"\n", end) for chunk, end in zip(plan.body_chunks, ends, strict=False)])


def bom(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send a UTF-8 byte order mark before the first event."""
    return replace(plan, chunks=[b"\xef\xbb\xbf", *plan.body_chunks])


def unterminated(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Leave out the blank line after the last event."""
    *chunks, last = plan.body_chunks
    return replace(plan, chunks=[*chunks, last.rstrip(b"\r\n")])


def bytewise(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send `size` bytes (default 1) in each HTTP chunk and each write, so that characters and line ends are split."""
    return replace(plan, chunks=list(_split(b"".join(plan.body_chunks), fault.size or 1)), flush_each=True)


def joined(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the whole body in one HTTP chunk."""
    return replace(plan, chunks=(b"".join(plan.body_chunks),))


def content_length_too(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send both `Content-Length` and `Transfer-Encoding: chunked`."""
    return replace(plan, framing="both")


def fixed_length(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the body with `Content-Length` instead of chunks, which leaves no place for a trailer."""
    return replace(plan, framing="length")


def until_eof(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the body with neither length nor chunks; the end of the connection ends it."""
    return replace(plan, framing="eof")


def _compress_and_flush(chunks: list[bytes], window_bits: int) -> list[bytes]:
    compressor = zlib.compressobj(wbits=window_bits)
    return [*(compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH) for chunk in chunks), compressor.flush()]


def _gzip_members(chunks: list[bytes]) -> list[bytes]:
    """Compress each chunk as a gzip member; decompressed members are concatenated (RFC 1952 §2.2)."""
    return [gzip.compress(chunk, mtime=0) for chunk in chunks]


def _brotli(chunks: list[bytes]) -> list[bytes]:
    """Encode as Brotli without compression (RFC 7932 §9.2): uncompressed meta-blocks, an empty last one."""
    blocks = [block for chunk in chunks for block in _split(chunk, _BLOCK)]
    headers = [(len(block) - 1 << 3 | 1 << 19).to_bytes(3, "little") for block in blocks]
    if headers:  # the window bits precede the first block
        headers[0] = (int.from_bytes(headers[0], "little") << 1).to_bytes(3, "little")
    encoded_blocks = [head + block for head, block in zip(headers, blocks, strict=True)]
    return [*encoded_blocks, b"\x03" if encoded_blocks else b"\x06"]


_BLOCK = 65_536

#: Spelling to the name of the content encoding and the function that encodes a list of chunks.
ENCODINGS: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]] = {
    "gzip": ("gzip", lambda chunks: _compress_and_flush(chunks, 31)),
    "deflate": ("deflate", lambda chunks: _compress_and_flush(chunks, 15)),
    "gzip-members": ("gzip", _gzip_members),
    "br": ("br", _brotli),
}


def encoded(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Compress the stream event by event: `gzip`, `deflate`, `gzip-members` (each event is a gzip member), `br`."""
    name, write = ENCODINGS[fault.spelling or "gzip"]
    response = replace(plan, chunks=write(plan.wrapped_chunks), envelope=identity)
    return response.with_headers(("content-encoding", name))


def interim(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send `103 Early Hints` before the response."""
    return replace(plan, preface=b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")


def raw(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send exactly the bytes of `data`, status line included, then close the connection."""
    return ResponsePlan(chunks=(fault.data,), framing="bare", ending="cut")


def body(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the bytes of `data` as the body of the stream, in chunks of `size` bytes (default: one chunk)."""
    chunks = list(_split(fault.data, fault.size)) if fault.size else [fault.data]
    return replace(plan, chunks=chunks)


def transcript(plan: ResponsePlan, fault: Fault) -> ResponsePlan:
    """Send the response that is recorded in the file `path`, head and body, one event in each HTTP chunk."""
    data = Path(fault.path).read_bytes()
    head, found, body = data.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/"):
        return replace(plan, chunks=list(_events(data)))
    status_line, *fields = head.decode("latin-1").split("\r\n")
    header_fields = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    framing = "chunked" if any(name.lower() == "transfer-encoding" for name, _ in header_fields) else "length"
    other_fields = tuple(
        pair for pair in header_fields if pair[0].lower() not in {"transfer-encoding", "content-length", "connection"}
    )
    copied_fields = tuple(field for field in plan.headers if field[0].lower() in {"trailer", "opc-request-id"})
    return ResponsePlan(
        int(status_line.split()[1]), (*other_fields, *copied_fields), list(_events(body)), framing=framing
    )


def _events(data: bytes) -> Iterator[bytes]:
    *whole, rest = data.split(b"\n\n")
    yield from (event + b"\n\n" for event in whole)
    if rest:
        yield rest


def _split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
