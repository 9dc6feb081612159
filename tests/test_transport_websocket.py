"""Requests over a WebSocket: the handshake, the message with the request, and every way to end."""

import ast
import asyncio
import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import trio
from _raw_server import Peer, RawServer, certificates, proxying, respond_with, serving
from test_sync_async_variants import stripped

from mdstream_core import AsyncClient, Call, Client, OpenAIChat, Retry, Timeout
from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    PermissionDenied,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.events import Event, ModelResponse
from mdstream_core.platforms import ModelArts
from mdstream_core.transport import async_http_client, http_client

TRANSPORT = Path(__file__).parent.parent / "mdstream_core/transport"
REQUEST = {"messages": [{"role": "user", "content": "Hello"}], "model": "m"}


class ShortDrainPlatform(ModelArts):
    """Platform with a short `drain_timeout`."""

    drain_timeout: ClassVar[float] = 0.3


def frame(data: bytes, first: int = 0x81) -> bytes:
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
    return bytes([first]) + size + data


HI = frame(b'{"choices":[{"delta":{"content":"Hi"}}]}')
STOP = frame(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
USAGE = frame(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
DONE = frame(b"[DONE]")
WHOLE = frame(b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}')
PING, BYE = b"\x89\x01?", b"\x88\x02\x03\xe8"

Then = Callable[[RawServer, Peer], None]


def accept_handshake(head: bytes, key: bytes | None = None) -> bytes:
    """The server's response to the handshake (RFC 6455 §4.2.2)."""
    own = head.lower().partition(b"sec-websocket-key: ")[0]
    key = key or head[len(own) :].split(b"\r\n")[0].split(b": ")[1]
    digest = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nX-Request-Id: r-1\r\nSec-WebSocket-Accept: " + digest
    return b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n\r\n"


def message(peer: Peer) -> tuple[int, bytes]:
    """Read one frame of the client: its opcode and its unmasked payload."""
    data = peer._buffer
    while len(data) < 2 or len(data) < (need := length(data)):
        piece = peer.sock.recv(65_536)
        if not piece:
            return -1, b""
        data += piece
    peer._buffer = data[need:]
    at = 4 if data[1] & 127 == 126 else 2
    mask, content = data[at : at + 4], data[at + 4 : need]
    return data[0], bytes(byte ^ mask[n % 4] for n, byte in enumerate(content))


def length(data: bytes) -> int:
    size = data[1] & 127
    if size < 126:
        return 6 + size
    return 8 + int.from_bytes(data[2:4]) if len(data) >= 4 else 8


def wait_for_close(server: RawServer, peer: Peer) -> None:
    """Wait for the close frame of the client, and note it."""
    while (content := message(peer))[0] == 0x8A:
        pass  # a pong
    server.note(content)


def send_messages(*parts: bytes, then: Then = wait_for_close, early: bytes = b"") -> Callable[[RawServer, Peer], None]:
    """Create a script: complete the handshake, read the request, send each part in its own segment."""

    def script(server: RawServer, peer: Peer) -> None:
        head = peer.head()
        server.requests.append(head)
        peer.send(accept_handshake(head) + early)
        server.requests.append(message(peer)[1])
        peer.send(*parts)
        then(server, peer)

    return script


def call(url: str, *, stream: bool = True, platform: type[ModelArts] = ModelArts, **options: Any) -> Call:
    options = {"retry": Retry(0), "timeout": Timeout(read=5, total=10), **options}
    return Call(platform(url.replace("http", "ws", 1)), OpenAIChat(), REQUEST, stream=stream, **options)


def sync(call: Call, http: Any = None, **options: Any) -> list[Event]:
    client = Client(None, http, **{"trust_env": False, **options})
    events: list[Event] = []
    try:
        for event in client.stream(call):
            events.append(event)  # noqa: PERF402
    finally:
        client.close()
    return events


def asyn(call: Call, http: Any = None, **options: Any) -> list[Event]:
    return asyncio.run(read_async(call, http, **options))


async def read_async(call: Call, http: Any = None, **options: Any) -> list[Event]:
    client = AsyncClient(None, http, **{"trust_env": False, **options})
    try:
        return [event async for event in client.stream(call)]
    finally:
        await client.aclose()


def run_trio_client(call: Call, http: Any = None, **options: Any) -> list[Event]:
    return trio.run(lambda: read_async(call, http, **options))  # type: ignore[no-any-return]


Send = Callable[..., list[Event]]
all_of_them = pytest.mark.parametrize("send_request", [sync, asyn, run_trio_client])
both = pytest.mark.parametrize("send_request", [sync, asyn])

WHOLES: dict[str, tuple[bytes, ...]] = {
    "closed by the server": (HI, STOP, BYE),
    "with a usage and [DONE]": (HI, STOP, USAGE, DONE, BYE),
    "in one segment": (HI + STOP + USAGE + DONE + BYE,),
    "left open": (HI, STOP, DONE),
    "left open, with line ends": (HI, STOP, frame(b"data: [DONE]\r\n\r\n")),
    "closed without a code": (HI, STOP, b"\x88\x00"),
    "with pings": (PING, HI, PING + PING, STOP, BYE),
    "in fragments": (b"\x01\x02{\"", b'\x00\x0achoices":[', b"\x80\x1d" + b'{"delta":{"content":"Hi"}}]}' + b" ", STOP, BYE),
    "bytewise": tuple(bytes([byte]) for byte in HI + STOP + BYE),
    "as events": (frame(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'), DONE),
}  # fmt: skip


@all_of_them
@pytest.mark.parametrize("parts", WHOLES.values(), ids=WHOLES)
def test_a_complete_response(send_request: Send, parts: tuple[bytes, ...]) -> None:
    """However it is split, and whichever side closes; both with 1000."""
    with serving(send_messages(*parts)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url))).text
        assert server.noted.wait(2)

    assert [(0x88, b"\x03\xe8" if parts[-1] != b"\x88\x00" else b"")] == server.notes


@both
def test_data_with_the_handshake_is_not_lost(send_request: Send) -> None:
    """A server may send messages in the same segment as its 101."""
    with serving(send_messages(STOP, BYE, early=HI)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url))).text


