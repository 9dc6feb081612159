"""The emulated services with an upstream: one that is down, and one with models of other names."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from _langchain_platforms import chat_at
from _llamaindex_platforms import ACCOUNTS, STREAMS, WHOLE
from _llamaindex_platforms import PLATFORM_CASES as LLAMAINDEX_PLATFORMS
from _platforms import PLATFORM_CASES
from _raw_client import HELLO, STREAM, RawResponse, send_request

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import ServerError

UNREACHABLE = "cannot be reached"
MESSAGES = [{"role": "user", "content": "Hello"}]
HANDSHAKE = {"upgrade": "websocket", "connection": "upgrade", "sec_websocket_version": "13"} | {
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="
}


@pytest.fixture(scope="module")
def unreachable_emulator() -> Iterator[Emulator]:
    """Services with an upstream that does not listen."""
    with socket.socket() as bound_socket:
        bound_socket.bind(("127.0.0.1", 0))
        with Emulator(upstream=f"http://127.0.0.1:{bound_socket.getsockname()[1]}/v1", **ACCOUNTS) as emulator:
            yield emulator


@pytest.fixture(scope="module")
def open_emulator() -> Iterator[Emulator]:
    """Services with an upstream that does not listen, which accept unsigned requests."""
    with socket.socket() as bound_socket:
        bound_socket.bind(("127.0.0.1", 0))
        with Emulator(upstream=f"http://127.0.0.1:{bound_socket.getsockname()[1]}/v1") as emulator:
            yield emulator


def genai(emulator: Emulator, model: str, **request: Any) -> RawResponse:
    """Send a native request to OCI Generative AI, with streaming by default."""
    dedicated = model.startswith("ocid1.generativeaiendpoint.")
    mode = {"servingType": "DEDICATED", "endpointId": model} if dedicated else {"servingType": "ON_DEMAND"}
    messages = [
        {"role": role, "content": [{"type": "TEXT", "text": text}]} for role, text in (("SYSTEM", "Hi."), ("USER", "?"))
    ]
    body = {
        "compartmentId": emulator.oci_genai.compartment_id,
        "servingMode": mode if dedicated else {**mode, "modelId": model},
        "chatRequest": {"apiFormat": "GENERIC", "messages": messages, "isStream": True, **request},
    }
    return send_request(f"{emulator.url}/20231130/actions/chat", body)


#: route: (sends a request, with or without streaming; reads the code of the error; the code)
ROUTES: dict[str, tuple[Callable[[Emulator, bool], RawResponse], Callable[[Any], Any], object]] = {
    "model deployment, stream": (
        lambda emulator, stream: send_request(emulator.endpoint + STREAM, {**HELLO, "stream": stream}),
        lambda response: response.json["code"],
        "ServiceUnavailable",
    ),
    "model deployment, predict": (
        lambda emulator, stream: send_request(emulator.endpoint + "/predict", {**HELLO, "stream": stream}),
        lambda response: response.json["code"],
        "ServiceUnavailable",
    ),
    "OCI Generative AI, native": (
        lambda emulator, stream: genai(emulator, "xai.grok-4", isStream=stream),
        lambda response: response.json["code"],
        "ServiceUnavailable",
    ),
    "OCI Generative AI, OpenAI": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/openai/v1/chat/completions",
            {"model": "llama3.2", "messages": MESSAGES, "stream": stream},
            opc_compartment_id=emulator.oci_genai.compartment_id,
        ),
        lambda response: response.json["code"],
        "ServiceUnavailable",
    ),
    "SageMaker, invocations": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/endpoints/emulated/invocations", {**HELLO, "stream": stream}
        ),
        lambda response: response.headers["x-amzn-errortype"],
        "ServiceUnavailable",
    ),
    "SageMaker, stream": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/endpoints/emulated/invocations-response-stream", {**HELLO, "stream": stream}
        ),
        lambda response: response.headers["x-amzn-errortype"],
        "ServiceUnavailable",
    ),
    "ModelArts": (
        lambda emulator, stream: send_request(
            emulator.modelarts.endpoint + "/v1/chat/completions", {**HELLO, "stream": stream}
        ),
        lambda response: response.json["error_code"],
        "ModelArts.4503",
    ),
    "ModelArts, MaaS": (
        lambda emulator, stream: send_request(
            emulator.modelarts.maas + "/chat/completions", {**HELLO, "stream": stream}
        ),
        lambda response: response.json["error_code"],
        "ModelArts.4503",
    ),
    "ModelArts, handshake": (
        lambda emulator, stream: send_request(
            emulator.modelarts.endpoint + "/v1/chat/completions", method="GET", content_length="", **HANDSHAKE
        ),
        lambda response: response.json["error_code"],
        "ModelArts.4503",
    ),
    "the bare server": (
        lambda emulator, stream: send_request(emulator.openai_url + "/chat/completions", {**HELLO, "stream": stream}),
        lambda response: response.json["error"]["code"],
        503,
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("send", "code_of", "code"), ROUTES.values(), ids=ROUTES)
def test_a_server_that_is_down_is_503_on_every_route(
    open_emulator: Emulator,
    send: Callable[[Emulator, bool], RawResponse],
    code_of: Callable[[Any], Any],
    code: object,
    stream: bool,
) -> None:
    response = send(open_emulator, stream)

    assert response.status == 503
    assert code_of(response) == code
    assert UNREACHABLE in json.dumps(response.json)


@pytest.mark.parametrize("name", [name for name in PLATFORM_CASES if name != "SageMaker LMI"])
@pytest.mark.parametrize("call_method", ["invoke", "stream", "ainvoke", "astream"])
def test_langchain_raises_a_retryable_server_error(open_emulator: Emulator, name: str, call_method: str) -> None:
    chat = chat_at(PLATFORM_CASES[name], open_emulator)

    async def astream() -> None:
        async for _ in chat.astream("Hello"):
            pass

    methods: dict[str, Callable[[], object]] = {
        "invoke": lambda: chat.invoke("Hello"),
        "stream": lambda: list(chat.stream("Hello")),
        "ainvoke": lambda: asyncio.run(chat.ainvoke("Hello")),
        "astream": lambda: asyncio.run(astream()),
    }
    with pytest.raises(ServerError, match=UNREACHABLE) as caught:
        methods[call_method]()

    assert caught.value.retryable
    assert caught.value.status == 503


@pytest.mark.parametrize("platform_case", LLAMAINDEX_PLATFORMS.values(), ids=LLAMAINDEX_PLATFORMS)
@pytest.mark.parametrize("call_method", ["chat", "achat", "stream_chat", "astream_chat"])
def test_llamaindex_raises_a_retryable_server_error(
    unreachable_emulator: Emulator, platform_case: Any, call_method: str
) -> None:
    with pytest.raises(ServerError, match=UNREACHABLE) as caught:
        (STREAMS | WHOLE)[call_method](platform_case.build(unreachable_emulator, max_retries=0), [])

    assert caught.value.retryable


class Gateway(BaseHTTPRequestHandler):
    """A proxy whose model server is down."""

    status = 502

    def do_POST(self) -> None:
        """Respond with an HTML page."""
        self.rfile.read(int(self.headers["content-length"]))
        page = b"<html><title>502 Bad Gateway</title></html>"
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_error_page_of_a_proxy_is_no_409(status: int) -> None:
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    server.status = status  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with Emulator(upstream=f"http://127.0.0.1:{server.server_port}") as emulator:
            stream = send_request(emulator.endpoint + STREAM, HELLO)
            predict = send_request(emulator.endpoint + "/predict", HELLO)
            native = genai(emulator, "xai.grok-4")
    finally:
        server.shutdown()
        server.server_close()

    assert (stream.status, stream.json["code"]) == (503, "ServiceUnavailable")
    assert predict.status == status
    assert native.status == status
    assert "Bad Gateway" in native.json["message"]


def test_an_error_of_the_container_is_a_409() -> None:
    with Emulator(models=["mine"]) as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        assert send_request(emulator.endpoint + STREAM, HELLO).status == 409


def test_an_interrupted_upstream_interrupts_a_response_without_a_stream() -> None:
    with Emulator() as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        upstream.always(Fault("cut", after=3))
        predict = send_request(emulator.endpoint + "/predict", HELLO)
        native = genai(emulator, "xai.grok-4")

    assert predict.text == "Hello!"
    assert b"[DONE]" not in predict.body
    assert (native.status, native.json["code"]) == (503, "ServiceUnavailable")


#: name: (the model of the request, the model of the request to the upstream)
NAMES = {
    "its own": ("qwen3:8b", "qwen3:8b"),
    "its other": ("llama3.2", "llama3.2"),
    "with an owner": ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
    "of the catalogue": ("meta.llama-3.3-70b-instruct", "qwen3:8b"),
    "of another family": ("openai.gpt-5", "qwen3:8b"),
    "a dedicated endpoint": ("ocid1.generativeaiendpoint.oc1.iad.amaaaaaa", "qwen3:8b"),
    "an imported model": ("ocid1.generativeaimodel.oc1.iad.amaaaaaa", "qwen3:8b"),
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Services with an upstream whose output is the name of the requested model."""
    names = ["qwen3:8b", "llama3.2", "Qwen/Qwen3-8B"]
    server = Emulator(model=lambda request: f"I am {request['model']}.", models=names)
    with server as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        yield emulator


