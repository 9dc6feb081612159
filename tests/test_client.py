"""Both clients over real sockets, against a scripted server."""

import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from _client_requests import (
    DONE,
    END,
    FAILED,
    HEAD,
    HI,
    PING,
    STOP,
    WHOLE,
    Send,
    ShortDrainDeployment,
    both,
    chunk,
    error_response,
)
from _raw_server import Peer, RawServer, respond_with, serving

from mdstream_core import Retry, Timeout
from mdstream_core.errors import (
    ConnectionFailed,
    MalformedStream,
    MDStreamError,
    RateLimited,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.events import Finish, ModelResponse, TextDelta
from mdstream_core.hooks import RetryScheduled


@both
def test_a_complete_response(send_request: Send) -> None:
    """The events in order, and the request as OCI expects it."""
    with serving(respond_with(HEAD, HI, HI, STOP, DONE, END)) as server:
        events = send_request(server)

    assert [TextDelta("Hi"), TextDelta("Hi"), Finish("stop")] == events[1:]
    head = server.requests[0].lower()
    assert b"post /ocid1.x/predictwithresponsestream http/1.1" in head
    assert b"te: trailers" in head
    assert b"route: /v1/chat/completions" in head


@both
def test_a_failure_in_a_trailer(send_request: Send) -> None:
    """After [DONE] and the end of the body: the error has the text, the code and the request id."""
    with serving(respond_with(HEAD, HI, STOP, DONE, FAILED)) as server, pytest.raises(StreamFailure) as caught:
        send_request(server)

    error = caught.value
    assert ("ServiceTimeout", 408, "r", "Hi") == (error.code, error.status, error.request_id, error.partial.text)
    assert "streamfailure" in error.response.headers
    assert "Hi" == ModelResponse.from_events(error.events).text


@both
@pytest.mark.parametrize("reset", [True, False])
def test_a_lost_connection_is_an_interruption(send_request: Send, reset: bool) -> None:
    """The output received is the partial response, even after a finish reason."""
    for parts in ((HEAD, HI), (HEAD, HI, STOP, DONE), (HEAD, HI, STOP, DONE, b"0\r\n")):
        with (
            serving(respond_with(*parts, close=True, reset=reset)) as server,
            pytest.raises(StreamInterrupted) as caught,
        ):
            send_request(server)
        assert "Hi" == ModelResponse.from_events(caught.value.events).text == caught.value.partial.text


@both
def test_a_refused_connection(send_request: Send) -> None:
    """The error has the request id that was sent."""
    with serving(respond_with(WHOLE)) as server:
        pass
    with pytest.raises(ConnectionFailed, match="not reached") as caught:
        send_request(server)
    assert caught.value.request_id


@both
def test_pings_do_not_extend_the_read_timeout(send_request: Send) -> None:
    """A server that sends only pings is stalled."""
    began = time.monotonic()
    with (
        serving(respond_with(HEAD, HI, *[PING] * 40, pause=0.05)) as server,
        pytest.raises(StreamStalled, match=r"timeout.read") as caught,
    ):
        send_request(server, timeout=Timeout(read=0.3))
    assert "Hi" == caught.value.partial.text
    assert 0.25 < time.monotonic() - began < 1.5


@both
def test_the_read_timeout(send_request: Send) -> None:
    """Before the head and in the middle; the message names the timeout."""
    for parts in ((b"",), (HEAD,), (HEAD, HI)):
        with serving(respond_with(*parts)) as server, pytest.raises(StreamStalled, match=r"timeout\.read"):
            send_request(server, timeout=Timeout(read=0.1))


@both
def test_the_first_token_and_total_timeouts(send_request: Send) -> None:
    """The message names the timeout that expired."""
    with (
        serving(respond_with(HEAD, *[PING] * 20, HI, pause=0.05)) as server,
        pytest.raises(StreamStalled, match=r"timeout\.first_token"),
    ):
        send_request(server, timeout=Timeout(first_token=0.2))
    with (
        serving(respond_with(HEAD, *[HI] * 20, pause=0.05)) as server,
        pytest.raises(StreamStalled, match=r"timeout\.total") as caught,
    ):
        send_request(server, timeout=Timeout(total=0.3))
    assert caught.value.partial.text.startswith("HiHi")


@both
def test_the_drain_timeout(send_request: Send) -> None:
    """After [DONE] the trailer may be late; a service that never sends it has failed."""
    with serving(respond_with(HEAD, HI + STOP + DONE, END, pause=0.15)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server, platform=ShortDrainDeployment)).text
    with (
        serving(respond_with(HEAD, HI + STOP + DONE)) as server,
        pytest.raises(StreamStalled, match=r"did not end within 0.3 s") as caught,
    ):
        send_request(server, platform=ShortDrainDeployment)
    assert "Hi" == caught.value.partial.text


@both
def test_failures_before_the_first_event_are_retried(send_request: Send) -> None:
    """
    503, a Retry-After, an invalid response, and then a valid one: one stream for the caller.
    """
    replies = iter(
        [error_response(b"503 Busy"), error_response(b"429 Slow", fields=b"retry-after: 0\r\n"), HEAD + END, WHOLE]
    )

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(next(replies))

    hook_events: list[Any] = []
    with serving(script) as server:
        events = send_request(server, retry=Retry(3, base_delay=0.01), hooks=(hook_events.append,))

    assert "Hi" == ModelResponse.from_events(events).text
    assert 4 == len(server.requests)
    assert [ServerError, RateLimited, StreamInterrupted] == [
        type(m.error) for m in hook_events if isinstance(m, RetryScheduled)
    ]


