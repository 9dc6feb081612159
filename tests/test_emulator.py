"""Routes, limits and recorded requests of the emulator, tested with a raw client."""

import asyncio
import contextlib
import http.client
import json
import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from _raw_client import HELLO, STREAM, RawResponse, connect, read_response, request, send_request

from mdstream_core.emulator import FLAVOURS, Emulator, Fault, ModelOutput, serve


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_a_stream_has_the_headers_that_oci_documents(emulator: Emulator) -> None:
    response = send_request(emulator.endpoint + STREAM, HELLO)

    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["trailer"] == "StreamFailure"
    assert response.headers["opc-request-id"]
    assert response.trailers == {}
    assert response.whole


def test_one_event_is_one_chunk(emulator: Emulator) -> None:
    chunks = send_request(emulator.endpoint + STREAM, HELLO).chunks

    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    assert chunks[-1] == b"data: [DONE]\n\n"


def test_events_per_chunk_merges_events() -> None:
    with Emulator(events_per_chunk=4) as emulator:
        response = send_request(emulator.endpoint + STREAM, HELLO)

    assert response.chunks[0].count(b"data: ") == 4
    assert response.text == "Hello! How can I help you today?"


@pytest.mark.parametrize(
    ("path", "route", "kind"),
    [
        (STREAM, "", "chat.completion.chunk"),
        (STREAM, "/v1/completions", "text_completion"),
        (STREAM + "/v1/chat/completions", "", "chat.completion.chunk"),
        (STREAM + "/v1/completions", "", "text_completion"),
    ],
)
def test_requests_are_routed_to_the_container(emulator: Emulator, path: str, route: str, kind: str) -> None:
    response = send_request(emulator.endpoint + path, {**HELLO, "prompt": "Hello"}, route=route)

    assert {event["object"] for event in response.events} == {kind}


def test_the_default_route_is_configurable() -> None:
    with Emulator(default_route="/v1/completions") as emulator:
        response = send_request(emulator.endpoint + "/predict", {"prompt": "Hello"})

    assert response.json["object"] == "text_completion"


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"messages": []}, "chat.completion"), ({"prompt": "Hi"}, "text_completion"), ({"input": "Hi"}, "list")],
)
def test_the_auto_route_is_inferred_from_the_body(body: dict, kind: str) -> None:
    with Emulator(default_route="auto") as emulator:
        assert send_request(emulator.endpoint + "/predict", body).json["object"] == kind


def test_predict_streams_with_the_enable_streaming_header(emulator: Emulator) -> None:
    old = send_request(emulator.endpoint + "/predict", HELLO, enable_streaming="true")
    plain = send_request(emulator.endpoint + "/predict", HELLO)

    assert len(old.chunks) > 5
    assert "content-length" in plain.headers
    assert plain.text == old.text


def test_the_streaming_endpoint_returns_409_without_a_stream(emulator: Emulator) -> None:
    response = send_request(emulator.endpoint + STREAM, {**HELLO, "stream": False})

    assert response.status == 409
    assert response.json["code"] == "ExternalServerIncorrectState"


def test_without_strict_a_response_without_a_stream_is_returned() -> None:
    with Emulator(strict=False) as emulator:
        response = send_request(emulator.endpoint + STREAM, {**HELLO, "stream": False})

    assert response.json["object"] == "chat.completion"


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nonsense", "POST", 404, "NotAuthorizedOrNotFound"),
        ("", "POST", 404, "NotAuthorizedOrNotFound"),
        ("x/predict", "POST", 404, "NotAuthorizedOrNotFound"),
        ("/predict", "GET", 405, "MethodNotAllowed"),
    ],
)
def test_wrong_routes_return_errors_in_ocis_format(
    emulator: Emulator, path: str, method: str, status: int, code: str
) -> None:
    response = send_request(emulator.endpoint + path, HELLO, method)

    assert (response.status, response.json["code"]) == (status, code)
    assert response.headers["opc-request-id"]


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/nope", "POST", 404), ("/v1/models", "POST", 405)])
def test_wrong_routes_of_the_container_return_its_errors(
    emulator: Emulator, path: str, method: str, status: int
) -> None:
    response = send_request(emulator.endpoint + "/predict" + path, HELLO, method)

    assert response.status == status
    assert list(response.json) == ["detail"]


def test_a_body_without_content_length_is_rejected(emulator: Emulator) -> None:
    with connect(emulator.url) as sock:
        path = urlsplit(emulator.endpoint).path
        sock.sendall(
            f"POST {path}/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode()
        )
        response = read_response(sock)

    assert (response.status, response.json["code"]) == (411, "LengthRequired")


