"""The bytes that each fault sends."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from _raw_client import HELLO, STREAM, RawResponse, connect, read_response, request, send_request

from mdstream_core.emulator import ERROR_EVENTS, ERROR_RESPONSES, KINDS, REASONS, TRAILERS, Emulator, Fault

SAMPLES = Path(__file__).parent / "samples"
DONE = b"data: [DONE]\n\n"
HEALTHY = "Hello! How can I help you today?"


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    shared_emulator.reset()
    return shared_emulator


def send(emulator: Emulator, *faults: Fault, silence: float = 5.0, **params: object) -> RawResponse:
    emulator.script(faults)
    return send_request(emulator.endpoint + STREAM, {**HELLO, **params}, silence=silence)


def test_every_kind_is_documented() -> None:
    assert all(KINDS.values())


def test_an_unknown_kind_raises_an_error() -> None:
    with pytest.raises(ValueError, match="unknown fault kind 'tralier'"):
        Fault("tralier")


def test_an_unknown_spelling_raises_an_error() -> None:
    with pytest.raises(ValueError, match="no spelling 'jsno'"):
        Fault("trailer", "jsno")


def test_steps_apply_in_order_and_then_the_default_step(emulator: Emulator) -> None:
    emulator.always(Fault("refuse", "unavailable"))
    emulator.script(None, Fault("refuse", "internal"))
    statuses = [send_request(emulator.endpoint + STREAM, HELLO).status for _ in range(4)]

    assert statuses == [200, 500, 503, 503]


@pytest.mark.parametrize("name", ERROR_RESPONSES)
def test_error_responses(emulator: Emulator, name: str) -> None:
    response = send(emulator, Fault("refuse", name, retry_after="7"))

    assert response.status == ERROR_RESPONSES[name].status
    assert response.headers["retry-after"] == "7"
    assert response.headers["content-type"] == ERROR_RESPONSES[name].content_type


def test_a_custom_error_response(emulator: Emulator) -> None:
    response = send(emulator, Fault("refuse", status=418, code="Teapot", message="short and stout"))

    assert (response.status, response.json) == (418, {"code": "Teapot", "message": "short and stout"})


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("spelling", TRAILERS)
def test_trailers(emulator: Emulator, spelling: str, reason: str) -> None:
    response = send(emulator, Fault("trailer", spelling, reason=reason))

    assert response.text == HEALTHY
    assert response.chunks[-1] == DONE
    assert response.trailers == {"StreamFailure": TRAILERS[spelling](REASONS[reason])}
    assert response.whole


def test_a_trailer_before_the_end_of_the_events(emulator: Emulator) -> None:
    early = send(emulator, Fault("trailer", after=3))
    without_done = send(emulator, Fault("trailer", after=-1))

    assert (len(early.chunks), early.text) == (3, "Hello!")
    assert without_done.text == HEALTHY
    assert without_done.chunks[-1] != DONE


def test_a_trailer_with_another_name_and_without_announcement(emulator: Emulator) -> None:
    response = send(emulator, Fault("trailer", name="streamfailure", announced=False))

    assert "trailer" not in response.headers
    assert list(response.trailers) == ["streamfailure"]


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        (Fault("cut", after=2), "closed"),
        (Fault("cut_chunk", after=2), "closed"),
        (Fault("cut_trailer"), "closed"),
        (Fault("reset", after=2), "reset"),
        (Fault("stall", after=2), "silent"),
        (Fault("hold", after=2), "silent"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_bodies_without_an_end(emulator: Emulator, fault: Fault, ended: str) -> None:
    response = send(emulator, fault, silence=1.0)

    assert response.ended == ended
    assert not response.whole
    assert len(response.chunks) >= 2


@pytest.mark.parametrize(("kind", "ended"), [("drop", "closed"), ("drop_reset", "reset")])
def test_connections_that_close_before_a_response(emulator: Emulator, kind: str, ended: str) -> None:
    response = send(emulator, Fault(kind))

    assert (response.data, response.ended) == (b"", ended)


def test_hold_pauses_until_the_event_is_set(emulator: Emulator) -> None:
    gate = threading.Event()
    emulator.script(Fault("hold", after=2, until=gate))
    url = emulator.endpoint + STREAM
    with connect(url) as sock:
        sock.sendall(request(url, HELLO))
        first = read_response(sock, events=2)
        assert read_response(sock, 0.2).data == b""
        gate.set()
        rest = read_response(sock)

    assert len(first.chunks) == 2
    assert rest.data.endswith(DONE + b"\r\n0\r\n\r\n")


def test_slow_head_pauses_until_the_event_is_set(emulator: Emulator) -> None:
    gate = threading.Event()
    emulator.script(Fault("slow_head", until=gate))
    url = emulator.endpoint + STREAM
    with connect(url) as sock:
        sock.sendall(request(url, HELLO))
        assert read_response(sock, 0.2).data == b""
        gate.set()
        assert read_response(sock).text == HEALTHY


def test_a_connection_that_closes_unannounced(emulator: Emulator) -> None:
    emulator.script(Fault("close"))
    url = emulator.endpoint + STREAM
    with connect(url) as sock:
        sock.sendall(request(url, HELLO, connection=""))
        response = read_response(sock)

    assert response.whole
    assert "connection" not in response.headers


@pytest.mark.parametrize("spelling", ERROR_EVENTS)
def test_error_events(emulator: Emulator, spelling: str) -> None:
    response = send(emulator, Fault("error_event", spelling, after=2, message="out of memory"))

    assert b"out of memory" in response.body
    assert b'"finish_reason":"stop"' not in response.body
    assert response.whole


def test_a_stream_without_a_finish_reason(emulator: Emulator) -> None:
    response = send(emulator, Fault("no_finish"))

    assert response.text == HEALTHY
    assert b'"finish_reason":"' not in response.body
    assert DONE not in response.body
    assert response.whole


def test_done_is_missing_or_too_early(emulator: Emulator) -> None:
    without = send(emulator, Fault("no_done"))
    early = send(emulator, Fault("early_done", after=2))

    assert DONE not in without.body
    assert b'"finish_reason":"stop"' in without.body
    assert (early.chunks[-1], len(early.chunks)) == (DONE, 3)


@pytest.mark.parametrize("line_end", [("crlf", b"\r\n"), ("cr", b"\r")], ids=lambda pair: pair[0])
def test_line_ends(emulator: Emulator, line_end: tuple[str, bytes]) -> None:
    response = send(emulator, Fault(line_end[0]))

    assert response.body.endswith(b"data: [DONE]" + 2 * line_end[1])
    assert line_end[1] == b"\r" or response.body.count(b"\n") == response.body.count(b"\r\n")


def test_every_line_end_in_one_stream(emulator: Emulator) -> None:
    body = send(emulator, Fault("mixed")).body

    assert {body.count(end) > 0 for end in (b"}\n\n", b"}\r\n\r\n", b"}\r\r")} == {True}


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_split_body_is_the_same_body(emulator: Emulator, size: int) -> None:
    response = send(emulator, Fault("bytewise", size=size))

    assert response.text == HEALTHY
    assert {len(chunk) for chunk in response.chunks[:-1]} == {size}


def test_two_faults_in_one_response(emulator: Emulator) -> None:
    response = send(emulator, Fault("crlf"), Fault("bytewise"), Fault("trailer", "equals"))

    assert response.body.count(b"\r\n\r\n") > 5
    assert response.trailers == {
        "StreamFailure": "ErrorCode=RequestTimeout, HttpCode=408, ErrorReason=ModelResponseTimeExceeded"
    }


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("content_length_too", {"content-length", "transfer-encoding"}),
        ("fixed_length", {"content-length"}),
        ("until_eof", set()),
    ],
)
def test_framings(emulator: Emulator, kind: str, fields: set[str]) -> None:
    response = send(emulator, Fault(kind))

    assert response.headers.keys() & {"content-length", "transfer-encoding"} == fields
    assert response.text == HEALTHY


def test_compression_is_flushed_after_every_event(emulator: Emulator) -> None:
    response = send(emulator, Fault("encoded", "gzip"))
    reader = zlib.decompressobj(wbits=31)

    assert response.headers["content-encoding"] == "gzip"
    assert reader.decompress(response.chunks[0]).endswith(b"\n\n")
    assert gzip.decompress(response.body).endswith(DONE)


@pytest.mark.parametrize("value", ["text/event-stream", "text/event-stream;charset=UTF-8", "application/octet-stream"])
def test_content_types(emulator: Emulator, value: str) -> None:
    assert send(emulator, Fault("content_type", value)).headers["content-type"] == value


def test_no_content_type(emulator: Emulator) -> None:
    assert "content-type" not in send(emulator, Fault("content_type")).headers


def test_bodies_that_are_no_stream(emulator: Emulator) -> None:
    page, document = send(emulator, Fault("html")), send(emulator, Fault("json_body"))

    assert page.body.startswith(b"<!DOCTYPE html>")
    assert document.json["choices"][0]["message"]["content"] == HEALTHY
    assert send(emulator, Fault("empty")).chunks == []


def test_bytes_between_events(emulator: Emulator) -> None:
    assert send(emulator, Fault("keepalive_comments", "tgi")).body.startswith(b":\n\ndata: ")
    assert send(emulator, Fault("insert", after=1, data=b"id: 7\n\n")).chunks[1] == b"id: 7\n\n"
    assert send(emulator, Fault("bom")).body.startswith(b"\xef\xbb\xbfdata: ")
    assert send(emulator, Fault("unterminated")).body.endswith(b"[DONE]")
    assert b"\xff\xfe" in send(emulator, Fault("bad_utf8")).body
    assert len(send(emulator, Fault("huge_line", size=1_000_000)).chunks[1]) > 1_000_000
    with pytest.raises(json.JSONDecodeError):
        send(emulator, Fault("malformed_json")).events  # noqa: B018


def test_an_interim_response_precedes_the_response(emulator: Emulator) -> None:
    assert send(emulator, Fault("interim")).data.startswith(b"HTTP/1.1 103 Early Hints\r\n")


def test_given_bytes_are_sent_unchanged(emulator: Emulator) -> None:
    assert send(emulator, Fault("raw", data=b"HTTP/1.1 200 OK\r\n\r\nhi")).data == b"HTTP/1.1 200 OK\r\n\r\nhi"
    assert send(emulator, Fault("body", data=b"data: {}\n\n", size=4)).chunks == [b"data", b": {}", b"\n\n"]


def test_usage_and_finish_reason_are_changed(emulator: Emulator) -> None:
    body = send(
        emulator, Fault("usage_missing"), Fault("finish_reason", "abort"), stream_options={"include_usage": True}
    ).body

    assert b'"usage"' not in body
    assert b'"finish_reason":"abort"' in body


def test_tool_call_arguments_are_invalid_json(emulator: Emulator) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"properties": {"city": {}}}}}
    response = send(emulator, Fault("tool_arguments"), tools=[tool], tool_choice="required")
    calls = (
        call
        for event in response.events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls", ())
    )

    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(call["function"].get("arguments", "") for call in calls))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.txt")), ids=lambda path: path.stem)
def test_transcripts_are_sent_byte_for_byte(emulator: Emulator, path: Path) -> None:
    response = send(emulator, Fault("transcript", path=path))
    head, separator, body = path.read_bytes().partition(b"\r\n\r\n")
    expected = body if separator and head.startswith(b"HTTP/") else path.read_bytes()

    assert response.body == expected
    assert response.headers["opc-request-id"]
