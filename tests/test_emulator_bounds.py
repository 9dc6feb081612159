"""Security limits: the emulator rejects expensive requests as a service would, and stays available."""

import json
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from _raw_client import HELLO, RawResponse, connect, read_response, request, send_request

from mdstream_core.emulator import Emulator
from mdstream_core.emulator import _bounds as bounds
from mdstream_core.emulator.model import respond

HUGE = 10**9


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def is_alive(emulator: Emulator) -> bool:
    """Return whether another client is served."""
    return send_request(emulator.openai_url + "/models", method="GET").status == 200


# Fields of requests

#: A field, and a value that no service accepts.
CHAT: list[tuple[str, Any]] = [
    ("n", HUGE), ("n", 129), ("n", 0), ("n", -1), ("n", 1.5), ("n", "3"), ("n", True), ("n", []), ("n", 10**30),
    ("max_tokens", -1), ("max_tokens", 10**12), ("max_tokens", 2.5), ("max_tokens", "many"),
    ("max_completion_tokens", 10**12), ("max_completion_tokens", -5),
    ("temperature", -0.1), ("temperature", 2.1), ("temperature", "hot"), ("temperature", 10**400),
    ("top_p", 1.5), ("top_p", -1), ("presence_penalty", 3), ("frequency_penalty", -3),
    ("top_logprobs", 21), ("top_logprobs", HUGE), ("top_logprobs", -1), ("logprobs", 10**6), ("logprobs", "all"),
    ("stop", ["a"] * 65), ("stop", [1]), ("stop", {"a": 1}), ("messages", {}), ("messages", "Hello"), ("messages", [[]]),
    ("messages", [HELLO["messages"][0]] * 2_049), ("messages", [{"role": "user", "content": 5}]),
    ("messages", [{"role": "user", "content": "x" * 2_097_153}]), ("messages", [{"role": 1, "content": ""}]),
    ("messages", [{"role": "assistant", "tool_calls": 7}]), ("tools", [{"type": "function"}] * 129), ("tools", [1]),
    ("tools", [{"function": "f"}]), ("tools", {}), ("stream", "yes"), ("response_format", []), ("model", 5),
    ("guided_json", {"type": "array", "minItems": HUGE}), ("guided_json", {"type": "string", "minLength": HUGE}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), CHAT, ids=[f"{name}={str(value)[:20]}" for name, value in CHAT])
def test_a_chat_request_beyond_the_limits_is_rejected(emulator: Emulator, name: str, value: Any) -> None:
    """
    The response is 400 in the server's format.
    """
    response = send_request(
        emulator.openai_url + "/chat/completions", json.dumps({**HELLO, "stream": False, name: value}).encode()
    )

    assert 400 == response.status
    assert response.json["error"]["message"]


def test_the_error_names_the_parameter(emulator: Emulator) -> None:
    """
    In `param`, as in OpenAI's format.
    """
    error = send_request(emulator.openai_url + "/chat/completions", {**HELLO, "n": HUGE}).json["error"]

    assert "n must be at most 128, got 1000000000. (parameter=n, value=1000000000)" == error["message"]
    assert ("n", 400) == (error["param"], error["code"])


#: route: (path, body)
OTHER_ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "completions, best_of": ("/completions", {"prompt": "Hi", "best_of": HUGE}),
    "completions, n": ("/completions", {"prompt": "Hi", "n": HUGE}),
    "completions, prompts and n": ("/completions", {"prompt": ["Hi"] * 100, "n": 2}),
    "completions, logprobs": ("/completions", {"prompt": "Hi", "logprobs": HUGE}),
    "embeddings, dimensions": ("/embeddings", {"input": "Hi", "dimensions": HUGE}),
    "embeddings, negative": ("/embeddings", {"input": "Hi", "dimensions": -1}),
    "embeddings, texts": ("/embeddings", {"input": ["Hi"] * 2_049}),
    "embeddings, text": ("/embeddings", {"input": ["x" * 1_400_000] * 3}),
    "embeddings, kinds": ("/embeddings", {"input": [{}]}),
    "rerank, documents": ("/rerank", {"query": "Hi", "documents": ["x"] * 1_001}),
    "rerank, kinds": ("/rerank", {"query": "Hi", "documents": [1]}),
    "rerank, query": ("/rerank", {"query": {}, "documents": ["x"]}),
    "score": ("/score", {"text_1": ["a"] * 1_500, "text_2": ["b"] * 1_500}),
}