@pytest.mark.parametrize(("name", "upstream_name"), NAMES.values(), ids=NAMES)
def test_generic_accepts_any_model_name(emulator: Emulator, name: str, upstream_name: str) -> None:
    streamed, whole = genai(emulator, name), genai(emulator, name, isStream=False)
    texts = [part["text"] for event in streamed.events for part in event.get("message", {}).get("content", ())]

    assert "".join(texts) == f"I am {upstream_name}."
    assert streamed.events[-1]["finishReason"] == "stop"
    assert whole.json["chatResponse"]["choices"][0]["message"]["content"][0]["text"] == f"I am {upstream_name}."
    assert whole.json["modelId"] == name


@pytest.mark.parametrize(("name", "upstream_name"), NAMES.values(), ids=NAMES)
def test_openais_paths_accept_any_model_name(emulator: Emulator, name: str, upstream_name: str) -> None:
    headers = {"opc_compartment_id": emulator.oci_genai.compartment_id}
    response = send_request(f"{emulator.url}/openai/v1/chat/completions", {**HELLO, "model": name}, **headers)

    assert response.text == f"I am {upstream_name}."


def test_an_unknown_model_name_returns_the_upstreams_error(emulator: Emulator) -> None:
    response = genai(emulator, "qwen4")

    assert response.status == 404
    assert "`qwen4` does not exist" in response.json["message"]


