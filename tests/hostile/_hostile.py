"""Helpers for the hostile tests: server scripts, and calls to all four platforms with both clients within bounds."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import pytest
from _raw_server import Peer, RawServer, Script

from mdstream_core import (
    AsyncClient,
    Call,
    Client,
    ModelArts,
    OCIModelDeployment,
    OpenAIChat,
    Retry,
    SageMaker,
    Timeout,
)
from mdstream_core.errors import MDStreamError
from mdstream_core.events import Event, ModelResponse
from mdstream_core.platforms import OCIGenerativeAI
from mdstream_core.wire.eventstream import encode

REQUEST = {"messages": [{"role": "user", "content": "Hello"}], "model": "m"}
OK = b"HTTP/1.1 200 OK\r\n"
STREAM = OK + b"content-type: text/event-stream\r\n"
CHUNKED = STREAM + b"transfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"

#: Maximum duration of a call in seconds, whatever the server does; the timeouts of the tests are far shorter.
BOUND = 20.0
#: Maximum memory of a call in bytes; the bursts are ten times as large.
MEMORY = 24 * 1024 * 1024


def event(text: str = "Hi", finish: str | None = None) -> bytes:
    """One event of a chat."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


HI, STOP, DONE = event(), event("", "stop"), b"data: [DONE]\n\n"
WHOLE = CHUNKED + chunk(HI) + chunk(STOP) + chunk(DONE) + END


def body_part(data: bytes) -> bytes:
    """A payload part of SageMaker's event stream."""
    return encode({":event-type": "PayloadPart", ":message-type": "event"}, data)


FRAMES = (
    OK + b"content-type: application/vnd.amazon.eventstream\r\nx-amzn-sagemaker-content-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)

#: platform: (the platform for a URL, the head of a stream, the frame of an event)
PLATFORMS: dict[str, tuple[Callable[[str], Any], bytes, Callable[[bytes], bytes]]] = {
    "oci-model-deployment": (lambda url: OCIModelDeployment(f"{url}/ocid1.x"), CHUNKED, bytes),
    "oci-genai": (
        lambda url: OCIGenerativeAI("ocid1.compartment.oc1..aaaa", "xai.grok-4", service_endpoint=url),
        CHUNKED,
        bytes,
    ),
    "sagemaker": (lambda url: SageMaker("e", "us-east-1", endpoint_url=url), FRAMES, body_part),
    "modelarts": (lambda url: ModelArts(f"{url}/v1/infers/x"), CHUNKED, bytes),
}


@dataclass
class Outcome:
    """The text received, the error, and the cost in seconds and bytes."""

    text: str
    error: MDStreamError | None
    seconds: float
    peak: int

    def is_bounded(self) -> bool:
        """Whether time and memory are within the bounds."""
        return self.seconds < BOUND and self.peak < MEMORY


Send = Callable[..., Outcome]


def _call(url: str, platform: str, *, stream: bool, **options: Any) -> Call:
    target = PLATFORMS[platform][0](url) if platform in PLATFORMS else ModelArts(url.replace("http", "ws", 1))
    options = {"retry": Retry(0), "timeout": Timeout(read=5, total=10), **options}
    return Call(target, OpenAIChat(), REQUEST, stream=stream, **options)


def _measured(read: Callable[[list[Event]], None], memory: bool) -> Outcome:
    events: list[Event] = []
    error: MDStreamError | None = None
    if memory:
        tracemalloc.start()
    started = time.monotonic()
    try:
        read(events)
    except MDStreamError as raised:
        error = raised
    finally:
        peak = tracemalloc.get_traced_memory()[1]  # 0 if it was not started
        tracemalloc.stop()
    model_response = (
        error.partial if error is not None and error.partial is not None else ModelResponse.from_events(events)
    )
    return Outcome(model_response.text, error, time.monotonic() - started, peak)


def send_sync(
    url: str, platform: str = "oci-model-deployment", *, stream: bool = True, auth: Any = None, http: Any = None,
    memory: bool = False, **options: Any,
) -> Outcome:  # fmt: skip
    """Send a request with the sync client."""
    client = Client(auth, http, **({} if http else {"trust_env": False}))

    def read(events: list[Event]) -> None:
        try:
            events.extend(client.stream(_call(url, platform, stream=stream, **options)))
        finally:
            client.close()

    return _measured(read, memory)


def send_async(
    url: str, platform: str = "oci-model-deployment", *, stream: bool = True, auth: Any = None, http: Any = None,
    memory: bool = False, **options: Any,
) -> Outcome:  # fmt: skip
    """Send a request with the async client, in a new event loop."""

    async def main(events: list[Event]) -> None:
        client = AsyncClient(auth, http, **({} if http else {"trust_env": False}))
        try:
            async for one in client.stream(_call(url, platform, stream=stream, **options)):
                events.append(one)  # noqa: PERF401
        finally:
            await client.aclose()

    return _measured(lambda events: asyncio.run(main(events)), memory)


both = pytest.mark.parametrize("send_request", [send_sync, send_async])
everywhere = pytest.mark.parametrize("platform", PLATFORMS)


def send_parts(*parts: bytes, end: str = "close") -> Script:
    """Create a script: read the request, send the parts, then `close`, `reset`, `shut` (half) or `wait` for the client."""

    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        peer.send(*parts, pause=0.02)
        if end == "reset":
            time.sleep(0.1)  # a reset discards data that the client has not read yet
            peer.reset()
        elif end == "shut":
            peer.sock.shutdown(1)
        if end in {"wait", "shut"}:
            server.note(peer.sees_end(BOUND))

    return script


def slow_stream(before: bytes, pieces: Iterator[bytes] | bytes, pause: float = 0.05) -> Script:
    """Create a script: read the request, send `before`, then a piece after each pause until the client disconnects."""

    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        peer.send(before)
        for piece in repeat(pieces) if isinstance(pieces, bytes) else pieces:
            time.sleep(pause)
            peer.sock.sendall(piece)

    return script


def burst(before: bytes, piece: bytes, size: int = 256 * 1024 * 1024) -> Script:
    """Create a script: read the request, send `before`, then the piece repeatedly, as fast as the client reads."""
    block = piece * max(1, 65_536 // len(piece))

    def script(server: RawServer, peer: Peer) -> None:
        server.requests.append(peer.request())
        peer.send(before)
        for _ in range(size // len(block)):
            peer.sock.sendall(block)

    return script
