"""Connections to a hostile server: leftover data, TLS, proxies, redirects, and endless error responses."""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from _client_requests import CountingSigner
from _hostile import (
    CHUNKED,
    DONE,
    END,
    HI,
    OK,
    REQUEST,
    STOP,
    STREAM,
    WHOLE,
    Send,
    both,
    burst,
    chunk,
    event,
    everywhere,
    send_parts,
    send_sync,
    slow_stream,
)
from _raw_server import Peer, RawServer, Script

from mdstream_core import AsyncClient, Call, Client, OCIModelDeployment, OpenAIChat, Retry, Timeout
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    MDStreamError,
    RateLimited,
    ServerError,
    ServiceError,
    StreamInterrupted,
)
from mdstream_core.events import ModelResponse
from mdstream_core.transport import async_http_client, http_client

Hostile = Callable[..., RawServer]
Tls = tuple[ssl.SSLContext, ssl.SSLContext, Path]


def complete_response(text: str) -> bytes:
    """A complete response with this text."""
    return CHUNKED + chunk(event(text)) + chunk(STOP) + chunk(DONE) + END


POISON = complete_response("poison")


def respond_with_extra(extra: bytes, late: float) -> Script:
    """Create a script: a complete response followed by extra data, in the same segment or a moment later."""

    def script(server: RawServer, peer: Peer) -> None:
        for _ in range(2):
            if not (request := peer.request()):
                return
            server.requests.append(request)
            number = len(server.requests)
            response = complete_response(f"answer {number}")
            if late:
                peer.send(response)
                time.sleep(late)
                peer.send(extra)
            else:
                peer.send(response + extra)

    return script


def two_sync(url: str, pause: float) -> list[str]:
    client = Client(trust_env=False)
    texts = []
    for _ in range(2):
        texts.append(ModelResponse.from_events(client.stream(_call(url))).text)
        time.sleep(pause)
    client.close()
    return texts


def two_async(url: str, pause: float) -> list[str]:
    async def main() -> list[str]:
        client = AsyncClient(trust_env=False)
        texts = []
        for _ in range(2):
            texts.append(ModelResponse.from_events([one async for one in client.stream(_call(url))]).text)
            await asyncio.sleep(pause)
        await client.aclose()
        return texts

    return asyncio.run(main())


def _call(url: str) -> Call:
    platform = OCIModelDeployment(f"{url}/ocid1.x")
    return Call(platform, OpenAIChat(), REQUEST, stream=True, retry=Retry(0), timeout=Timeout(read=5, total=10))


@pytest.mark.parametrize("two", [two_sync, two_async])
@pytest.mark.parametrize("late", [0.0, 0.05], ids=["after the response", "on the idle connection"])
@pytest.mark.parametrize("extra", [POISON, POISON[:40], b"\r\n", b"\0" * 100, END], ids=["a response", "half of one", "a line end", "zeros", "a last chunk"])  # fmt: skip
def test_an_unrequested_response_is_discarded(
    hostile: Hostile, two: Callable[[str, float], list[str]], late: float, extra: bytes
) -> None:
    """After response splitting or a duplicate response, the next request gets its own response."""
    assert ["answer 1", "answer 2"] == two(hostile(respond_with_extra(extra, late)).url, 4 * late)


# TLS


@both
@everywhere
@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\0" * 4_096, b"\x16\x03\x03\xff\xff"])  # fmt: skip
def test_garbage_instead_of_tls(hostile: Hostile, send_request: Send, platform: str, garbage: bytes) -> None:
    """The error is `ConnectionFailed`, whatever the server sends."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.sock.recv(65_536)
        peer.send(garbage)

    outcome = send_request(hostile(script).url.replace("http", "https"), platform, timeout=Timeout(connect=5, total=10))

    assert isinstance(outcome.error, ConnectionFailed), outcome.error
    assert outcome.is_bounded()


@both
def test_the_connect_timeout_covers_the_tls_handshake(hostile: Hostile, send_request: Send) -> None:
    """A server that does not start TLS."""
    url = hostile(lambda server, peer: server.note(peer.sees_end(20))).url.replace("http", "https")
    outcome = send_request(url, timeout=Timeout(connect=0.4, total=10))

    assert isinstance(outcome.error, ConnectionFailed), outcome.error
    assert outcome.is_bounded()


@both
@everywhere
def test_a_wrong_certificate_gets_no_request(hostile: Hostile, tls: Tls, send_request: Send, platform: str) -> None:
    """Neither the request nor its credential is sent."""
    server = hostile(send_parts(WHOLE), tls=tls[0])
    outcome = send_request(server.url, platform)

    assert isinstance(outcome.error, ConnectionFailed), outcome.error
    assert "certificate" in str(outcome.error).lower()
    assert [] == server.requests


TRUNCATED: dict[str, bytes] = {
    "a body that ends with the connection": STREAM + b"\r\n" + HI,
    "chunks": CHUNKED + chunk(HI),
    "a length": STREAM + b"content-length: 999\r\n\r\n" + HI,
}


@both
@pytest.mark.parametrize("wire", TRUNCATED.values(), ids=TRUNCATED)
def test_truncated_tls_is_an_interruption(hostile: Hostile, tls: Tls, send_request: Send, wire: bytes) -> None:
    """Closing the connection without TLS's close_notify does not complete a response."""
    server = hostile(send_parts(wire), tls=tls[0])
    make = http_client if send_request is send_sync else async_http_client
    outcome = send_request(server.url, http=make(verify=tls[1], trust_env=False))

    assert isinstance(outcome.error, StreamInterrupted), outcome.error
    assert "Hi" == outcome.text


