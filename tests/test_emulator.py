"""The emulator's routes, limits and records, looked at byte by byte."""

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
    results = send_request(emulator.endpoint + STREAM, HELLO)

    assert results.status == 200
    assert results.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert results.headers["transfer-encoding"] == "chunked"
    assert results.headers["trailer"] == "StreamFailure"
    assert results.headers["opc-request-id"]
    assert results.trailers == {}
    assert results.whole


def test_one_event_is_one_chunk(emulator: Emulator) -> None:
    chunks = send_request(emulator.endpoint + STREAM, HELLO).chunks

    assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    assert chunks[-1] == b"data: [DONE]\n\n"


def test_events_may_share_a_chunk() -> None:
    with Emulator(events_per_chunk=4) as emulator:
        results = send_request(emulator.endpoint + STREAM, HELLO)

    assert results.chunks[0].count(b"data: ") == 4
    assert results.text == "Hello! How can I help you today?"


@pytest.mark.parametrize(
    ("path", "route", "kind"),
    [
        (STREAM, "", "chat.completion.chunk"),
        (STREAM, "/v1/completions", "text_completion"),
        (STREAM + "/v1/chat/completions", "", "chat.completion.chunk"),
        (STREAM + "/v1/completions", "", "text_completion"),
    ],
)
def test_routes_lead_to_the_container(emulator: Emulator, path: str, route: str, kind: str) -> None:
    results = send_request(emulator.endpoint + path, {**HELLO, "prompt": "Hello"}, route=route)

    assert {event["object"] for event in results.events} == {kind}


def test_the_deployment_chooses_the_default_route() -> None:
    with Emulator(default_route="/v1/completions") as emulator:
        results = send_request(emulator.endpoint + "/predict", {"prompt": "Hello"})

    assert results.json["object"] == "text_completion"


@pytest.mark.parametrize(
    ("body", "kind"),
    [({"messages": []}, "chat.completion"), ({"prompt": "Hi"}, "text_completion"), ({"input": "Hi"}, "list")],
)
def test_a_playground_goes_by_the_body(body: dict, kind: str) -> None:
    with Emulator(default_route="auto") as emulator:
        assert send_request(emulator.endpoint + "/predict", body).json["object"] == kind


def test_predict_streams_the_old_format(emulator: Emulator) -> None:
    old = send_request(emulator.endpoint + "/predict", HELLO, enable_streaming="true")
    plain = send_request(emulator.endpoint + "/predict", HELLO)

    assert len(old.chunks) > 5
    assert "content-length" in plain.headers
    assert plain.text == old.text


def test_a_response_that_is_no_stream_is_a_conflict_on_the_streaming_endpoint(emulator: Emulator) -> None:
    results = send_request(emulator.endpoint + STREAM, {**HELLO, "stream": False})

    assert results.status == 409
    assert results.json["code"] == "ExternalServerIncorrectState"


def test_a_lenient_deployment_passes_it_on() -> None:
    with Emulator(strict=False) as emulator:
        results = send_request(emulator.endpoint + STREAM, {**HELLO, "stream": False})

    assert results.json["object"] == "chat.completion"


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nonsense", "POST", 404, "NotAuthorizedOrNotFound"),
        ("", "POST", 404, "NotAuthorizedOrNotFound"),
        ("x/predict", "POST", 404, "NotAuthorizedOrNotFound"),
        ("/predict", "GET", 405, "MethodNotAllowed"),
    ],
)
def test_wrong_routes_are_refused_in_ocis_words(
    emulator: Emulator, path: str, method: str, status: int, code: str
) -> None:
    results = send_request(emulator.endpoint + path, HELLO, method)

    assert (results.status, results.json["code"]) == (status, code)
    assert results.headers["opc-request-id"]


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/nope", "POST", 404), ("/v1/models", "POST", 405)])
def test_wrong_routes_of_the_container_are_refused_in_its_words(
    emulator: Emulator, path: str, method: str, status: int
) -> None:
    results = send_request(emulator.endpoint + "/predict" + path, HELLO, method)

    assert results.status == status
    assert list(results.json) == ["detail"]


