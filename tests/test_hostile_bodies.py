"""Bodies that are made to cost much: bursts of tiny frames, huge messages, single bytes.

Each is read in linear time and bounded memory, other tasks go on in between, and the deadlines hold.
"""

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from _client_requests import Send, both
from _raw_server import Peer, RawServer, Script, serving
from _sagemaker import part
from test_transport_websocket import accept_handshake, frame, message

from mdstream_core import AsyncClient, Call, OCIModelDeployment, OpenAIChat, Retry, Timeout
from mdstream_core.errors import MalformedStream, MDStreamError, StreamStalled
from mdstream_core.events import Event, TextDelta
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import ModelArts, SageMaker
from mdstream_core.platforms._sagemaker_payload_parts import ContainerDecoder, PayloadPartDecoder, RawDecoder
from mdstream_core.wire.eventstream import EventStreamDecoder, encode
from mdstream_core.wire.jsonlines import DocumentDecoder, JSONLinesDecoder, SniffingDecoder
from mdstream_core.wire.sse import SSEDecoder
from mdstream_core.wire.websocket import WebSocketProtocol, encode_frame
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

EVENTS, LINES, FRAMES = b"text/event-stream", b"application/x-ndjson", b"application/vnd.amazon.eventstream"
TOKEN = b'{"choices":[{"delta":{"content":"x"}}]}'
TINY = b"data:%b\n\n" % TOKEN


def of_sagemaker(url: str) -> SageMaker:
    return SageMaker("e", "us-east-1", endpoint_url=url.rpartition("/")[0])


def over_websocket(url: str) -> ModelArts:
    return ModelArts(url.replace("http:", "ws:"))


