"""The emulated services before a model server of somebody else's: one that is down, and one that has its own names."""

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
from _llamaindex_platforms import PLATFORM_CASES as LLAMAINDEX_PLACES
from _platforms import PLATFORM_CASES
from _raw_client import HELLO, STREAM, RawResponse, send_request

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import ServerError

DEAD_WORDS = "cannot be reached"
MESSAGES = [{"role": "user", "content": "Hello"}]
SHAKE = {"upgrade": "websocket", "connection": "upgrade", "sec_websocket_version": "13"} | {
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="
}


@pytest.fixture(scope="module")
def dead() -> Iterator[Emulator]:
    """Services whose model server has a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with Emulator(upstream=f"http://127.0.0.1:{held.getsockname()[1]}/v1", **ACCOUNTS) as emulator:
            yield emulator


@pytest.fixture(scope="module")
def open_dead() -> Iterator[Emulator]:
    """The same, for clients that do not sign."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with Emulator(upstream=f"http://127.0.0.1:{held.getsockname()[1]}/v1") as emulator:
            yield emulator


def genai(emulator: Emulator, model: str, **request: Any) -> RawResponse:
    """A native request to OCI Generative AI, a streamed one unless `request` says otherwise."""
    dedicated = model.startswith("ocid1.generativeaiendpoint.")
    mode = {"servingType": "DEDICATED", "endpointId": model} if dedicated else {"servingType": "ON_DEMAND"}
    messages = [
        {"role": role, "content": [{"type": "TEXT", "text": text}]} for role, text in (("SYSTEM", "Hi."), ("USER", "?"))
    ]
    body = {
        "compartmentId": emulator.oci_generative_ai.compartment_id,
        "servingMode": mode if dedicated else {**mode, "modelId": model},
        "chatRequest": {"apiFormat": "GENERIC", "messages": messages, "isStream": True, **request},
    }
    return send_request(f"{emulator.url}/20231130/actions/chat", body)


#: door: (how it is asked, streamed or not; where its envelope has the code; the code)
DOORS: dict[str, tuple[Callable[[Emulator, bool], RawResponse], Callable[[Any], Any], object]] = {
    "model deployment, stream": (
        lambda emulator, stream: send_request(emulator.endpoint + STREAM, {**HELLO, "stream": stream}),
        lambda answer: answer.json["code"],
        "ServiceUnavailable",
    ),
    "model deployment, predict": (
        lambda emulator, stream: send_request(emulator.endpoint + "/predict", {**HELLO, "stream": stream}),
        lambda answer: answer.json["code"],
        "ServiceUnavailable",
    ),
    "OCI Generative AI, native": (
        lambda emulator, stream: genai(emulator, "xai.grok-4", isStream=stream),
        lambda answer: answer.json["code"],
        "ServiceUnavailable",
    ),
    "OCI Generative AI, OpenAI": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/openai/v1/chat/completions",
            {"model": "llama3.2", "messages": MESSAGES, "stream": stream},
            opc_compartment_id=emulator.oci_generative_ai.compartment_id,
        ),
        lambda answer: answer.json["code"],
        "ServiceUnavailable",
    ),
    "SageMaker, invocations": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/endpoints/emulated/invocations", {**HELLO, "stream": stream}
        ),
        lambda answer: answer.headers["x-amzn-errortype"],
        "ServiceUnavailable",
    ),
    "SageMaker, stream": (
        lambda emulator, stream: send_request(
            f"{emulator.url}/endpoints/emulated/invocations-response-stream", {**HELLO, "stream": stream}
        ),
        lambda answer: answer.headers["x-amzn-errortype"],
        "ServiceUnavailable",
    ),
    "ModelArts": (
        lambda emulator, stream: send_request(
            emulator.modelarts.endpoint + "/v1/chat/completions", {**HELLO, "stream": stream}
        ),
        lambda answer: answer.json["error_code"],
        "ModelArts.4503",
    ),
    "ModelArts, MaaS": (
        lambda emulator, stream: send_request(
            emulator.modelarts.maas + "/chat/completions", {**HELLO, "stream": stream}
        ),
        lambda answer: answer.json["error_code"],
        "ModelArts.4503",
    ),
    "ModelArts, handshake": (
        lambda emulator, stream: send_request(
            emulator.modelarts.endpoint + "/v1/chat/completions", method="GET", content_length="", **SHAKE
        ),
        lambda answer: answer.json["error_code"],
        "ModelArts.4503",
    ),
    "the bare server": (
        lambda emulator, stream: send_request(emulator.openai_url + "/chat/completions", {**HELLO, "stream": stream}),
        lambda answer: answer.json["error"]["code"],
        503,
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("send", "code_of", "code"), DOORS.values(), ids=DOORS)
def test_a_server_that_is_down_is_503_on_every_route(
    open_dead: Emulator,
    send: Callable[[Emulator, bool], RawResponse],
    code_of: Callable[[Any], Any],
    code: object,
    stream: bool,
) -> None:
    answer = send(open_dead, stream)

    assert answer.status == 503
    assert code_of(answer) == code
    assert DEAD_WORDS in json.dumps(answer.json)