def test_a_body_without_its_length_is_refused(emulator: Emulator) -> None:
    with connect(emulator.url) as sock:
        path = urlsplit(emulator.endpoint).path
        sock.sendall(
            f"POST {path}/predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode()
        )
        results = read_response(sock)

    assert (results.status, results.json["code"]) == (411, "LengthRequired")


def test_a_body_of_more_than_ten_megabytes_is_refused(emulator: Emulator) -> None:
    results = send_request(emulator.endpoint + "/predict", b" " * (10 * 1024 * 1024 + 1))

    assert (results.status, results.json["code"]) == (413, "PayloadTooLarge")


def test_a_client_that_requests_first_is_reported_to_go_on(emulator: Emulator) -> None:
    head, _, body = request(emulator.endpoint + STREAM, HELLO, expect="100-continue").partition(b"\r\n\r\n")
    with connect(emulator.url) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(body)

        assert read_response(sock).text == "Hello! How can I help you today?"


def test_bytes_that_are_no_request_are_refused(emulator: Emulator) -> None:
    with connect(emulator.url) as sock:
        sock.sendall(b"nonsense\r\n\r\n")

        assert read_response(sock).status == 400


def test_a_connection_is_used_again_and_counted(emulator: Emulator) -> None:
    parts = urlsplit(emulator.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    for _ in range(3):
        connection.request("POST", parts.path + STREAM, json.dumps(HELLO))
        assert b"[DONE]" in connection.getresponse().read()
    connection.close()

    assert emulator.connections == 1
    assert [received.connection for received in emulator.requests] == [1, 1, 1]


def test_requests_sent_ahead_are_responded_in_order(emulator: Emulator) -> None:
    url = emulator.endpoint + "/predict"
    with connect(url) as sock:
        sock.sendall(request(url, {**HELLO, "stream": False}, connection="") + request(url, {**HELLO, "stream": False}))
        results = read_response(sock)

    assert results.data.count(b"HTTP/1.1 200 OK") == 2


def test_what_came_in_is_recorded(emulator: Emulator) -> None:
    send_request(emulator.endpoint + STREAM + "?a=1", HELLO, opc_request_id="ABC", authorization="Bearer hidden")

    assert emulator.last.json == HELLO
    assert emulator.last.headers["opc-request-id"] == "ABC"
    assert emulator.last.path.endswith(STREAM)
    assert "hidden" not in repr(emulator.last)


def test_a_client_that_goes_is_noticed(emulator: Emulator) -> None:
    emulator.script(Fault("stall", after=2))
    url = emulator.endpoint + STREAM
    with connect(url) as sock:
        sock.sendall(request(url, HELLO))
        sock.recv(10)
        assert not emulator.last.client_closed.is_set()

    assert emulator.last.client_closed.wait(5)
    assert not emulator.last.response_sent.is_set()


def test_tokens_come_one_by_one_with_a_delay() -> None:
    with Emulator(delay=0.001) as emulator:
        results = send_request(emulator.endpoint + STREAM, HELLO)

    assert results.text == "Hello! How can I help you today?"


def test_tls_is_trusted_through_the_authoritys_file() -> None:
    with Emulator(tls=True) as emulator:
        results = send_request(emulator.endpoint + STREAM, HELLO, ca_file=emulator.ca_file)
        assert emulator.last.scheme == "https"

    assert results.whole


async def _no_reader(emulator: Emulator) -> None:
    """Connect, close the TLS session, go."""
    context = ssl.create_default_context(cafile=emulator.ca_file)
    address = urlsplit(emulator.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("fault", [None, Fault("cut"), Fault("stall"), Fault("drop")])
def test_a_client_that_leaves_is_no_warning_under_tls(caplog: pytest.LogCaptureFixture, fault: Fault | None) -> None:
    """asyncio has nothing to say, whoever closes first."""
    with caplog.at_level(logging.WARNING, "asyncio"), Emulator(tls=True) as emulator:
        emulator.script(fault)
        send_request(emulator.endpoint + STREAM, HELLO, silence=0.2, ca_file=emulator.ca_file)
        with connect(emulator.url, emulator.ca_file) as sock:
            sock.sendall(request(emulator.endpoint + STREAM, HELLO))
            read_response(sock, events=2)
        asyncio.run(_no_reader(emulator))

    assert [record.getMessage() for record in caplog.records] == []


def test_there_is_no_authority_without_tls(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="tls=True"):
        emulator.ca_file  # noqa: B018


def test_a_taken_port_is_reported(emulator: Emulator) -> None:
    port = urlsplit(emulator.url).port
    assert port
    with pytest.raises(OSError, match="in use"), Emulator(port=port):
        pass


def test_nothing_is_left_behind() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("stall"))
        sock = connect(emulator.url)
        sock.sendall(request(emulator.endpoint + STREAM, HELLO))
        sock.recv(10)
    sock.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "mdstream-emulator"]


