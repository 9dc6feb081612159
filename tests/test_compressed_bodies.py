"""Compressed bodies over real sockets: compression bombs, truncated and corrupt bodies, stacked codings."""

import asyncio
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import anyio
import httpx
import pytest
import trio
from _client_requests import Send, both, sync
from _framework_methods import METHODS, WHOLE_METHODS, Method, every_method
from _framework_methods import send_request as ask_framework
from _oci_genai import COMPARTMENT
from _raw_server import respond_with, serving
from _sagemaker import part
from test_decompression import deflated

from mdstream_core import AsyncClient, Call, OCIGenerativeAI, OCIModelDeployment, OpenAIChat, Retry, Timeout
from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.events import ModelResponse
from mdstream_core.http import Request
from mdstream_core.platforms import ModelArts, SageMaker
from mdstream_core.transport.decompression import MAX_CODINGS, RATIO_CHECK_FROM
from mdstream_core.transport.fetch import fetch

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

EVENTS, LINES, FRAMES = "text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream"


def event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"choices": [choice]}, separators=(",", ":")).encode()


def sse(*payloads: bytes) -> bytes:
    return b"".join(b"data: %b\n\n" % payload for payload in payloads)


WORDS = [f" word{number * 7919}" for number in range(30)]
CONTENT = "".join(WORDS)
PAYLOADS = [*map(event, WORDS), event("", "stop")]
STREAM = sse(*PAYLOADS, b"[DONE]")
OPEN = sse(*PAYLOADS[:-1])  # what came before a bomb
WHOLE = json.dumps({"choices": [{"message": {"content": CONTENT}, "finish_reason": "stop"}]}).encode()


def head(coding: str, kind: str = EVENTS, status: str = "200 OK") -> bytes:
    fields = f"content-type: {kind}\r\ncontent-encoding: {coding}\r\ntransfer-encoding: chunked\r\n"
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode()


def chunked(body: bytes, step: int = 65_536, trailer: bytes = b"") -> bytes:
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n" + trailer + b"\r\n"


#: The four platforms at the URL of a test server, and the encoding of their streams.
SERVICES: dict[str, tuple[Callable[[str], Any], str, bytes]] = {
    "oci-model-deployment": (OCIModelDeployment, EVENTS, STREAM),
    "oci-genai": (
        lambda url: OCIGenerativeAI(COMPARTMENT, "m", service_endpoint=url.rpartition("/")[0]),
        EVENTS,
        STREAM,
    ),
    "sagemaker": (
        lambda url: SageMaker("e", "us-east-1", endpoint_url=url.rpartition("/")[0]),
        FRAMES,
        b"".join(part(sse(payload)) for payload in (*PAYLOADS, b"[DONE]")),
    ),
    "modelarts": (ModelArts, EVENTS, STREAM),
    "json lines": (OCIModelDeployment, LINES, b"".join(payload + b"\n" for payload in PAYLOADS)),
}
every_service = pytest.mark.parametrize(("platform", "kind", "body"), SERVICES.values(), ids=SERVICES)


@both
@every_service
def test_each_service_is_read_through_each_coding(
    send_request: Send, platform: Callable[[str], Any], kind: str, body: bytes
) -> None:
    """In one chunk and in chunks of one byte; raw deflate is among them."""
    for coding, wbits in (("gzip", 31), ("deflate", 15), ("deflate", -15)):
        for step in (65_536, 1):
            with serving(respond_with(head(coding, kind), chunked(deflated(body, wbits), step))) as server:
                assert CONTENT == ModelResponse.from_events(send_request(server, platform=platform)).text


@both
def test_the_first_read_of_raw_deflate_may_be_one_byte(send_request: Send) -> None:
    """It is a TCP segment of its own, so that it is a read of its own."""
    for coding, wbits in (("deflate", -15), ("deflate", 15), ("gzip", 31)):
        body = deflated(STREAM, wbits)
        first, rest = b"1\r\n%b\r\n" % body[:1], chunked(body[1:])
        with serving(respond_with(head(coding), first, rest, pause=0.05)) as server:
            assert CONTENT == ModelResponse.from_events(send_request(server)).text