def test_a_body_of_more_than_ten_megabytes_is_rejected(emulator: Emulator) -> None:
    response = send_request(emulator.endpoint + "/predict", b" " * (10 * 1024 * 1024 + 1))

    assert (response.status, response.json["code"]) == (413, "PayloadTooLarge")


def test_expect_100_continue_is_supported(emulator: Emulator) -> None:
    head, _, body = request(emulator.endpoint + STREAM, HELLO, expect="100-continue").partition(b"\r\n\r\n")
    with connect(emulator.url) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(body)

        assert read_response(sock).text == "Hello! How can I help you today?"


def test_bytes_that_are_no_request_are_rejected(emulator: Emulator) -> None:
    with connect(emulator.url) as sock:
        sock.sendall(b"nonsense\r\n\r\n")

        assert read_response(sock).status == 400


def test_connections_are_reused_and_counted(emulator: Emulator) -> None:
    parts = urlsplit(emulator.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    for _ in range(3):
        connection.request("POST", parts.path + STREAM, json.dumps(HELLO))
        assert b"[DONE]" in connection.getresponse().read()
    connection.close()

    assert emulator.connections == 1
    assert [received.connection for received in emulator.requests] == [1, 1, 1]


def test_pipelined_requests_are_handled_in_order(emulator: Emulator) -> None:
    url = emulator.endpoint + "/predict"
    with connect(url) as sock:
        sock.sendall(request(url, {**HELLO, "stream": False}, connection="") + request(url, {**HELLO, "stream": False}))
        response = read_response(sock)

    assert response.data.count(b"HTTP/1.1 200 OK") == 2


def test_requests_are_recorded(emulator: Emulator) -> None:
    send_request(emulator.endpoint + STREAM + "?a=1", HELLO, opc_request_id="ABC", authorization="Bearer hidden")

    assert emulator.last.json == HELLO
    assert emulator.last.headers["opc-request-id"] == "ABC"
    assert emulator.last.path.endswith(STREAM)
    assert "hidden" not in repr(emulator.last)


def test_a_disconnected_client_is_recorded(emulator: Emulator) -> None:
    emulator.script(Fault("stall", after=2))
    url = emulator.endpoint + STREAM
    with connect(url) as sock:
        sock.sendall(request(url, HELLO))
        sock.recv(10)
        assert not emulator.last.client_closed.is_set()

    assert emulator.last.client_closed.wait(5)
    assert not emulator.last.response_sent.is_set()


def test_a_stream_with_a_delay_is_complete() -> None:
    with Emulator(delay=0.001) as emulator:
        response = send_request(emulator.endpoint + STREAM, HELLO)

    assert response.text == "Hello! How can I help you today?"


def test_the_tls_certificate_is_signed_by_the_ca_file() -> None:
    with Emulator(tls=True) as emulator:
        response = send_request(emulator.endpoint + STREAM, HELLO, ca_file=emulator.ca_file)
        assert emulator.last.scheme == "https"

    assert response.whole


async def _no_reader(emulator: Emulator) -> None:
    """Connect and close the TLS session without reading."""
    context = ssl.create_default_context(cafile=emulator.ca_file)
    address = urlsplit(emulator.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("fault", [None, Fault("cut"), Fault("stall"), Fault("drop")])
def test_a_client_that_disconnects_causes_no_warning_under_tls(
    caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    """asyncio logs no warning, whichever side closes first."""
    with caplog.at_level(logging.WARNING, "asyncio"), Emulator(tls=True) as emulator:
        emulator.script(fault)
        send_request(emulator.endpoint + STREAM, HELLO, silence=0.2, ca_file=emulator.ca_file)
        with connect(emulator.url, emulator.ca_file) as sock:
            sock.sendall(request(emulator.endpoint + STREAM, HELLO))
            read_response(sock, events=2)
        asyncio.run(_no_reader(emulator))

    assert [record.getMessage() for record in caplog.records] == []


def test_there_is_no_ca_file_without_tls(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="tls=True"):
        emulator.ca_file  # noqa: B018


def test_a_port_in_use_raises_an_error(emulator: Emulator) -> None:
    port = urlsplit(emulator.url).port
    assert port
    with pytest.raises(OSError, match="in use"), Emulator(port=port):
        pass


def test_the_thread_ends_with_the_context() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("stall"))
        sock = connect(emulator.url)
        sock.sendall(request(emulator.endpoint + STREAM, HELLO))
        sock.recv(10)
    sock.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "mdstream-emulator"]


async def test_serve_runs_until_it_is_cancelled() -> None:
    found: asyncio.Future[Emulator] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ready=found.set_result, model=lambda request: "Served."))
    emulator = await asyncio.wait_for(found, 5)
    response = await asyncio.to_thread(send_request, emulator.endpoint + STREAM, HELLO)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert response.text == "Served."