# redirects, credentials, delays


def reject_with(status: bytes, fields: bytes = b"") -> Script:
    """Create a script that rejects every request of a connection."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(b"HTTP/1.1 %b\r\n%bcontent-length: 2\r\n\r\n{}" % (status, fields))

    return script


@both
@everywhere
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"])
def test_a_redirect_is_not_followed(hostile: Hostile, send_request: Send, platform: str, status: bytes) -> None:
    """Neither in a circle nor to another host, which would get the credential."""
    other = hostile(send_parts(WHOLE))
    location = f"location: {other.url}/x\r\n".encode()
    server = hostile(reject_with(status, location))
    outcome = send_request(server.url, platform, auth=CountingSigner(), retry=Retry(2, base_delay=0.001))

    assert isinstance(outcome.error, ServiceError), outcome.error
    assert (1, 0) == (len(server.requests), other.connections)


@both
@everywhere
def test_credentials_are_refreshed_once(hostile: Hostile, send_request: Send, platform: str) -> None:
    """A service that always returns 401 gets two requests."""
    signer = CountingSigner()
    server = hostile(reject_with(b"401 Unauthorized"))
    outcome = send_request(server.url, platform, auth=signer, retry=Retry(5, base_delay=0.001))

    assert isinstance(outcome.error, AuthenticationError), outcome.error
    assert (2, 1) == (len(server.requests), signer.refreshes)


@both
@everywhere
@pytest.mark.parametrize("wait", [b"1000000000", b"99999999999999999999999", b"Fri, 31 Dec 9999 23:59:59 GMT", b"-5", b"nan", b"inf", b"1e9", b"\xff", b""])  # fmt: skip
def test_no_delay_is_longer_than_a_call(hostile: Hostile, send_request: Send, platform: str, wait: bytes) -> None:
    """`Retry-After` is huge or invalid."""
    server = hostile(reject_with(b"429 Too Many Requests", b"retry-after: %b\r\n" % wait))
    outcome = send_request(server.url, platform, retry=Retry(1, base_delay=0.001), timeout=Timeout(read=5, total=3))

    assert isinstance(outcome.error, RateLimited | ServerError), outcome.error
    assert len(server.requests) <= 2
    assert outcome.is_bounded()


# proxies

INVALID_TUNNELS: dict[str, tuple[Script, tuple[type[MDStreamError], ...]]] = {
    "a tunnel into garbage": (send_parts(OK + b"\r\n", b"garbage" * 100), (ConnectionFailed,)),
    "a response instead of a tunnel": (send_parts(WHOLE), (ConnectionFailed,)),
    "a tunnel that is closed": (send_parts(OK + b"\r\n"), (ConnectionFailed,)),
    "a head without end": (burst(OK, b"x: y\r\n"), (ConnectionFailed,)),
    "a head, byte by byte": (slow_stream(OK + b"x: ", b"y"), (ConnectionFailed, MDStreamError)),
    "a switch of protocols": (send_parts(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), (ConnectionFailed,)),
    "a redirect": (send_parts(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"), (ConnectionFailed, ServiceError)),
    "407, always": (reject_with(b"407 Proxy Authentication Required"), (ConnectionFailed, ServiceError)),
    "another protocol": (send_parts(b"SSH-2.0-OpenSSH_9.6\r\n"), (ConnectionFailed,)),
    "nothing": (send_parts(end="wait"), (ConnectionFailed, MDStreamError)),
}  # fmt: skip


@both
@pytest.mark.parametrize(("script", "kinds"), INVALID_TUNNELS.values(), ids=INVALID_TUNNELS)
def test_an_invalid_tunnel_of_a_proxy(
    hostile: Hostile, tls: Tls, send_request: Send, script: Script, kinds: tuple[type[MDStreamError], ...]
) -> None:
    """The proxy receives neither the request nor its credential."""
    proxy = hostile(script)
    make = http_client if send_request is send_sync else async_http_client
    http = make(proxy=proxy.url, verify=tls[1], trust_env=False)
    limits = Timeout(connect=1, read=1, total=2)
    outcome = send_request("https://127.0.0.1:9", http=http, auth=CountingSigner(), timeout=limits)

    assert isinstance(outcome.error, kinds), outcome.error
    assert all(request.startswith(b"CONNECT ") and b"key 1" not in request for request in proxy.requests)
    assert outcome.is_bounded()