@pytest.mark.parametrize(("route", "body"), OTHER_ROUTES.values(), ids=OTHER_ROUTES)
def test_the_other_routes_have_limits(emulator: Emulator, route: str, body: dict[str, Any]) -> None:
    """
    Prompts, embeddings, documents.
    """
    response = send_request(emulator.openai_url + route, body)

    assert 400 == response.status
    assert response.json["error"]["message"]


def genai(emulator: Emulator, action: str, model: str, **body: Any) -> RawResponse:
    mode = {"servingType": "ON_DEMAND", "modelId": model}
    payload = {"compartmentId": emulator.oci_genai.compartment_id, "servingMode": mode, **body}
    return send_request(f"{emulator.oci_genai.endpoint}/20231130/actions/{action}", payload)


GENERIC: dict[str, Any] = {
    "apiFormat": "GENERIC",
    "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "Hello"}]}],
}
COHERE: dict[str, Any] = {"apiFormat": "COHERE", "message": "Hello"}
NATIVE: list[tuple[str, Any]] = [
    ("numGenerations", HUGE), ("numGenerations", 6), ("numGenerations", 1.5), ("maxTokens", -1), ("maxTokens", 10**12),
    ("maxCompletionTokens", HUGE), ("temperature", 2.5), ("temperature", "hot"), ("topP", 2), ("topK", HUGE), ("logProbs", HUGE),
    ("stop", ["a"] * 65), ("stop", "a"), ("frequencyPenalty", 5), ("messages", []), ("messages", {}), ("messages", [5]),
    ("tools", [{"type": "FUNCTION", "name": "f"}] * 129), ("toolChoice", "AUTO"), ("responseFormat", 5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), NATIVE, ids=[f"{name}={str(value)[:20]}" for name, value in NATIVE])
def test_oci_genai_rejects_generic_fields(emulator: Emulator, name: str, value: Any) -> None:
    """
    The response has OCI's error format.
    """
    response = genai(emulator, "chat", "xai.grok-4", chatRequest={**GENERIC, name: value})

    assert response.status == (200 if (name, value) == ("messages", []) else 400)
    assert response.status == 200 or set(response.json) == {"code", "message"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("maxTokens", HUGE), ("temperature", 6), ("topK", 501), ("stopSequences", ["a"] * 65), ("documents", [{}] * 1_001), ("chatHistory", {}), ("chatHistory", [5]), ("tools", 5)],
)  # fmt: skip
def test_oci_genai_rejects_cohere_fields(emulator: Emulator, name: str, value: Any) -> None:
    """
    The temperature of this format may be up to 5.
    """
    rejected = genai(emulator, "chat", "cohere.command-a-03-2025", chatRequest={**COHERE, name: value})

    assert (400, {"code", "message"}) == (rejected.status, set(rejected.json))
    assert 200 == genai(emulator, "chat", "cohere.command-a-03-2025", chatRequest={**COHERE, "temperature": 5}).status


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("embedText", {"inputs": ["a"], "outputDimensions": HUGE}),
        ("embedText", {"inputs": ["a"], "outputDimensions": -1}),
        ("embedText", {"inputs": ["a"] * 97}),
        ("embedText", {"inputs": [5]}),
        ("rerankText", {"input": "a", "documents": ["b"] * 1_001}),
        ("rerankText", {"input": "a", "documents": ["b" * 1_400_000] * 3}),
        ("generateText", {"inferenceRequest": {"runtimeType": "LLAMA", "prompt": "a", "numGenerations": HUGE}}),
        ("generateText", {"inferenceRequest": {"runtimeType": "COHERE", "prompt": "a", "maxTokens": HUGE}}),
        ("generateText", {"inferenceRequest": 5}),
        ("chat", {"chatRequest": []}),
    ],
)
def test_the_other_actions_of_oci_genai_have_limits(emulator: Emulator, action: str, body: dict[str, Any]) -> None:
    """
    The response is 400 in OCI's format.
    """
    response = genai(emulator, action, "cohere.embed-v4.0" if "embed" in action else "meta.llama-3", **body)

    assert (400, {"code", "message"}) == (response.status, set(response.json))