def test_without_a_list_of_models_the_name_is_sent_unchanged() -> None:
    with (
        Emulator(model=lambda request: str(request["model"])) as upstream,
        Emulator(upstream=upstream.openai_url) as emulator,
    ):
        upstream.script(Fault("refuse", "not_found"))
        response = genai(emulator, "xai.grok-4", isStream=False)

    assert response.json["chatResponse"]["choices"][0]["message"]["content"][0]["text"] == "xai.grok-4"


def test_an_invalid_response_of_the_upstream_is_a_server_error() -> None:
    with Emulator() as upstream, Emulator(upstream=upstream.openai_url) as emulator:
        upstream.always(Fault("html"))
        response = genai(emulator, "llama3.2")

    assert (response.status, response.json["code"]) == (500, "InternalServerError")


def test_a_dedicated_endpoint_is_no_on_demand_model(emulator: Emulator) -> None:
    mode = {"servingType": "ON_DEMAND", "modelId": "ocid1.generativeaiendpoint.oc1.iad.a"}
    body = {"compartmentId": emulator.oci_genai.compartment_id, "servingMode": mode, "chatRequest": {}}

    assert send_request(f"{emulator.url}/20231130/actions/chat", body).status == 404


def test_without_an_upstream_only_models_of_the_families_exist() -> None:
    with Emulator() as emulator:
        assert genai(emulator, "llama3.2").status == 404