def bursting(kind: bytes, unit: bytes, opening: bytes = b"") -> Script:
    """A script: the same again and again, as fast as it is read."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\n\r\n" + opening)
        while True:
            peer.send(unit * max(1, 65_536 // len(unit)))

    return script


def bursting_messages(unit: bytes, opening: bytes = b"") -> Script:
    """The same over a WebSocket, by a server that reads what it is answered."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.send(accept_handshake(peer.head()))
        message(peer)
        peer.send(opening)
        threading.Thread(target=peer.sees_end, args=(30,), daemon=True).start()
        while True:
            peer.send(unit * max(1, 65_536 // len(unit)))

    return script


#: What is sent without an end and holds no token.
NOTHING: dict[str, tuple[Callable[[str], Any], Script]] = {
    "comments": (OCIModelDeployment, bursting(EVENTS, b":\n\n")),
    "blank lines": (OCIModelDeployment, bursting(EVENTS, b"\n")),
    "carriage returns": (OCIModelDeployment, bursting(EVENTS, b"\r")),
    "empty events": (OCIModelDeployment, bursting(EVENTS, b"data:\n\n")),
    "names of events": (OCIModelDeployment, bursting(EVENTS, b"event:x\n\n")),
    "an event of empty lines": (OCIModelDeployment, bursting(EVENTS, b"data\n")),
    "empty objects": (OCIModelDeployment, bursting(EVENTS, b"data:{}\n\n")),
    "no choices": (OCIModelDeployment, bursting(EVENTS, b'data:{"choices":[]}\n\n')),
    "an error page": (OCIModelDeployment, bursting(EVENTS, b"<a\n")),
    "objects in lines": (OCIModelDeployment, bursting(LINES, b"{}\n")),
    "spaces in lines": (OCIModelDeployment, bursting(LINES, b" \n")),
    "empty payloads": (of_sagemaker, bursting(FRAMES, part(b""))),
    "payloads of comments": (of_sagemaker, bursting(FRAMES, part(b":\n\n" * 300))),
    "payloads of one byte": (of_sagemaker, bursting(FRAMES, part(b":"))),
    "other messages": (of_sagemaker, bursting(FRAMES, encode({":message-type": "event", ":event-type": "x"}))),
    "empty messages": (over_websocket, bursting_messages(b"\x81\x00")),
    "messages of objects": (over_websocket, bursting_messages(frame(b"{}"))),
    "messages of comments": (over_websocket, bursting_messages(frame(b":"))),
    "pings": (over_websocket, bursting_messages(b"\x89\x00")),
    "long pings": (over_websocket, bursting_messages(frame(b"p" * 125, 0x89))),
    "pongs": (over_websocket, bursting_messages(b"\x8a\x00")),
    "parts of a message": (over_websocket, bursting_messages(b"\x00\x01 ", b"\x01\x01 ")),
    "empty parts": (over_websocket, bursting_messages(b"\x00\x00", b"\x01\x01 ")),
}


def lag_of(platform: Callable[[str], Any], script: Script, timeout: Timeout) -> tuple[float, list[Event], Any]:
    """The most seconds of this thread's own work between two turns of another task; the events, and the error."""

    async def main(url: str) -> tuple[float, list[Event], Any]:
        client = AsyncClient(trust_env=False)
        call = Call(platform(f"{url}/ocid1.x"), OpenAIChat(), {"messages": []}, retry=Retry(0), timeout=timeout)
        worst, events, error = 0.0, [], None

        async def watch() -> None:
            nonlocal worst
            while True:
                began = time.thread_time()  # not the time that the server's thread, or another process, takes
                await asyncio.sleep(0.005)
                worst = max(worst, time.thread_time() - began)

        client._get_sender()  # its TLS context is no part of this
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.02)
        worst = 0.0
        try:
            async for event in client.stream(call):
                events.append(event)  # noqa: PERF401  # what came before an error is wanted
        except MDStreamError as caught:
            error = caught
        await asyncio.sleep(0.01)
        watching.cancel()
        await client.aclose()
        return worst, events, error

    gc.freeze()  # what other tests have left is not searched in the middle of this one
    try:
        with serving(script) as server:
            return asyncio.run(main(server.url))
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("platform", "script"), NOTHING.values(), ids=NOTHING)
def test_a_burst_of_nothing_is_a_silence(platform: Callable[[str], Any], script: Script) -> None:
    """
    It is no progress: the first token is missing when its time is over, and the loop was free all the time.
    """
    began = time.monotonic()
    worst, events, error = lag_of(platform, script, Timeout(read=60, first_token=0.15, total=60))

    assert isinstance(error, StreamStalled)
    assert "timeout.first_token" in str(error)
    assert [] == events
    assert worst < 0.5
    assert time.monotonic() - began < 5


#: The smallest tokens that there are, without an end.
TOKENS: dict[str, tuple[Callable[[str], Any], Script]] = {
    "events": (OCIModelDeployment, bursting(EVENTS, TINY)),
    "lines": (OCIModelDeployment, bursting(LINES, TOKEN + b"\n")),
    "payloads": (of_sagemaker, bursting(FRAMES, part(TINY))),
    "payloads of one byte": (of_sagemaker, bursting(FRAMES, b"".join(part(bytes([byte])) for byte in TINY))),
    "messages": (over_websocket, bursting_messages(frame(TOKEN))),
    "large messages": (over_websocket, bursting_messages(encode_frame(1, TINY * 20_000))),
    "large payloads": (of_sagemaker, bursting(FRAMES, part(TINY * 20_000))),
}


@pytest.mark.parametrize(("platform", "script"), TOKENS.values(), ids=TOKENS)
def test_a_burst_of_tokens_ends_with_the_time(platform: Callable[[str], Any], script: Script) -> None:
    """
    As many tokens as there is time for, and then the timeout, with all of them in the partial.
    """
    began = time.monotonic()
    worst, events, error = lag_of(platform, script, Timeout(read=60, total=0.3))

    assert isinstance(error, StreamStalled)
    assert "timeout.total" in str(error)
    assert error.partial.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert len(events) > 100
    assert worst < 0.5
    assert time.monotonic() - began < 10