def test_the_model_is_any_function() -> None:
    model = lambda request: ModelOutput(text=("a", "b"), reasoning=("hm",))  # noqa: E731
    with Emulator(model=model) as emulator:
        events = send_request(emulator.endpoint + STREAM, HELLO).events

    assert [event["choices"][0]["delta"] for event in events[1:4]] == [
        {"reasoning": "hm"},
        {"content": "a"},
        {"content": "b"},
    ]


@pytest.mark.parametrize(
    ("options", "body", "words"),
    [
        ({"models": ["known"]}, {"model": "nope"}, "The model `nope` does not exist"),
        ({"context": 3}, {}, "maximum context length is 3 tokens"),
        ({"context": 30}, {"max_tokens": 50}, "max_tokens=50 cannot be greater"),
        (
            {},
            {"model": "no-tools", "tools": [{"type": "function", "function": {"name": "f"}}]},
            "--enable-auto-tool-choice",
        ),
        ({}, {"temperature": -1}, "temperature must be non-negative"),
        ({}, {"messages": "Hello"}, "valid list"),
        ({}, {"messages": [1]}, "valid dictionary"),
        ({}, {"n": 0}, "n must be at least 1"),
        ({}, {"stream_options": 1}, "stream_options: Input should be a valid dictionary"),
        ({}, {"guided_json": "{"}, "Expecting property name"),
    ],
)
def test_the_container_rejects_requests_as_vllm_does(options: dict, body: dict, words: str) -> None:
    with Emulator(**options) as emulator:
        response = send_request(emulator.endpoint + "/predict", {**HELLO, **body})

    assert response.status in {400, 404}
    assert words in response.json["error"]["message"]


def test_errors_have_the_format_of_the_flavour() -> None:
    forms = {}
    for flavour in FLAVOURS:
        with Emulator(flavour=flavour) as emulator:
            forms[flavour] = set(send_request(emulator.openai_url + "/chat/completions", b"{").json)

    assert forms["vllm"] == {"error"}
    assert forms["sglang"] == {"object", "message", "type", "param", "code"}
    assert forms["tgi"] == {"error", "error_type"}
    assert forms["transformers"] == {"detail"}


def test_a_repeated_prompt_has_cached_tokens(emulator: Emulator) -> None:
    body = {**HELLO, "stream": False, "messages": [{"role": "user", "content": "word " * 100}]}
    usages = [send_request(emulator.endpoint + "/predict", body).json["usage"] for _ in range(2)]

    assert usages[0]["prompt_tokens_details"]["cached_tokens"] == 0
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] > 90


def test_embeddings_of_related_texts_are_similar(emulator: Emulator) -> None:
    texts = ["The river flows to the sea", "A river flowing into the sea", "Taxes are due in April"]
    data = send_request(emulator.endpoint + "/predict/v1/embeddings", {"input": texts, "dimensions": 64}).json["data"]
    one, two, other = (entry["embedding"] for entry in data)

    assert len(one) == 64
    assert sum(value * value for value in one) == pytest.approx(1)
    assert sum(a * b for a, b in zip(one, two, strict=True)) > 0.4 > sum(a * b for a, b in zip(one, other, strict=True))


def test_documents_are_ranked(emulator: Emulator) -> None:
    body = {"query": "Who makes honey?", "documents": ["Trains are late.", "Bees make honey."], "top_n": 1}
    best = send_request(emulator.endpoint + "/predict/v1/rerank", body).json["results"]
    tei = send_request(emulator.endpoint + "/predict/rerank", {"query": "honey", "texts": body["documents"]}).json

    assert [result["index"] for result in best] == [1]
    assert [result["index"] for result in tei] == [1, 0]


@pytest.mark.parametrize("path", ["/v1/models", "/version"])
def test_get_routes(emulator: Emulator, path: str) -> None:
    assert send_request(emulator.endpoint + "/predict" + path, method="GET").status == 200


def test_tgi_generates_in_its_own_format(emulator: Emulator) -> None:
    events = send_request(emulator.endpoint + STREAM + "/generate_stream", {"inputs": "Hello"}).events

    assert events[0]["generated_text"] is None
    assert events[-1]["generated_text"] == "Hello! How can I help you today?"
    assert events[-1]["details"]["finish_reason"] == "eos_token"