async def test_serve_runs_until_it_is_cancelled() -> None:
    found: asyncio.Future[Emulator] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(ready=found.set_result, built_in_model=lambda request: "Served."))
    emulator = await asyncio.wait_for(found, 5)
    results = await asyncio.to_thread(send_request, emulator.endpoint + STREAM, HELLO)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert results.text == "Served."


def test_a_model_may_be_any_function() -> None:
    built_in_model = lambda request: ModelOutput(text=("a", "b"), reasoning=("hm",))  # noqa: E731
    with Emulator(model=built_in_model) as emulator:
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
def test_the_container_refuses_as_vllm_does(options: dict, body: dict, words: str) -> None:
    with Emulator(**options) as emulator:
        results = send_request(emulator.endpoint + "/predict", {**HELLO, **body})

    assert results.status in {400, 404}
    assert words in results.json["error"]["message"]


def test_the_refusals_have_each_servers_form() -> None:
    forms = {}
    for flavour in FLAVOURS:
        with Emulator(flavour=flavour) as emulator:
            forms[flavour] = set(send_request(emulator.openai_url + "/chat/completions", b"{").json)

    assert forms["vllm"] == {"error"}
    assert forms["sglang"] == {"object", "message", "type", "param", "code"}
    assert forms["tgi"] == {"error", "error_type"}
    assert forms["transformers"] == {"detail"}


def test_a_known_prompt_is_served_from_the_cache(emulator: Emulator) -> None:
    body = {**HELLO, "stream": False, "messages": [{"role": "user", "content": "word " * 100}]}
    usages = [send_request(emulator.endpoint + "/predict", body).json["usage"] for _ in range(2)]

    assert usages[0]["prompt_tokens_details"]["cached_tokens"] == 0
    assert usages[1]["prompt_tokens_details"]["cached_tokens"] > 90


def test_embeddings_bring_related_texts_together(emulator: Emulator) -> None:
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
def test_what_is_requested_with_get(emulator: Emulator, path: str) -> None:
    assert send_request(emulator.endpoint + "/predict" + path, method="GET").status == 200


def test_tgi_generates_in_its_own_format(emulator: Emulator) -> None:
    events = send_request(emulator.endpoint + STREAM + "/generate_stream", {"inputs": "Hello"}).events

    assert events[0]["generated_text"] is None
    assert events[-1]["generated_text"] == "Hello! How can I help you today?"
    assert events[-1]["details"]["finish_reason"] == "eos_token"


def test_another_server_may_stand_behind_it() -> None:
    with Emulator(model=lambda request: "From afar.") as far, Emulator(upstream=far.openai_url) as near:
        stream = send_request(near.endpoint + STREAM, HELLO)
        whole = send_request(near.endpoint + "/predict", {**HELLO, "stream": False})
        models = send_request(near.endpoint + "/predict/v1/models", method="GET")
        near.script(Fault("trailer", after=2))
        broken = send_request(near.endpoint + STREAM, HELLO)

    assert stream.text == "From afar."
    assert stream.headers["trailer"] == "StreamFailure"
    assert whole.json["choices"][0]["message"]["content"] == "From afar."
    assert models.status == 200
    assert len(broken.events) == 2
    assert "StreamFailure" in broken.trailers