@both
def test_the_request_is_one_message_after_the_handshake(send_request: Send) -> None:
    """The GET has no body; the message is masked, and is the request as JSON."""
    with serving(send_messages(HI, STOP, BYE)) as server:
        send_request(call(server.url, headers={"x-auth-token": "t"}))
        head, message = server.requests
        fields = head.lower()

    assert head.startswith(b"GET /v1/chat/completions HTTP/1.1\r\n")
    assert REQUEST["model"] == json.loads(message)["model"]
    for expected in (b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13", b"x-auth-token: t"):
        assert 1 == fields.count(b"\r\n" + expected + b"\r\n")
    for forbidden in (b"content-length", b"transfer-encoding", b"keep-alive", b"sec-websocket-extensions"):
        assert forbidden not in fields


@both
def test_a_response_without_streaming_is_one_message(send_request: Send) -> None:
    """The socket may stay open."""
    with serving(send_messages(WHOLE)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url, stream=False))).text
        assert server.noted.wait(2)

    assert [(0x88, b"\x03\xe8")] == server.notes


@both
def test_a_missing_close_frame_after_done_is_no_error(send_request: Send) -> None:
    """After `[DONE]` the client waits a short time only."""

    def silent(server: RawServer, peer: Peer) -> None:
        message(peer)
        server.note(peer.sees_end(5))

    with serving(send_messages(HI, STOP, DONE, then=silent)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url, platform=ShortDrainPlatform))).text
        assert server.noted.wait(5)

    assert [True] == server.notes


def disconnect(server: RawServer, peer: Peer) -> None:
    """Close the connection without a close frame."""
    peer.sock.close()


def reset_connection(server: RawServer, peer: Peer) -> None:
    time.sleep(0.05)  # what the client has not read yet is lost with a reset
    peer.reset()


def stay_open(server: RawServer, peer: Peer) -> None:
    server.note(peer.sees_end(5))


CLOSED = frame(b"\x03\xf3engine died", 0x88)