def test_requests_are_forwarded_to_an_upstream() -> None:
    with Emulator(model=lambda request: "From afar.") as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        stream = send_request(emulator.endpoint + STREAM, HELLO)
        whole = send_request(emulator.endpoint + "/predict", {**HELLO, "stream": False})
        models = send_request(emulator.endpoint + "/predict/v1/models", method="GET")
        emulator.script(Fault("trailer", after=2))
        interrupted = send_request(emulator.endpoint + STREAM, HELLO)

    assert stream.text == "From afar."
    assert stream.headers["trailer"] == "StreamFailure"
    assert whole.json["choices"][0]["message"]["content"] == "From afar."
    assert models.status == 200
    assert len(interrupted.events) == 2
    assert "StreamFailure" in interrupted.trailers


def test_an_interrupted_upstream_is_reported_in_the_trailer() -> None:
    with Emulator() as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        upstream.script(Fault("cut", after=3))
        response = send_request(emulator.endpoint + STREAM, HELLO)

    assert len(response.events) == 3
    assert "InternalServerError" in response.trailers["StreamFailure"]


@pytest.mark.parametrize("strict", [True, False])
def test_an_unreachable_upstream_is_unavailable(strict: bool) -> None:
    with Emulator(upstream="http://127.0.0.1:9/v1", strict=strict) as emulator:
        response = send_request(emulator.endpoint + STREAM, HELLO)

    assert (response.status, response.json["code"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize("name", ["vlm", "VLLM", "", "ollama"])
def test_an_unknown_flavour_raises_an_error_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=f"flavour='{name}' is unknown") as caught:
        Emulator(flavour=name)

    assert all(flavour in str(caught.value) for flavour in FLAVOURS)


def test_an_upstream_needs_a_url() -> None:
    with pytest.raises(ValueError, match="http or https"):
        Emulator(upstream="localhost:11434")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"idle_limit": 0.5}, "ServiceTimeout"), ({"total_limit": 0.5}, "ModelResponseTimeExceeded")],
)
def test_an_upstream_that_is_too_slow_is_interrupted(limits: dict, reason: str) -> None:
    with Emulator() as upstream, Emulator(upstream=upstream.openai_url, **limits) as emulator:
        upstream.script(Fault("stall", after=3))
        response = send_request(emulator.endpoint + STREAM, HELLO)

        assert upstream.last.client_closed.wait(5)

    assert len(response.events) == 3
    assert reason in response.trailers["StreamFailure"]


def test_the_openai_compatible_server_checks_api_keys() -> None:
    with Emulator(api_keys=["sk"]) as emulator:
        statuses = [
            send_request(emulator.openai_url + "/models", method="GET", authorization=a).status
            for a in ("", "Bearer sk")
        ]

    assert statuses == [401, 200]


def test_reasoning_is_inline_for_servers_without_a_field() -> None:
    with Emulator(flavour="tgi") as emulator:
        response = send_request(emulator.endpoint + STREAM, {**HELLO, "model": "think"})

    assert response.text.startswith("<think>The user says: Hello")
    assert response.text.endswith("</think>\n\nHello! How can I help you today?")


def test_a_body_with_content_length_is_truncated_in_the_middle() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("cut"))
        response = send_request(emulator.endpoint + "/predict", {**HELLO, "stream": False})

    assert 0 < len(response.rest) < int(response.headers["content-length"])


SAMPLES = Path(__file__).parent / "samples"
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}},
}
PARAMS = {
    "chat-stream-usage": {"stream_options": {"include_usage": True}},
    "tools-named": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    "think": {"chat_template_kwargs": {"enable_thinking": True}},
    "length": {"max_tokens": 4},
}
# vLLM sends these only with --enable-prompt-tokens-details, which the recorded server did not have.
OPTIONAL = {".usage.prompt_tokens_details", ".usage.prompt_tokens_details.cached_tokens"}


def paths(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from paths(inner, f"{path}.{name}")
    for inner in value if isinstance(value, list) else ():
        yield from paths(inner, path)


@pytest.mark.parametrize("flavour", ["vllm", "transformers", "llamacpp"])
@pytest.mark.parametrize("case", PARAMS)
def test_chunks_have_the_fields_of_recorded_chunks(flavour: str, case: str) -> None:
    recorded = RawResponse(
        b"HTTP/1.1 200 OK\r\n\r\n" + (SAMPLES / f"{flavour}-{case}.txt").read_bytes().partition(b"\r\n\r\n")[2], ""
    )
    with Emulator(flavour=flavour) as emulator:
        response = send_request(emulator.openai_url + "/chat/completions", {**HELLO, **PARAMS[case]})
    sent, expected = ({path for event in source.events for path in paths(event)} for source in (response, recorded))
    ends = [
        [c["finish_reason"] for e in s.events for c in e["choices"] if c.get("finish_reason")]
        for s in (response, recorded)
    ]

    assert sent - OPTIONAL == expected - OPTIONAL
    assert ends[0] == ends[1]
    assert (b"[DONE]" in response.body) == (b"[DONE]" in recorded.body)