@both
def test_a_delay_longer_than_the_remaining_time_is_an_error(send_request: Send) -> None:
    """`Retry-After: 60` with 2 s left: the error response is raised at once."""
    began = time.monotonic()
    with (
        serving(respond_with(error_response(b"429 Slow", fields=b"retry-after: 60\r\n"))) as server,
        pytest.raises(RateLimited),
    ):
        send_request(server, retry=Retry(2), timeout=Timeout(total=2))
    assert time.monotonic() - began < 1


@both
def test_a_redirect_is_not_followed(send_request: Send) -> None:
    """The request carries a credential."""
    with (
        serving(respond_with(error_response(b"307 Moved", fields=b"location: /elsewhere\r\n"))) as server,
        pytest.raises(MDStreamError, match="redirect"),
    ):
        send_request(server)
    assert 1 == len(server.requests)


@both
def test_a_response_without_streaming(send_request: Send) -> None:
    """The document is decoded by the same layers."""
    body = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    with serving(respond_with(error_response(b"200 OK", body, b"content-type: application/json\r\n"))) as server:
        events = send_request(server, stream=False)

    assert "Hi" == ModelResponse.from_events(events).text
    assert b"POST /ocid1.x/predict HTTP" in server.requests[0]


def burst(*parts: bytes) -> Callable[[RawServer, Peer], None]:
    """Create a script that sends the first part once and the second without end."""

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(parts[0])
        while True:
            peer.send(parts[1] * 100)

    return script


@both
def test_endless_bodies_are_bounded(send_request: Send) -> None:
    """An error response, a comment and a stream without end."""
    began = time.monotonic()
    with serving(burst(HEAD.replace(b"200 OK", b"500 No"), HI)) as server, pytest.raises(ServerError):
        send_request(server)
    with serving(burst(HEAD, PING)) as server, pytest.raises(StreamStalled, match=r"timeout\.read"):
        send_request(server, timeout=Timeout(read=0.2))
    with serving(burst(HEAD, HI)) as server, pytest.raises(StreamStalled, match=r"timeout\.total"):
        send_request(server, timeout=Timeout(total=0.2))
    assert time.monotonic() - began < 8


@both
def test_a_compressed_response_is_read_with_its_trailer(send_request: Send) -> None:
    """The content coding covers the body and not the trailers."""
    body = gzip.compress(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n' * 3)
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    with serving(respond_with(head, chunk(body[:20]), chunk(body[20:]), END)) as server:
        assert "HiHiHi" == ModelResponse.from_events(send_request(server)).text
    with serving(respond_with(head, chunk(body), FAILED)) as server, pytest.raises(StreamFailure):
        send_request(server)
    with serving(respond_with(head, chunk(b"not gzip at all"), END)) as server, pytest.raises(MalformedStream):
        send_request(server)


ZIPPED = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")


@both
def test_empty_compressed_blocks_do_not_extend_the_timeout(send_request: Send) -> None:
    """Blocks without data arrive endlessly."""
    squeeze = zlib.compressobj(wbits=31)
    begin = squeeze.compress(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n') + squeeze.flush(zlib.Z_SYNC_FLUSH)

    def script(server: RawServer, peer: Peer) -> None:
        peer.request()
        peer.send(ZIPPED + chunk(begin))
        while True:
            peer.send(chunk(b"\0\0\0\xff\xff"))
            time.sleep(0.02)

    with serving(script) as server, pytest.raises(StreamStalled, match=r"timeout\.read") as caught:
        send_request(server, timeout=Timeout(read=0.3))
    assert "Hi" == caught.value.partial.text


@both
@pytest.mark.parametrize("wbits", [15, -15], ids=["zlib", "raw"])
def test_deflate_with_and_without_zlib_header(send_request: Send, wbits: int) -> None:
    """As in the standard, and as some servers send it; byte by byte."""
    squeeze = zlib.compressobj(wbits=wbits)
    body = squeeze.compress(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n')
    body += squeeze.flush()
    pieces = [chunk(body[at : at + 1]) for at in range(len(body))]
    with serving(respond_with(ZIPPED.replace(b"gzip", b"deflate"), b"".join(pieces), END)) as server:
        assert "Hi" == ModelResponse.from_events(send_request(server)).text


@both
@pytest.mark.parametrize("end", [b"ZZ\r\nxx", b"0\r\nStreamFailure: x\r\n y\r\n\r\n"], ids=["chunk size", "trailer"])
def test_text_before_invalid_framing_is_delivered(send_request: Send, end: bytes) -> None:
    """Head, text and invalid framing in one segment; there is no retry."""
    with serving(respond_with(HEAD + HI + end, close=True)) as server, pytest.raises(StreamInterrupted) as caught:
        send_request(server, retry=Retry(2, base_delay=0.01))
    assert "Hi" == caught.value.partial.text
    assert TextDelta("Hi") in caught.value.events
    assert 1 == len(server.requests)


@both
def test_the_total_timeout_of_a_silent_service(send_request: Send) -> None:
    """It applies however long each step may take."""
    with (
        serving(lambda _, peer: server.note(peer.sees_end(5))) as server,
        pytest.raises(MDStreamError, match=r"timeout\.total"),
    ):
        send_request(server, timeout=Timeout(connect=60, read=60, total=0.3))
    assert server.noted.wait(5)
    assert [True] == server.notes


@both
def test_the_total_timeout_includes_connecting(send_request: Send) -> None:
    """A TLS handshake without a response; the message names the timeout."""
    with serving(lambda server, peer: server.note(peer.sees_end(5))) as server:
        server.url = server.url.replace("http:", "https:")
        with pytest.raises(ConnectionFailed, match=r"within 0.3 s \(timeout\.total\)") as caught:
            send_request(server, timeout=Timeout(connect=60, total=0.3), retry=Retry(2))
        assert server.noted.wait(5)
    assert ("ConnectTimeout", [True]) == (caught.value.code, server.notes)