#: (parts, what the server does next, the error, its code, a part of its message)
ENDS: dict[str, tuple[tuple[bytes, ...], Then, type[MDStreamError], str | None, str]] = {
    "1011": ((HI, CLOSED), wait_for_close, StreamFailure, "1011", "1011 .*engine died"),
    "1011 in one segment": ((HI + CLOSED,), wait_for_close, StreamFailure, "1011", "engine died"),
    "1011 after [DONE]": ((HI + STOP + DONE + CLOSED,), wait_for_close, StreamFailure, "1011", "engine died"),
    "1001": ((HI, b"\x88\x02\x03\xe9"), wait_for_close, StreamFailure, "1001", "going away"),
    "1000 too early": ((HI, BYE), wait_for_close, StreamInterrupted, None, "before a finish reason"),
    "a lost connection": ((HI,), disconnect, StreamInterrupted, "RemoteProtocolError", "without a close frame"),
    "a lost connection within a frame": (
        (HI, STOP[:9]),
        disconnect,
        StreamInterrupted,
        "RemoteProtocolError",
        "without a close frame",
    ),
    "a reset": ((HI,), reset_connection, StreamInterrupted, "ReadError", "connection failed"),
    "silence": ((HI,), stay_open, StreamStalled, "ReadTimeout", "no data arrived for 0.4 s"),
    "reserved bits": ((HI + b"\xf1\x01x",), wait_for_close, MalformedStream, None, "reserved bits"),
    "no UTF-8": ((HI, b"\x81\x01\xff"), wait_for_close, MalformedStream, None, "UTF-8"),
    "an endless message": ((HI, b"\x81\x7f" + (2**40).to_bytes(8)), wait_for_close, MalformedStream, None, "more than"),
    "an error": ((HI, frame(b'{"error":{"message":"oom","code":500}}')), wait_for_close, StreamFailure, None, "oom"),
    "Huawei's envelope": (
        (HI, frame(b'{"error_code":"ModelArts.4503","error_msg":"no backend"}')),
        wait_for_close,
        StreamFailure,
        "ModelArts.4503",
        "no backend",
    ),
}


@all_of_them
@pytest.mark.parametrize(("parts", "then", "kind", "code", "words"), ENDS.values(), ids=ENDS)
def test_a_failed_end_is_an_error_with_the_partial(
    send_request: Send, parts: tuple[bytes, ...], then: Then, kind: type[MDStreamError], code: str | None, words: str
) -> None:
    """With its class, the close code, the request id of the handshake, and the text so far."""
    with serving(send_messages(*parts, then=then)) as server, pytest.raises(kind, match=words) as caught:
        send_request(call(server.url, timeout=Timeout(read=0.4, total=10)))

    error = caught.value
    assert ("Hi", code, "r-1") == (error.partial.text, error.code, error.request_id)  # type: ignore[union-attr]


@both
def test_the_close_frame_reports_the_violation(send_request: Send) -> None:
    """By its code."""
    with serving(send_messages(HI, b"\x81\x01\xff")) as server:
        with pytest.raises(MalformedStream):
            send_request(call(server.url))
        assert server.noted.wait(2)

    assert [(0x88, (1007).to_bytes(2))] == server.notes


@both
def test_pings_get_a_pong_and_are_no_progress(send_request: Send) -> None:
    """The read timeout counts from the last event."""

    def pinging(server: RawServer, peer: Peer) -> None:
        kinds = set()
        for _ in range(40):
            peer.send(PING)
            if (kind := message(peer)[0]) < 0:
                break
            kinds.add(kind)
            time.sleep(0.05)
        server.note(kinds)

    with serving(send_messages(HI, then=pinging)) as server:
        with pytest.raises(StreamStalled, match="pings do not count"):
            send_request(call(server.url, timeout=Timeout(read=0.4, total=10)))
        assert server.noted.wait(3)

    assert [{0x8A}] == server.notes


REFUSED = b'{"error_code":"APIG.0304","error_msg":"The app is not authorized"}'


@both
def test_a_rejected_handshake_is_the_response(send_request: Send) -> None:
    """With its status and its body, and the connection is reusable."""
    head = b"HTTP/1.1 403 Forbidden\r\nX-Request-Id: r-2\r\nContent-Length: %d\r\n\r\n" % len(REFUSED)
    with serving(respond_with(head + REFUSED)) as server:
        with pytest.raises(PermissionDenied, match="not authorized") as caught:
            send_request(call(server.url))
        assert 1 == server.connections

    assert ("APIG.0304", "r-2") == (caught.value.code, caught.value.request_id)