def test_an_upstream_that_breaks_off_is_reported_in_the_trailer() -> None:
    with Emulator() as far, Emulator(upstream=far.openai_url) as near:
        far.script(Fault("cut", after=3))
        results = send_request(near.endpoint + STREAM, HELLO)

    assert len(results.events) == 3
    assert "InternalServerError" in results.trailers["StreamFailure"]


@pytest.mark.parametrize("strict", [True, False])
def test_an_upstream_that_is_not_there_is_unavailable(strict: bool) -> None:
    with Emulator(upstream="http://127.0.0.1:9/v1", strict=strict) as near:
        results = send_request(near.endpoint + STREAM, HELLO)

    assert (results.status, results.json["code"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize("name", ["vlm", "VLLM", "", "ollama"])
def test_an_unknown_flavour_is_named_with_those_that_exist(name: str) -> None:
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
def test_an_upstream_that_takes_too_long_is_given_up(limits: dict, reason: str) -> None:
    with Emulator() as far, Emulator(upstream=far.openai_url, **limits) as near:
        far.script(Fault("stall", after=3))
        results = send_request(near.endpoint + STREAM, HELLO)

        assert far.last.client_closed.wait(5)

    assert len(results.events) == 3
    assert reason in results.trailers["StreamFailure"]


def test_the_bare_model_server_has_keys_too() -> None:
    with Emulator(api_keys=["sk"]) as emulator:
        statuses = [
            send_request(emulator.openai_url + "/models", method="GET", authorization=a).status
            for a in ("", "Bearer sk")
        ]

    assert statuses == [401, 200]


def test_a_server_without_a_field_for_it_thinks_aloud() -> None:
    with Emulator(flavour="tgi") as emulator:
        results = send_request(emulator.endpoint + STREAM, {**HELLO, "model": "think"})

    assert results.text.startswith("<think>The user says: Hello")
    assert results.text.endswith("</think>\n\nHello! How can I help you today?")


def test_a_body_with_a_length_is_truncated_in_the_middle() -> None:
    with Emulator() as emulator:
        emulator.script(Fault("cut"))
        results = send_request(emulator.endpoint + "/predict", {**HELLO, "stream": False})

    assert 0 < len(results.rest) < int(results.headers["content-length"])


SAMPLES = Path(__file__).parent / "samples"
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}},
}
PROMPT = {
    "chat-stream-usage": {"stream_options": {"include_usage": True}},
    "tools-named": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    "think": {"chat_template_kwargs": {"enable_thinking": True}},
    "length": {"max_tokens": 4},
}
# vLLM breaks a prompt down only with --enable-prompt-tokens-details, which the recorded server did not have.
OPTIONAL = {".usage.prompt_tokens_details", ".usage.prompt_tokens_details.cached_tokens"}


def paths(value: object, path: str = "") -> Iterator[str]:
    """The name of every field."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}"
            yield from paths(inner, f"{path}.{name}")
    for inner in value if isinstance(value, list) else ():
        yield from paths(inner, path)


@pytest.mark.parametrize("flavour", ["vllm", "transformers", "llamacpp"])
@pytest.mark.parametrize("case", PROMPT)
def test_chunks_have_the_fields_of_the_recorded_ones(flavour: str, case: str) -> None:
    recorded = RawResponse(
        b"HTTP/1.1 200 OK\r\n\r\n" + (SAMPLES / f"{flavour}-{case}.txt").read_bytes().partition(b"\r\n\r\n")[2], ""
    )
    with Emulator(flavour=flavour) as emulator:
        results = send_request(emulator.openai_url + "/chat/completions", {**HELLO, **PROMPT[case]})
    ours, theirs = ({path for event in source.events for path in paths(event)} for source in (results, recorded))
    ends = [
        [c["finish_reason"] for e in s.events for c in e["choices"] if c.get("finish_reason")]
        for s in (results, recorded)
    ]

    assert ours - OPTIONAL == theirs - OPTIONAL
    assert ends[0] == ends[1]
    assert (b"[DONE]" in results.body) == (b"[DONE]" in recorded.body)