@pytest.mark.parametrize("name", [name for name in PLATFORM_CASES if name != "SageMaker LMI"])
@pytest.mark.parametrize("call_method", ["invoke", "stream", "ainvoke", "astream"])
def test_langchain_gets_a_server_error_that_may_be_retried(open_dead: Emulator, name: str, call_method: str) -> None:
    chat = chat_at(PLATFORM_CASES[name], open_dead)

    async def astream() -> None:
        async for _ in chat.astream("Hello"):
            pass

    methods: dict[str, Callable[[], object]] = {
        "invoke": lambda: chat.invoke("Hello"),
        "stream": lambda: list(chat.stream("Hello")),
        "ainvoke": lambda: asyncio.run(chat.ainvoke("Hello")),
        "astream": lambda: asyncio.run(astream()),
    }
    with pytest.raises(ServerError, match=DEAD_WORDS) as caught:
        methods[call_method]()

    assert caught.value.retryable
    assert caught.value.status == 503


@pytest.mark.parametrize("platform_case", LLAMAINDEX_PLACES.values(), ids=LLAMAINDEX_PLACES)
@pytest.mark.parametrize("call_method", ["chat", "achat", "stream_chat", "astream_chat"])
def test_llamaindex_gets_a_server_error_that_may_be_retried(
    dead: Emulator, platform_case: Any, call_method: str
) -> None:
    with pytest.raises(ServerError, match=DEAD_WORDS) as caught:
        (STREAMS | WHOLE)[call_method](platform_case.build(dead, max_retries=0), [])

    assert caught.value.retryable


class Gateway(BaseHTTPRequestHandler):
    """A proxy before a model server that is down."""

    status = 502

    def do_POST(self) -> None:
        """Answer with a page."""
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
def test_a_proxy_before_a_server_that_is_down_is_no_conflict(status: int) -> None:
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


def test_a_refusal_of_the_container_is_still_a_conflict() -> None:
    with Emulator(models=["mine"]) as far, Emulator(upstream=far.openai_url) as near:
        assert send_request(near.endpoint + STREAM, HELLO).status == 409


def test_an_upstream_that_breaks_off_breaks_a_whole_response_too() -> None:
    with Emulator() as far, Emulator(upstream=far.openai_url) as near:
        far.always(Fault("cut", after=3))
        predict = send_request(near.endpoint + "/predict", HELLO)
        native = genai(near, "xai.grok-4")

    assert predict.text == "Hello!"
    assert b"[DONE]" not in predict.body
    assert (native.status, native.json["code"]) == (503, "ServiceUnavailable")


#: What a client asks for, and what the upstream is asked for then.
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
def near() -> Iterator[Emulator]:
    """Services before a server that tells which model it was asked for."""
    names = ["qwen3:8b", "llama3.2", "Qwen/Qwen3-8B"]
    server = Emulator(model=lambda request: f"I am {request['model']}.", models=names)
    with server as far, Emulator(upstream=far.openai_url) as emulator:
        yield emulator


@pytest.mark.parametrize(("name", "served"), NAMES.values(), ids=NAMES)
def test_generic_serves_a_model_of_any_name(near: Emulator, name: str, served: str) -> None:
    streamed, whole = genai(near, name), genai(near, name, isStream=False)
    pieces = [part["text"] for event in streamed.events for part in event.get("message", {}).get("content", ())]

    assert "".join(pieces) == f"I am {served}."
    assert streamed.events[-1]["finishReason"] == "stop"
    assert whole.json["chatResponse"]["choices"][0]["message"]["content"][0]["text"] == f"I am {served}."
    assert whole.json["modelId"] == name


@pytest.mark.parametrize(("name", "served"), NAMES.values(), ids=NAMES)
def test_openais_paths_serve_a_model_of_any_name(near: Emulator, name: str, served: str) -> None:
    headers = {"opc_compartment_id": near.oci_generative_ai.compartment_id}
    answer = send_request(f"{near.url}/openai/v1/chat/completions", {**HELLO, "model": name}, **headers)

    assert answer.text == f"I am {served}."


def test_a_name_that_the_upstream_does_not_know_is_its_refusal(near: Emulator) -> None:
    answer = genai(near, "qwen4")

    assert answer.status == 404
    assert "`qwen4` does not exist" in answer.json["message"]


def test_an_upstream_without_a_list_is_requested_for_the_name_as_it_is() -> None:
    with Emulator(model=lambda request: str(request["model"])) as far, Emulator(upstream=far.openai_url) as near:
        far.script(Fault("refuse", "not_found"))
        answer = genai(near, "xai.grok-4", isStream=False)

    assert answer.json["chatResponse"]["choices"][0]["message"]["content"][0]["text"] == "xai.grok-4"


def test_a_response_that_is_none_is_the_services_failure() -> None:
    with Emulator() as far, Emulator(upstream=far.openai_url) as near:
        far.always(Fault("html"))
        answer = genai(near, "llama3.2")

    assert (answer.status, answer.json["code"]) == (500, "InternalServerError")


def test_a_dedicated_endpoint_is_no_model_on_demand(near: Emulator) -> None:
    mode = {"servingType": "ON_DEMAND", "modelId": "ocid1.generativeaiendpoint.oc1.iad.a"}
    body = {"compartmentId": near.oci_generative_ai.compartment_id, "servingMode": mode, "chatRequest": {}}

    assert send_request(f"{near.url}/20231130/actions/chat", body).status == 404


def test_without_an_upstream_only_models_of_the_families_exist() -> None:
    with Emulator() as emulator:
        assert genai(emulator, "llama3.2").status == 404