NO_HANDSHAKES: dict[str, Callable[[bytes], bytes]] = {
    "another key": lambda head: accept_handshake(head, b"dGhlIHNhbXBsZSBub25jZQ=="),
    "an extension that was not requested": lambda head: (
        accept_handshake(head)[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ),
    "no key": lambda head: b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


@both
@pytest.mark.parametrize("shakes", NO_HANDSHAKES.values(), ids=NO_HANDSHAKES)
def test_an_invalid_handshake_is_an_error(send_request: Send, shakes: Callable[[bytes], bytes]) -> None:
    """The request is not sent, and the socket is closed."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.send(shakes(peer.head()))
        server.note(message(peer))

    with serving(script) as server:
        with pytest.raises(ConnectionFailed, match="invalid WebSocket handshake"):
            send_request(call(server.url))
        assert server.noted.wait(2)

    assert [(-1, b"")] == server.notes


def test_breaking_out_closes_the_socket_at_once() -> None:
    """Of the loop over the events."""
    with serving(send_messages(HI, then=stay_open)) as server:
        client = Client(trust_env=False)
        events = client.stream(call(server.url))
        next(events)
        events.close()

        assert server.noted.wait(2)
        assert [True] == server.notes
        client.close()


async def test_cancelling_closes_the_socket_at_once() -> None:
    """A task that waits for the next message."""
    with serving(send_messages(HI, then=stay_open)) as server:
        client = AsyncClient(trust_env=False)
        results = asyncio.Event()

        async def listen() -> None:
            async for _ in client.stream(call(server.url)):
                results.set()

        task = asyncio.create_task(listen())
        await results.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await asyncio.to_thread(server.noted.wait, 2)
        assert [True] == server.notes
        await client.aclose()


async def test_a_hundred_exchanges_need_no_thread() -> None:
    """They are sockets of one event loop, and all are closed."""
    go = threading.Event()
    before = set(threading.enumerate())  # other packages keep some

    def waits(server: RawServer, peer: Peer) -> None:
        go.wait(10)
        peer.send(STOP, BYE)
        wait_for_close(server, peer)

    with serving(send_messages(HI, then=waits)) as server:
        client = AsyncClient(trust_env=False)
        begun = asyncio.Semaphore(0)

        async def one() -> str:
            events = []
            async for event in client.stream(call(server.url)):
                begun.release()
                events.append(event)
            return ModelResponse.from_events(events).text

        tasks = [asyncio.create_task(one()) for _ in range(100)]
        for _ in tasks:
            await begun.acquire()
        ours = [thread for thread in {*threading.enumerate()} - before if "_serve" not in thread.name]
        go.set()
        assert ["Hi"] * 100 == await asyncio.gather(*tasks)
        assert len(ours) < 10
        await client.aclose()


LIBRARIES = ["httpx", "httpx2"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_both_libraries_with_one_connection(library: str) -> None:
    """A finished exchange frees its connection."""
    pytest.importorskip(library, reason="the other HTTP library; install mdstream-llm[httpx2]")
    limits = httpx.Limits(max_connections=1)
    with serving(send_messages(HI, STOP, BYE)) as server:
        for _ in range(3):
            with http_client(trust_env=False, library=library) as http:
                assert "Hi" == ModelResponse.from_events(sync(call(server.url), http)).text
        client = Client(None, None, trust_env=False, limits=limits)
        for _ in range(3):
            assert "Hi" == client.complete(call(server.url)).text
        client.close()

        async def main() -> list[Event]:
            async with async_http_client(trust_env=False, library=library) as tasks:
                return await read_async(call(server.url), tasks)

        assert "Hi" == ModelResponse.from_events(asyncio.run(main())).text
        assert 7 == server.connections


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext, Path]:
    return certificates(tmp_path_factory.mktemp("tls"))


@all_of_them
def test_wss_is_tls(send_request: Send, tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]) -> None:
    """The server's certificate is checked like any other's."""
    with serving(send_messages(HI, STOP, BYE), tls=tls[0]) as server:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url), verify=tls[1])).text
        with pytest.raises(ConnectionFailed):
            send_request(call(server.url))


@both
def test_wss_goes_through_a_proxy(send_request: Send, tls: tuple[ssl.SSLContext, ssl.SSLContext, Path]) -> None:
    """In a tunnel, like https."""
    with serving(send_messages(HI, STOP, BYE), tls=tls[0]) as server, serving(proxying) as proxy:
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url), verify=tls[1], proxy=proxy.url)).text
        assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:%d " % server.port)


@both
def test_the_proxy_of_https_is_that_of_wss(
    send_request: Send, tls: tuple[ssl.SSLContext, ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in browsers and other WebSocket clients."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving(send_messages(HI, STOP, BYE), tls=tls[0]) as server, serving(proxying) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert "Hi" == ModelResponse.from_events(send_request(call(server.url), verify=tls[1], trust_env=True)).text
        assert 1 == proxy.connections


def test_the_variants_are_parallel() -> None:
    """Both files of the WebSocket transport are the same, with and without awaiting."""
    trees = [ast.parse((TRANSPORT / f"_websocket_{half}.py").read_text()) for half in ("sync", "async")]
    plain, tasks = ([node for node in tree.body if isinstance(node, ast.ClassDef)] for tree in trees)

    assert [stripped(node) for node in plain] == [stripped(node) for node in tasks]