@both
@pytest.mark.parametrize("name", ["comments", "empty payloads", "pings", "empty parts"])
def test_threads_have_deadlines_too(send_request: Send, name: str) -> None:
    """
    The whole time, for both clients.
    """
    platform, script = NOTHING[name]
    with serving(script) as server, pytest.raises(StreamStalled, match=r"timeout\.total"):
        send_request(server, platform=platform, timeout=Timeout(read=60, total=0.15))


# A large read is decoded in portions

HEADS = {
    "events": (OCIModelDeployment, ResponseHead(200, {"content-type": "text/event-stream"}), TINY * 1000),
    "lines": (OCIModelDeployment, ResponseHead(200, {"content-type": "application/x-ndjson"}), (TOKEN + b"\n") * 1000),
    "payloads": (of_sagemaker, ResponseHead(200, {"content-type": FRAMES.decode()}), part(TINY) * 1000),
    "one payload": (of_sagemaker, ResponseHead(200, {"content-type": FRAMES.decode()}), part(TINY * 1000)),
    "a large payload": (of_sagemaker, ResponseHead(200, {"content-type": FRAMES.decode()}), part(TINY * 10_000)),
    "messages": (over_websocket, ResponseHead(200, {"content-type": CONTENT_TYPE}), frame(TOKEN) * 1000),
    "one message": (over_websocket, ResponseHead(200, {"content-type": CONTENT_TYPE}), encode_frame(1, TINY * 1000)),
    "a large message": (
        over_websocket,
        ResponseHead(200, {"content-type": CONTENT_TYPE}),
        encode_frame(1, TINY * 10_000),
    ),
}
every_head = pytest.mark.parametrize(("platform", "head", "body"), HEADS.values(), ids=HEADS)