PARAMETERS: list[tuple[str, Any]] = [
    ("best_of", HUGE), ("best_of", 3), ("max_new_tokens", -1), ("max_new_tokens", 10**12), ("max_new_tokens", "9"),
    ("details", "yes"), ("top_n_tokens", 6), ("temperature", -1), ("top_p", 2), ("top_k", 0), ("seed", -1),
    ("stop", ["a"] * 65), ("stop", "a"), ("truncate", 0), ("repetition_penalty", 0), ("do_sample", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), PARAMETERS, ids=[f"{name}={str(value)[:20]}" for name, value in PARAMETERS])
@pytest.mark.parametrize(
    ("endpoint", "status"), [("tgi", 422), ("lmi", 424), ("lmi-rolling", 424), ("lmi-dynamic", 424)]
)
def test_tgi_and_lmi_reject_their_parameters(
    emulator: Emulator, endpoint: str, status: int, name: str, value: Any
) -> None:
    """
    The container's error is inside SageMaker's `ModelError`.
    """
    url = f"{emulator.sagemaker.endpoint_url}/endpoints/{endpoint}/invocations"
    response = send_request(url, {"inputs": "Hello", "parameters": {name: value}})

    assert (424, status) == (response.status, response.json["OriginalStatusCode"])
    assert name in response.json["OriginalMessage"]


def test_maas_errors_have_huaweis_format(emulator: Emulator) -> None:
    """
    `ModelArts.81001`.
    """
    response = send_request(f"{emulator.modelarts.maas}/chat/completions", {**HELLO, "n": HUGE})

    assert (400, "ModelArts.81001") == (response.status, response.json["error_code"])
    assert "n must be at most 128" in response.json["error_msg"]


# JSON documents


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return b'{"messages": ' + (opening * depth + closing * depth).encode() + b"}"


SHAPES: dict[str, bytes] = {
    "nested lists": nested(100),
    "nested objects": nested(500, '{"a":', "}").replace(b":}", b":1}"),
    "nested too deeply for a parser": nested(100_000),
    "many lists": b'{"a": [' + b"[]," * 300_000 + b"[]]}",
    "many objects": b'{"a": [' + b"{}," * 300_000 + b"{}]}",
    "many numbers": b'{"a": [' + b"1," * 2_100_000 + b"1]}",
    "a long text": b'{"messages": [{"role": "user", "content": "' + b"x" * 2_200_000 + b'"}]}',
    "long texts": b'{"messages": [' + b",".join([b'{"role": "user", "content": "' + b"x" * 1_000_000 + b'"}'] * 5) + b"]}",
    "a number of 5,000 digits": b'{"n": ' + b"9" * 5_000 + b"}",
    "no UTF-8": b'{"messages": "\xff\xfe',
    "nothing": b"null",
}  # fmt: skip
ROUTES: dict[str, Callable[[Emulator], str]] = {
    "model server": lambda emulator: emulator.openai_url + "/chat/completions",
    "OCI model deployment": lambda emulator: emulator.endpoint + "/predict",
    "OCI Generative AI": lambda emulator: emulator.oci_genai.endpoint + "/20231130/actions/chat",
    "SageMaker": lambda emulator: f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations",
    "ModelArts": lambda emulator: emulator.modelarts.endpoint + "/v1/chat/completions",
    "IAM": lambda emulator: emulator.modelarts.iam + "/v3/auth/tokens",
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("url", ROUTES.values(), ids=ROUTES)
def test_a_document_beyond_the_limits_is_rejected(
    emulator: Emulator, url: Callable[[Emulator], str], body: bytes
) -> None:
    """
    Too deep, too many values or too long: every service rejects it before it is processed.
    """
    response = send_request(url(emulator), body)

    assert response.status in {400, 413, 422, 424}
    assert is_alive(emulator)


#: Texts that are expensive for the rules of the built-in model.
SLOW_TEXTS = {
    "digits": "1" * 1_000_000, "a word": "a" * 1_000_000, "spaces": "Query" + " " * 1_000_000 + "x", "lines": "x" + "\n" * 1_000_000 + "x",
    "braces": "JSON " + '{"a":' * 150_000, "count": "count " * 160_000, "sums": "1+" * 400_000, "ands": "x and " * 160_000,
    "names": "In A, B, " * 100_000, "mail": "a.b@" * 250_000, "quotes": "“x " * 300_000, "haikus": "999999999999 haikus",
    "a count": "count from 1 to 99999999999999", "a long count": "count to " + "9" * 5_000,
}  # fmt: skip


@pytest.mark.parametrize("text", SLOW_TEXTS.values(), ids=SLOW_TEXTS)
def test_the_built_in_model_handles_any_text_quickly(text: str) -> None:
    """
    The cost does not grow with the square of the text's length, and the output is limited.
    """
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in ("city", "mail", "a")}}
    tool = {"type": "function", "function": {"name": "find", "description": "Find a city", "parameters": schema}}
    started = time.process_time()
    responses = [
        respond({"messages": [{"role": "user", "content": text}], **extra}) for extra in ({}, {"tools": [tool]})
    ]

    assert time.process_time() - started < 8  # it takes a tenth of that
    assert max(output.token_count for output in responses) < bounds.MAX_OUTPUT_TOKENS