@both
@every_service
def test_text_before_a_corrupt_byte_is_in_the_partial(
    send_request: Send, platform: Callable[[str], Any], kind: str, body: bytes
) -> None:
    """All in one read: the text of the complete events before it is delivered, and is in the partial response."""
    for at in (0.3, 0.6, 0.9):
        start, rest = body[: int(len(body) * at)], body[int(len(body) * at) :]
        squeeze = zlib.compressobj(wbits=31)
        corrupt = squeeze.compress(start) + squeeze.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 8 + deflated(rest, -15)
        with serving(respond_with(head("gzip", kind) + chunked(corrupt))) as server:
            with pytest.raises(MalformedStream) as caught:
                send_request(server, platform=platform)
            assert "DecodingError" == caught.value.code
            assert 5 < len(caught.value.partial.text)
            assert CONTENT.startswith(caught.value.partial.text)
            assert ModelResponse.from_events(caught.value.events).text == caught.value.partial.text


@both
@pytest.mark.parametrize("platform", [OCIModelDeployment, ModelArts])
def test_a_wrong_checksum_loses_no_text(send_request: Send, platform: Callable[[str], Any]) -> None:
    """It is an error, and all text is in the partial response."""
    corrupt = bytearray(deflated(STREAM))
    corrupt[-8] ^= 1
    with serving(respond_with(head("gzip") + chunked(bytes(corrupt)))) as server:
        with pytest.raises(MalformedStream, match="incorrect data check") as caught:
            send_request(server, platform=platform)
        assert CONTENT == caught.value.partial.text