def portions(platform: Callable[[str], Any], head: ResponseHead, reads: Iterable[bytes]) -> Iterator[list[Event]]:
    """The events of each step, as the clients take them."""
    attempt = Call(platform("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), {"messages": []}).create_attempt()
    attempt.start(head)
    for data in reads:
        yield attempt.feed(data)
        while attempt.has_pending_frames:
            yield attempt.feed(b"")


@every_head
@pytest.mark.parametrize("step", [65_536, 10**9])
def test_no_step_has_very_many_events(
    platform: Callable[[str], Any], head: ResponseHead, body: bytes, step: int
) -> None:
    """
    Whatever a read or a message holds; and none is lost.
    """
    reads = [body[at : at + step] for at in range(0, len(body), step)]
    steps = list(portions(platform, head, reads))

    assert max(map(len, steps)) <= 256
    assert body.count(b"choices") == sum(isinstance(event, TextDelta) for events in steps for event in events)


#: What cannot be read, by the framing.
WRONG = {
    EVENTS.decode(): b"data:<<<\n\n",
    LINES.decode(): b"<<<\n",
    FRAMES.decode(): part(TINY)[:-1] + b"\xff",
    CONTENT_TYPE: b"\xf1\x01x",
}


@every_head
@pytest.mark.parametrize("step", [65_536, 10**9])
def test_what_is_wrong_in_a_large_read_comes_behind_its_events(
    platform: Callable[[str], Any], head: ResponseHead, body: bytes, step: int
) -> None:
    """
    The error is raised where it stands, after all that was right before it.
    """
    wrong = body + WRONG[head.content_type]
    attempt = Call(platform("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), {"messages": []}).create_attempt()
    attempt.start(head)
    events: list[Event] = []
    with pytest.raises(MalformedStream):
        for at in range(0, len(wrong), step):
            events += attempt.feed(wrong[at : at + step])
            while attempt.has_pending_frames:
                events += attempt.feed(b"")
        attempt.finish()
    assert body.count(b"choices") == sum(isinstance(event, TextDelta) for event in events)


def test_a_large_message_takes_little_memory() -> None:
    """
    Its frames are not built before they are needed.
    """
    body = encode_frame(1, b"data:x\n\n" * 80_000)
    decoder = MessageDecoder()
    tracemalloc.start()
    try:
        for at in range(0, len(body), 65_536):
            for _ in decoder.feed(body[at : at + 65_536]):
                pass
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024  # the frames at one go take some 12 MB
    finally:
        tracemalloc.stop()


# Single bytes


def payload_parts() -> PayloadPartDecoder:
    return PayloadPartDecoder(ContainerDecoder())


def lines_as_written() -> RawDecoder:
    return RawDecoder(lines=True)


def conversation() -> Any:
    dialog = WebSocketProtocol(client=True)
    feed = dialog.feed
    dialog.feed = lambda data: (feed(data), dialog.bytes_to_send())[0]  # type: ignore[method-assign]
    return dialog


#: A decoder, and a body of about so many bytes.
BODIES: dict[str, tuple[Callable[[], Any], Callable[[int], bytes]]] = {
    "an unfinished event": (SSEDecoder, lambda size: b"data: " + b"x" * size),
    "an event of many lines": (SSEDecoder, lambda size: b"data:x\n" * (size // 7)),
    "carriage returns": (SSEDecoder, lambda size: b"\r" * size),
    "an error page": (SSEDecoder, lambda size: b"<a\n" * (size // 3)),
    "an unfinished line": (JSONLinesDecoder, lambda size: b"[" * size),
    "a document": (DocumentDecoder, lambda size: b"[" * size),
    "spaces": (SniffingDecoder, lambda size: b" " * size),
    "an unfinished message": (EventStreamDecoder, lambda size: part(b"x" * size)),
    "messages of one byte": (payload_parts, lambda size: part(b"{") * (size // 110)),
    "a container's line": (ContainerDecoder, lambda size: b"{" + b"x" * size),
    "a line as it was written": (lines_as_written, lambda size: b"x" * size),
    "an unfinished WebSocket message": (MessageDecoder, lambda size: encode_frame(1, b"x" * size)),
    "WebSocket messages of one byte": (MessageDecoder, lambda size: frame(b"1") * (size // 3)),
    "parts of a WebSocket message": (conversation, lambda size: b"\x01\x01x" + b"\x00\x01x" * (size // 3)),
    "pings": (conversation, lambda size: b"\x89\x00" * (size // 2)),
}


def seconds(decoder: Any, body: bytes, step: int) -> float:
    began = time.process_time()
    for at in range(0, len(body), step):
        for _ in decoder.feed(body[at : at + step]):
            pass
    return time.process_time() - began


@pytest.mark.parametrize(("make", "body"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("step", [1, 65_536])
def test_time_grows_with_the_bytes(make: Callable[[], Any], body: Callable[[int], bytes], step: int) -> None:
    """
    Four times as many take about four times as long, in single bytes and in large reads; sixteen would be quadratic.
    """
    size = 4_000 if step == 1 else 25_000

    def best(of: int) -> float:
        return min(seconds(make(), body(of), step) for _ in range(3))

    assert best(4 * size) < 9 * best(size) + 0.01


@pytest.mark.parametrize(
    "unit", [b"x" * 997, b"data\n" * 200, b"<ab\n" * 200, b"data:ab\n" * 200], ids=lambda unit: unit[:5]
)
def test_an_event_without_an_end_has_a_limit(unit: bytes) -> None:
    """
    One line, and any number of short ones, which cost more memory than they have bytes.
    """
    decoder = SSEDecoder(max_size=500_000)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedStream, match="500000 bytes"):
            for _ in range(2000):
                assert [] == decoder.feed(unit)
        assert tracemalloc.get_traced_memory()[1] < 5 * 500_000
    finally:
        tracemalloc.stop()


@both
def test_a_line_without_an_end_ends_the_stream(send_request: Send) -> None:
    """
    At 16 MiB, in both clients.
    """
    with (
        serving(bursting(EVENTS, b"x" * 65_536, TINY + b"data: ")) as server,
        pytest.raises(MalformedStream, match="16777216 bytes") as caught,
    ):
        send_request(server, timeout=Timeout(read=60, total=60))
    assert "x" == caught.value.partial.text