SCHEMAS: dict[str, Any] = {
    "items of items": {"type": "array", "minItems": 100, "items": {"type": "array", "minItems": 100, "items": {"type": "array", "minItems": 100}}},
    "a long text": {"type": "string", "minLength": 10**9},
    "definitions that double": {"allOf": [{"$ref": "#/d0"}], **{f"d{n}": {"allOf": [{"$ref": f"#/d{n + 1}"}] * 2} for n in range(40)}},
}  # fmt: skip
#: Schemas without end that can be filled.
RECURSIVE_SCHEMAS: dict[str, Any] = {
    "itself": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "itself, as a property": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_beyond_the_limits_is_rejected(schema: Any) -> None:
    """
    The model raises `ValueError`, which becomes a 400.
    """
    started = time.process_time()
    with pytest.raises(ValueError, match=r"schema|cannot be read"):
        respond({"messages": [{"role": "user", "content": "Hi"}], "guided_json": schema})

    assert time.process_time() - started < 8


@pytest.mark.parametrize("schema", RECURSIVE_SCHEMAS.values(), ids=RECURSIVE_SCHEMAS)
def test_a_schema_that_contains_itself_is_filled(schema: Any) -> None:
    """
    To a limited depth.
    """
    assert respond({"messages": [{"role": "user", "content": "Hi"}], "guided_json": schema}).text


# Responses, connections, records


def test_a_response_has_a_token_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It counts all choices and alternatives together; the finish reason is `length`.
    """
    monkeypatch.setattr("mdstream_core.emulator.model_server.MAX_OUTPUT_TOKENS", 8_000)
    output_text = "word " * 10_000
    with Emulator(model=lambda request: output_text) as emulator:
        body = {**HELLO, "stream": False, "n": 128, "logprobs": True, "top_logprobs": 20}
        choices = send_request(emulator.openai_url + "/chat/completions", body, silence=60).json["choices"]

    assert {"length"} == {choice["finish_reason"] for choice in choices}
    assert sum(len(choice["logprobs"]["content"]) for choice in choices) * 21 <= 8_000


def test_a_large_response_does_not_block_others() -> None:
    """
    It is written on a thread; a small response that is requested meanwhile arrives first.
    """
    responses = {"large": "word " * 20_000, "small": "Hi."}
    with Emulator(model=lambda request: responses[request["model"]]) as emulator:
        url = emulator.openai_url + "/chat/completions"
        with connect(url) as sock:
            sock.sendall(request(url, {**HELLO, "model": "large"}))
            small = send_request(url, {**HELLO, "model": "small", "stream": False}, silence=30)
            arrived = time.monotonic()
            large = read_response(sock, timeout=30)

    assert (200, "Hi.") == (small.status, small.json["choices"][0]["message"]["content"])
    assert large.data.endswith(b"0\r\n\r\n")
    assert time.monotonic() >= arrived


def test_recorded_requests_have_a_byte_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The oldest are dropped; the newest one stays, whatever its size.
    """
    monkeypatch.setattr("mdstream_core.emulator._listener.MAX_RECORD_BYTES", 100_000)
    with Emulator() as emulator:
        for number in range(12):
            send_request(emulator.openai_url + "/chat/completions", {**HELLO, "user": "x" * 20_000, "seed": number})
        seeds = [one.json["seed"] for one in emulator.requests]
        send_request(emulator.openai_url + "/chat/completions", {**HELLO, "user": "x" * 200_000, "seed": 99})
        last = [one.json["seed"] for one in emulator.requests]
        emulator.reset()
        send_request(emulator.openai_url + "/chat/completions", HELLO)
        fresh = len(emulator.requests)

    assert [8, 9, 10, 11] == seeds
    assert ([99], 1) == (last, fresh)


HEADS: dict[str, tuple[bytes, int]] = {
    "a long target": (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
    "a long header": (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", 400),
    "a negative length": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
}


@pytest.mark.parametrize(("head", "status"), HEADS.values(), ids=HEADS)
def test_a_head_beyond_the_limits_is_rejected(emulator: Emulator, head: bytes, status: int) -> None:
    """
    The connection is closed.
    """
    with connect(emulator.url) as sock:
        sock.sendall(head)
        response = read_response(sock)

    assert status == response.status
    assert is_alive(emulator)


@pytest.mark.parametrize(
    ("started", "status"),
    [
        (b"", b""),
        (b"POST / HTTP/1.1\r\nhost:", b"408"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx", b"408"),
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_an_idle_client_is_disconnected(started: bytes, status: bytes) -> None:
    """
    A client that sends no complete request, even if it sends a byte now and then.
    """
    with Emulator(keep_alive=0.5) as emulator, connect(emulator.url) as sock:
        sock.sendall(started)
        stopped = threading.Event()

        def send_slowly() -> None:
            while started and not stopped.wait(0.1):
                try:
                    sock.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=send_slowly)
        thread.start()
        response = read_response(sock, timeout=10)
        stopped.set()
        thread.join()

    assert response.ended in {"closed", "reset"}
    assert status in response.data


def test_connections_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One more is rejected with 503; after a connection is closed, a new one is accepted.
    """
    monkeypatch.setattr("mdstream_core.emulator._listener.MAX_CONNECTIONS", 3)
    with Emulator() as emulator:
        socks = [connect(emulator.url) for _ in range(3)]
        for sock in socks:
            sock.sendall(request(emulator.openai_url + "/models", method="GET", connection=""))
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
        rejected = send_request(emulator.openai_url + "/models", method="GET")
        socks.pop().close()
        end = time.monotonic() + 10
        while send_request(emulator.openai_url + "/models", method="GET").status != 200:
            assert time.monotonic() < end
        for sock in socks:
            sock.close()

    assert 503 == rejected.status


def test_an_idle_websocket_is_closed() -> None:
    """
    After the handshake.
    """
    client = pytest.importorskip("websockets.sync.client", reason="websockets comes with mdstream-llm[emulator]")
    with Emulator(keep_alive=0.5) as emulator:
        url = f"{emulator.modelarts.websocket_endpoint}/v1/chat/completions"
        with client.connect(url, proxy=None) as socket_:
            started = time.monotonic()
            with pytest.raises(Exception, match="close"):
                socket_.recv(timeout=10)

    assert time.monotonic() - started < 9


@pytest.mark.parametrize("size", [16 * 1024 * 1024 + 1])
def test_a_websocket_message_has_a_size_limit(emulator: Emulator, size: int) -> None:
    """
    Close code 1009: message too big.
    """
    client = pytest.importorskip("websockets.sync.client", reason="websockets comes with mdstream-llm[emulator]")
    url = f"{emulator.modelarts.websocket_endpoint}/v1/chat/completions"
    with client.connect(url, proxy=None, max_size=None) as socket_, pytest.raises(Exception, match=r"1009|close"):
        socket_.send("x" * size)
        socket_.recv(timeout=10)

    assert is_alive(emulator)


# Addresses


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.invalid"])
def test_a_reachable_address_causes_a_warning(host: str) -> None:
    """
    The warning is issued at construction, before clients can connect.
    """
    with pytest.warns(RuntimeWarning, match="every machine that reaches this address"):
        Emulator(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_causes_no_warning(host: str) -> None:
    """
    The default address is on loopback.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Emulator()
        Emulator(host=host)


@pytest.mark.parametrize(("arguments", "has_warning"), [([], False), (["--host", "0.0.0.0"], True)])
def test_the_command_prints_its_address(arguments: list[str], has_warning: bool) -> None:
    """
    The warning is one line on standard error; the default address is on loopback.
    """
    command = [sys.executable, "-m", "mdstream_core.cli", "emulate", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    line = process.stdout.readline()
    url = urlsplit(line[line.index("http") :].split()[0])
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=5):
        pass
    process.terminate()
    stderr = process.communicate(timeout=20)[1]

    assert "127.0.0.1" == url.hostname
    assert has_warning is ("mdstream: warning: the emulator listens on 0.0.0.0" in stderr)