@both
def test_a_truncated_body_is_an_interruption(send_request: Send) -> None:
    """
    Cut anywhere before its finish reason: all text that can be inflated is in the partial. Behind it the stream is
    whole, though its gzip trailer is not: some servers flush, and never end what they compress.
    """
    body = deflated(STREAM, flush_after=len(STREAM) // 12)
    for end in range(15, len(body), max(1, len(body) // 25)):
        inflated = zlib.decompressobj(wbits=31).decompress(body[:end])
        content = "".join(word for word in WORDS if sse(event(word)) in inflated)
        with serving(respond_with(head("gzip") + chunked(body[:end]))) as server:
            if sse(PAYLOADS[-1], b"[DONE]") in inflated:
                assert CONTENT == ModelResponse.from_events(send_request(server)).text
                continue
            with pytest.raises(StreamInterrupted) as caught:
                send_request(server)
            partial = caught.value.partial
            assert content == (partial.text if partial else "")


@pytest.mark.parametrize("call_method", WHOLE_METHODS, ids=lambda call_method: call_method.__name__)
def test_a_truncated_document_is_an_interruption(call_method: Method) -> None:
    """A response that is not streamed, in both frameworks."""
    body = deflated(WHOLE)
    assert CONTENT == ask_framework(call_method, body, b"application/json", b"gzip").text
    for end in (12, len(body) // 2, len(body) - 12):
        with pytest.raises(StreamInterrupted):
            ask_framework(call_method, body[:end], b"application/json", b"gzip")


@both
def test_the_trailer_after_a_compressed_body(send_request: Send) -> None:
    """OCI's trailer fields follow the compressed body, and are not compressed."""
    failed = b"StreamFailure: ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ServiceTimeout\r\n"
    for truncated in (0, 8):  # with gzip's own trailer, and without
        body = deflated(STREAM)
        with (
            serving(respond_with(head("gzip") + chunked(body[: len(body) - truncated], trailer=failed))) as server,
            pytest.raises(StreamFailure) as caught,
        ):
            send_request(server)
        assert CONTENT == caught.value.partial.text


# Codings on top of each other

#: The header's value, and the `wbits` of each coding in the order in which they are applied.
STACKS = {
    "gzip, gzip": (31, 31),
    "deflate, gzip": (15, 31),
    "deflate,gzip": (-15, 31),
    "gzip, deflate": (31, -15),
    "x-gzip , identity,, GZIP": (31, 31),
    "identity, deflate": (-15,),
    "x-gzip, identity": (31,),
    ", ".join(["gzip"] * MAX_CODINGS): (31,) * MAX_CODINGS,
}


@both
@pytest.mark.parametrize(("coding", "applied"), STACKS.items(), ids=STACKS)
@pytest.mark.parametrize("step", [1, 65_536])
def test_stacked_codings(send_request: Send, coding: str, applied: tuple[int, ...], step: int) -> None:
    """Decoded from the last to the first (RFC 9110 §8.4), in reads of any size."""
    body = STREAM
    for wbits in applied:
        body = deflated(body, wbits)
    with serving(respond_with(head(coding), chunked(body, step))) as server:
        assert CONTENT == ModelResponse.from_events(send_request(server)).text


@both
@pytest.mark.parametrize("most", [MAX_CODINGS + 1, 100, 5000])
def test_too_many_codings_are_an_error(send_request: Send, most: int) -> None:
    """Before anything is decompressed; for an error response, its status decides."""
    coding = ",".join(["gzip"] * most)
    with serving(respond_with(head(coding), chunked(b"x"))) as server, pytest.raises(MalformedStream) as caught:
        send_request(server)
    assert "DecodingError" == caught.value.code
    assert f"{most} content-encodings, more than {MAX_CODINGS}" in str(caught.value)
    with (
        serving(respond_with(head(coding, status="503 No"), chunked(b"x"))) as server,
        pytest.raises(ServerError, match="503"),
    ):
        send_request(server)


# Bombs


@cache
def bomb(start: bytes, unit: bytes, size: int = RATIO_CHECK_FROM * 5 // 4, wbits: int = 31) -> bytes:
    """A small body that inflates to `size` bytes."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = unit * (65_536 // len(unit))
    parts = [squeeze.compress(start), *(squeeze.compress(block) for _ in range(size // len(block))), squeeze.flush()]
    return b"".join(parts)


COMMENT = b": " + bytes(4094).replace(b"\0", b"-") + b"\n"  # long lines: it is the inflating that is tried

#: What the bodies are made of, and their content type.
BOMBS = {
    "comments": (OPEN, COMMENT, EVENTS),
    "zeros": (OPEN, b"\0", EVENTS),
    "json lines": (b"".join(payload + b"\n" for payload in PAYLOADS[:-1]), b" " * 4095 + b"\n", LINES),
}
every_bomb = pytest.mark.parametrize(("start", "unit", "kind"), BOMBS.values(), ids=BOMBS)


@both
@every_bomb
def test_a_bomb_ends_in_an_error_with_the_partial(send_request: Send, start: bytes, unit: bytes, kind: str) -> None:
    """Reading stops at a limit, with little memory, and earlier text is in the partial response."""
    body = bomb(start, unit)
    with serving(respond_with(head("gzip", kind), chunked(body))) as server, pytest.raises(MalformedStream) as caught:
        send_request(server, timeout=Timeout(read=60, total=60))
    assert CONTENT == caught.value.partial.text
    if unit != b"\0":  # a line of 16 MiB meets its own limit, a little earlier
        assert "DecodingError" == caught.value.code
        assert "compression bomb" in str(caught.value)


def test_the_memory_does_not_grow_with_a_bomb() -> None:
    """Processed data is not kept."""
    body = bomb(OPEN, COMMENT)
    with serving(respond_with(head("gzip"), chunked(body))) as server:
        call = partial(Call, OCIModelDeployment(f"{server.url}/ocid1.x"), OpenAIChat(), {"messages": []})

        async def main() -> None:
            client = AsyncClient(trust_env=False)
            async for _ in client.stream(call(retry=Retry(0))):
                pass

        tracemalloc.start()
        try:
            with pytest.raises(MalformedStream, match="compression bomb"):
                asyncio.run(main())
            assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
        finally:
            tracemalloc.stop()


@every_method
def test_a_bomb_in_both_frameworks(call_method: Method) -> None:
    """The error is mdstream's, with the partial response."""
    with pytest.raises(MalformedStream, match="compression bomb") as caught:
        ask_framework(call_method, bomb(OPEN, COMMENT), coding=b"gzip")
    assert CONTENT == caught.value.partial.text


@pytest.mark.parametrize("call_method", [*METHODS, *WHOLE_METHODS], ids=lambda call_method: call_method.__name__)
def test_a_document_that_is_a_bomb(call_method: Method) -> None:
    """The limit of a frame is reached at about the same size, also if the document is declared as a stream."""
    body = bomb(WHOLE[:-1] + b',"x":"', b"0")
    with pytest.raises(MalformedStream, match=r"16777216 bytes|compression bomb"):
        ask_framework(call_method, body, b"application/json", b"gzip")


@both
def test_the_body_of_an_error_response_that_is_a_bomb(send_request: Send) -> None:
    """The status decides, and only the beginning of the body is read."""
    for coding, wbits in (("gzip", 31), ("deflate", -15)):
        body = bomb(b'{"message":"too busy', b" ", wbits=wbits)
        with serving(respond_with(head(coding, "application/json", "503 No"), chunked(body))) as server:
            began = time.process_time()
            with pytest.raises(ServerError, match="503"):
                send_request(server)
            assert time.process_time() - began < 2


@both
def test_a_bomb_within_a_bomb(send_request: Send) -> None:
    """Each coding of a stack has its own limits."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    inner = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = COMMENT * 256
    parts = [squeeze.compress(inner.compress(OPEN))]
    parts += [squeeze.compress(inner.compress(block)) for _ in range(20)]
    body = b"".join(parts) + squeeze.compress(inner.flush()) + squeeze.flush()
    with serving(respond_with(head("gzip, gzip"), chunked(body))) as server, pytest.raises(MalformedStream) as caught:
        send_request(server, timeout=Timeout(read=60, total=60))
    assert "compression bomb" in str(caught.value)
    assert CONTENT == caught.value.partial.text


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
def test_a_token_that_is_a_bomb(coding: str) -> None:
    """Responses for signers are small, and only that much is decompressed."""
    body = bomb(b'{"token":"', b"x")
    body = deflated(body) if "," in coding else body
    with (
        serving(respond_with(head(coding, "application/json"), chunked(body))) as server,
        pytest.raises(ConnectionFailed, match="where a token was expected"),
    ):
        fetch(Request("GET", server.url, {}, b""), trust_env=False)


# Between two pieces

DEADLINES = {
    "total": (Timeout(read=60, total=0.4), r"timeout\.total"),
    "first token": (Timeout(read=60, first_token=0.4, total=60), r"timeout\.first_token"),
    "read": (Timeout(read=0.4, total=60), r"timeout\.read"),
}
#: One read of these inflates to more lines than the timeout allows.
ENDLESS = b": \n\n: 12345\n" * 8


@both
@pytest.mark.parametrize(("timeout", "words"), DEADLINES.values(), ids=DEADLINES)
def test_timeouts_are_checked_between_pieces(send_request: Send, timeout: Timeout, words: str) -> None:
    """One read inflates to comments that take longer than the timeout."""
    start = OPEN if "first" not in words else b""
    body = bomb(start, ENDLESS, 15 * 1024 * 1024)
    began = time.monotonic()
    with (
        serving(respond_with(head("gzip"), chunked(body))) as server,
        pytest.raises(StreamStalled, match=words) as caught,
    ):
        send_request(server, timeout=timeout)
    assert time.monotonic() - began < 5
    assert not start or CONTENT == caught.value.partial.text


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"])
def test_other_tasks_run_between_pieces(run: Callable[[Any], Any]) -> None:
    """Under both event loops, many times while one read is decompressed."""
    body = bomb(OPEN, ENDLESS, 4 * 1024 * 1024)

    async def main(url: str) -> int:
        turns, over = 0, False
        client = AsyncClient(trust_env=False)

        async def count() -> None:
            nonlocal turns
            while not over:
                turns += 1
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count)
            call = Call(OCIModelDeployment(f"{url}/ocid1.x"), OpenAIChat(), {"messages": []}, retry=Retry(0))
            with pytest.raises(StreamInterrupted):
                async for event in client.stream(call):
                    turns = 0 if event else turns  # only those after the last event belong to one read
            over = True
        await client.aclose()
        return turns

    with serving(respond_with(head("gzip"), chunked(body))) as server:
        assert run(main(server.url)) > 5


# What httpx inflates


@pytest.mark.skipif(zstandard is None, reason="httpx reads zstd only where the package zstandard is installed")
@pytest.mark.filterwarnings("ignore:this http_client cannot see HTTP trailers")
@both
def test_a_coding_of_the_users_own_client_has_limits_too(send_request: Send) -> None:
    """
    httpx inflates it, one read at a go; the ratio and the total hold for what comes out.
    """
    kind: Any = httpx.AsyncClient if send_request.__name__ == "asyn" else httpx.Client
    squeeze = zstandard.ZstdCompressor(level=3).compressobj()
    parts = [squeeze.compress(OPEN) + squeeze.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
    parts += [squeeze.compress(COMMENT * 16) for _ in range(RATIO_CHECK_FROM * 5 // 4 // 65_536)]
    body = b"".join(parts) + squeeze.flush()
    with serving(respond_with(head("zstd"), chunked(body, 512))) as server, pytest.raises(MDStreamError) as caught:
        send_request(
            server,
            http=kind(headers={"accept-encoding": "gzip, zstd"}),
            headers={"accept-encoding": "gzip, zstd"},
            timeout=Timeout(read=60, total=60),
        )
    assert isinstance(caught.value, MalformedStream)
    assert "compression bomb" in str(caught.value)
    assert CONTENT == caught.value.partial.text


@pytest.mark.filterwarnings("ignore:this http_client cannot see HTTP trailers")
def test_a_body_that_an_event_hook_has_read() -> None:
    """
    Is in memory already; it is read in pieces all the same, and raw deflate is read by httpx.
    """
    client = httpx.Client(event_hooks={"response": [lambda response: response.read()]}, trust_env=False)
    with serving(respond_with(head("gzip"), chunked(deflated(STREAM)))) as server:
        assert CONTENT == ModelResponse.from_events(sync(server, http=client)).text
