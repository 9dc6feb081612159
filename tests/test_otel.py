"""Spans and metrics of calls in the OpenTelemetry SDK."""

import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from _client_requests import WHOLE, CountingSigner, call, error_response
from _raw_server import respond_with, serving
from _stream_endings import ENDINGS, NOTHING
from _telemetry import Backend
from opentelemetry import context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode

from mdstream_core import Call, Client, OCIModelDeployment, OpenAIChat, Retry, Service, dialect, errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.http import Request
from mdstream_core.otel import create_telemetry, instrument, uninstrument

PROMPT = "Name three rivers."
OUTPUT = "The Nile, the Amazon and the Danube."
REQUEST: dict[str, Any] = {"model": "odsc-llm", "messages": [{"role": "user", "content": PROMPT}]}
DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
FIRST, PACE = "gen_ai.client.operation.time_to_first_chunk", "mdstream.client.operation.time_per_output_token"

#: Names that are newer than the installed package of the conventions.
NEWER = {"gen_ai.usage.audio.input_tokens", "gen_ai.usage.audio.output_tokens"}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


def send_request(emulator: Emulator, backend: Backend, params: dict[str, Any] = REQUEST, **options: Any) -> Any:
    """Send a request and return the response or the error."""
    stream = options.pop("stream", True)
    dialect_name = options.pop("dialect_name", OpenAIChat())
    service = Service(OCIModelDeployment(emulator.endpoint), **{"hooks": (backend.hook,), "retry": Retry(0), **options})
    try:
        return service.client.complete(service.call(dialect_name, params, stream=stream))
    except errors.MDStreamError as error:
        return error
    finally:
        service.close()


def test_a_call_is_one_span(emulator: Emulator) -> None:
    """A span has operation, provider, model, parameters and response, with the names of the conventions."""
    backend = Backend()
    parameters = {"temperature": 0, "top_p": 0.5, "max_tokens": 99, "stop": ["END"], "seed": 7, "n": 1}
    send_request(emulator, backend, {**REQUEST, **parameters, "response_format": {"type": "json_object"}})

    span, seen = backend.only, backend.seen
    assert ("chat odsc-llm", SpanKind.CLIENT, StatusCode.UNSET) == (span.name, span.kind, span.status.status_code)
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "oci.model_deployment",
        "gen_ai.request.model": "odsc-llm",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "odsc-llm",
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
        "http.response.status_code": 200,
    }
    assert expected == {name: seen.get(name) for name in expected}
    assert {"gen_ai.response.id", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} <= seen.keys()
    assert emulator.endpoint.startswith(f"http://127.0.0.1:{seen['server.port']}/")
    assert seen["url.full"].startswith(emulator.endpoint)
    assert seen["mdstream.request_id"]
    assert 0 < seen["gen_ai.response.time_to_first_chunk"] < 5
    assert "gen_ai.request.choice.count" not in seen
    assert () == span.events


def test_attribute_names_are_in_the_conventions(emulator: Emulator) -> None:
    """Names are compared with OpenTelemetry's package; others start with `mdstream`."""
    backend = Backend(content=True)
    send_request(emulator, backend)
    emulator.script(Fault("trailer", after=3))
    send_request(emulator, backend)
    send_request(
        emulator, backend, {"input": ["a", "b"], "model": "m"}, dialect_name=dialect("openai-embeddings"), stream=False
    )

    known = {name for name in vars(gen_ai_attributes).values() if isinstance(name, str)} | NEWER
    stable = {"server.address", "server.port", "error.type", "http.response.status_code", "url.full"}
    found = {name for span in backend.ours for name in span.attributes or ()}
    assert set() == {name for name in found - known - stable if not name.startswith("mdstream.")}
    measured = {name for name in vars(gen_ai_metrics).values() if isinstance(name, str)}
    assert {DURATION, TOKENS, FIRST} <= measured


def test_a_temporary_error_response_is_an_event(emulator: Emulator) -> None:
    """A retry is an event of the same span, with time, error and the request id of the failed attempt."""
    backend = Backend()
    emulator.script(Fault("refuse", "lb_bandwidth"), None)
    model_response = send_request(emulator, backend, retry=Retry(2, base_delay=0.01))

    assert OUTPUT == model_response.text
    (event,) = backend.only.events
    seen = dict(event.attributes or {})
    assert ("mdstream.retry", "RateLimited", "TooManyRequests", 429) == (
        event.name,
        seen["error.type"],
        seen["mdstream.error.code"],
        seen["http.response.status_code"],
    )
    assert seen["mdstream.request_id"] != backend.seen["mdstream.request_id"]
    assert 1 == backend.seen["http.request.resend_count"]
    assert StatusCode.UNSET == backend.only.status.status_code
    assert 1 == sum(point.count for point in backend.points(DURATION))


FAILURES = {
    "trailer": (Fault("trailer", after=3), "StreamTimeout", "ModelResponseTimeExceeded", 200, "OCI ended the stream"),
    "error event": (Fault("error_event", "vllm", after=3), "StreamFailure", "InternalServerError", 200, ""),
    "cut": (Fault("cut", after=3), "StreamInterrupted", "RemoteProtocolError", 200, ""),
    "no answer": (Fault("html"), "MalformedStream", None, 200, "MalformedStream"),
    "refused": (Fault("refuse", "not_found"), "NotFound", "NotAuthorizedOrNotFound", 404, "404"),
    "unreachable": (Fault("drop"), "ConnectionFailed", "RemoteProtocolError", None, ""),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_its_class_and_code(emulator: Emulator, name: str) -> None:
    """The span has status ERROR with message, `error.type`, code and request id, and the size of the partial response."""
    fault, kind, code, status, words = FAILURES[name]
    backend = Backend()
    emulator.script(fault)
    error = send_request(emulator, backend)

    seen = backend.seen
    assert (kind, code, status) == (
        seen["error.type"],
        seen.get("mdstream.error.code"),
        seen.get("http.response.status_code"),
    )
    assert error.request_id == seen.get("mdstream.request_id")
    assert StatusCode.ERROR == backend.only.status.status_code
    assert str(backend.only.status.description).startswith(words)
    assert (error.partial and len(error.partial.text)) == seen.get("mdstream.partial.characters")
    (point,) = backend.points(DURATION)
    assert kind == dict(point.attributes)["error.type"]
    assert [] == backend.points(PACE)


def test_a_resumed_response_is_one_span(emulator: Emulator) -> None:
    """A resumption is an event of the span, and no part of the time per token."""
    backend = Backend()
    emulator.script(Fault("cut", after=4), None)
    model_response = send_request(emulator, backend, resume=1)

    assert (OUTPUT, 1) == (model_response.text, len(model_response.resumptions))
    assert ["mdstream.resume"] == [event.name for event in backend.only.events]
    assert (1, 1) == (backend.seen["mdstream.resumed"], backend.seen["http.request.resend_count"])
    assert StatusCode.UNSET == backend.only.status.status_code
    assert 1 == sum(point.count for point in backend.points(FIRST))
    assert [] == backend.points(PACE)


def test_closing_early_is_no_error(emulator: Emulator) -> None:
    """The span ends at once, with `mdstream.left`."""
    backend = Backend()
    emulator.script(Fault("stall", after=3))
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(backend.hook,))
    stream = service.client.stream(service.call(OpenAIChat(), REQUEST))
    next(stream)
    assert [] == backend.ours
    stream.close()
    service.close()

    assert (True, StatusCode.UNSET) == (backend.seen["mdstream.left"], backend.only.status.status_code)
    assert "error.type" not in backend.seen
    assert [1] == [point.count for point in backend.points(DURATION)]


def test_foreign_errors_are_recorded_without_message() -> None:
    """The message of a signer's error may contain secrets."""

    class Foreign(CountingSigner):
        def sign(self, request: Request) -> Request:
            raise LookupError("key sesame-open is not there")

    backend = Backend()
    with serving(respond_with(WHOLE)) as server, pytest.raises(LookupError):
        Client(Foreign(), trust_env=False).complete(call(server, hooks=(backend.hook,)))

    assert "LookupError" == backend.seen["error.type"]
    assert StatusCode.ERROR == backend.only.status.status_code
    assert "sesame" not in backend.everything()


def test_metrics(emulator: Emulator) -> None:
    """Four histograms have the conventions' buckets and attributes of low cardinality."""
    backend = Backend()
    model_response = send_request(emulator, backend)
    send_request(emulator, backend, stream=False)

    low = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"}
    low |= {"server.address", "server.port"}
    (duration,), (first,), (pace,) = (backend.points(name) for name in (DURATION, FIRST, PACE))
    assert (2, 1, 1) == (duration.count, first.count, pace.count)  # the second call was not streamed
    assert low == set(duration.attributes)
    assert (0.01, 0.02, 0.04) == duration.explicit_bounds[:3] == first.explicit_bounds[:3]
    assert (0.01, 0.025, 2.5) == (*pace.explicit_bounds[:2], pace.explicit_bounds[-1])
    tokens = {dict(point.attributes)["gen_ai.token.type"]: point for point in backend.points(TOKENS)}
    assert {"input": 2 * model_response.usage.input, "output": 2 * model_response.usage.output} == {
        kind: point.sum for kind, point in tokens.items()
    }
    assert (1, 4, 67108864) == (*tokens["input"].explicit_bounds[:2], tokens["input"].explicit_bounds[-1])
    assert pace.sum < duration.sum


def test_unsampled_calls_are_measured(emulator: Emulator) -> None:
    """A sampler affects spans only."""
    backend = Backend(sampler=ALWAYS_OFF)
    send_request(emulator, backend)

    assert [] == backend.ours
    assert [1] == [point.count for point in backend.points(DURATION)]


def test_metrics_without_traces(emulator: Emulator) -> None:
    """Metrics can be recorded without spans."""
    backend = Backend()
    backend.hook = create_telemetry(trace.NoOpTracerProvider(), backend.meters)
    send_request(emulator, backend)

    assert ([], [1]) == (backend.ours, [point.count for point in backend.points(DURATION)])


def test_finished_calls_are_released(emulator: Emulator) -> None:
    """Finished and closed calls are released without the garbage collector."""
    backend = Backend()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(backend.hook,))
    gc.collect()
    gc.disable()
    try:
        for read in (1, 99):
            requested = service.call(OpenAIChat(), REQUEST)
            gone, stream = weakref.ref(requested), service.client.stream(requested)
            list(islice(stream, read))
            stream.close()
            del requested, stream
            assert gone() is None
    finally:
        gc.enable()
        service.close()


def test_content_is_not_recorded_by_default(emulator: Emulator) -> None:
    """Content is not in attributes, events, descriptions or metrics, also if an error quotes it."""
    backend = Backend()
    send_request(emulator, backend)
    for ending in [*ENDINGS.values(), *NOTHING.values()]:
        for stream in (True, False):
            emulator.script(ending.fault)
            send_request(emulator, backend, stream=stream)
    refused = {"detail": [{"type": "missing", "msg": f"Field required, in {REQUEST}", "input": REQUEST}]}
    script = respond_with(error_response(b"422 No", json.dumps(refused).encode()))
    with serving(script) as server, pytest.raises(errors.InvalidRequest, match=PROMPT):
        Client(trust_env=False).complete(call(server, hooks=(backend.hook,)))

    assert 2 + 2 * len(ENDINGS | NOTHING) == len(backend.ours)
    for words in (PROMPT, "rivers", "Nile", "Amazon"):
        assert words not in backend.everything()


CONTENT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}, {"type": "image_url", "image_url": {"url": "https://h/x.png?signature=sesame"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"it"}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
}  # fmt: skip


def test_content_is_recorded_on_request(emulator: Emulator) -> None:
    """Content is recorded in the conventions' JSON, without image data and signed URLs."""
    backend = Backend(content=True)
    send_request(emulator, backend, CONTENT)

    requested = json.loads(backend.seen["gen_ai.input.messages"])
    assert ["system", "user", "assistant", "tool"] == [message["role"] for message in requested]
    assert [{"type": "text", "content": "Be brief."}] == requested[0]["parts"]
    assert [
        {"type": "text", "content": "What is this?"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://h/x.png"},
    ] == requested[1]["parts"]
    assert [{"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": "it"}}] == requested[2]["parts"]
    assert [{"type": "tool_call_response", "id": "c1", "response": "A cat."}] == requested[3]["parts"]
    assert [{"type": "function", "name": "look"}] == json.loads(backend.seen["gen_ai.tool.definitions"])
    (text_sent,) = json.loads(backend.seen["gen_ai.output.messages"])
    assert ("assistant", "stop") == (text_sent["role"], text_sent["finish_reason"])
    assert "sesame" not in backend.everything()


def test_partial_responses_are_recorded(emulator: Emulator) -> None:
    """The partial response and the error message are recorded."""
    backend = Backend(content=True)
    emulator.script(Fault("malformed_json", after=3))
    error = send_request(emulator, backend)

    (text_sent,) = json.loads(backend.seen["gen_ai.output.messages"])
    assert ([{"type": "text", "content": "The Nile"}], "incomplete") == (text_sent["parts"], text_sent["finish_reason"])
    assert str(error) == backend.only.status.description


@pytest.mark.parametrize(("value", "reported"), [("true", True), ("SPAN_ONLY", True), ("span_and_event", True), ("EVENT_ONLY", False), ("NO_CONTENT", False), ("", False)])  # fmt: skip
def test_the_environment_enables_content(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, value: str, reported: bool
) -> None:
    """The conventions' environment variable applies if `content` is not set."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    text_sent, unsaid = Backend(content=False), Backend()
    send_request(emulator, text_sent)
    send_request(emulator, unsaid)

    assert "gen_ai.input.messages" not in text_sent.seen
    assert reported == ("gen_ai.input.messages" in unsaid.seen)


@pytest.mark.parametrize("content", [False, True])
def test_credentials_are_never_recorded(emulator: Emulator, content: bool) -> None:
    """Credentials of requests, in error responses and in URLs are not recorded."""
    backend = Backend(content=content)
    send_request(emulator, backend, headers={"x-api-key": "sesame", "authorization": "Bearer sesame"})
    body = b'{"message": "The canonical string should have been: x-amz-security-token:sesame"}'
    for status in (b"401 No", b"403 No"):
        with (
            serving(respond_with(error_response(status, body))) as server,
            pytest.raises(errors.ServiceError, match="sesame"),
        ):
            Client(trust_env=False).complete(call(server, hooks=(backend.hook,)))

    assert 3 == len(backend.ours)
    assert "sesame" not in backend.everything()


def test_requests_without_a_model_call_have_no_span(emulator: Emulator) -> None:
    """Requests for the model list and for tokenization have no span."""
    backend = Backend()
    send_request(emulator, backend, {}, dialect_name=dialect("models"), stream=False)
    send_request(emulator, backend, {**REQUEST}, dialect_name=dialect("tokenize"), stream=False)

    assert ([], []) == (backend.ours, backend.points(DURATION))


def test_batches_are_children_of_the_callers_span(emulator: Emulator) -> None:
    """Each request has a span with the number of inputs and the vector size, also from threads."""
    backend = Backend()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(backend.hook,))
    with backend.tracers.get_tracer("test").start_as_current_span("indexing") as above:
        service.gather(
            dialect("openai-embeddings"),
            {"model": "m"},
            [f"text {n}" for n in range(35)],
            batch_size=10,
            max_concurrency=4,
        )
    service.close()

    assert [10, 10, 10, 5] == sorted((span.attributes["mdstream.input.count"] for span in backend.ours), reverse=True)
    assert {"embeddings m"} == {span.name for span in backend.ours}
    assert {above.get_span_context().span_id} == {span.parent.span_id for span in backend.ours}
    assert {256} == {span.attributes["gen_ai.embeddings.dimension.count"] for span in backend.ours}
    assert {"input"} == {dict(point.attributes)["gen_ai.token.type"] for point in backend.points(TOKENS)}


def test_rerank_operations(emulator: Emulator) -> None:
    """The conventions have no name for reranking."""
    backend = Backend()
    send_request(
        emulator,
        backend,
        {"query": "rivers", "documents": ["a", "b"], "model": "m"},
        dialect_name=dialect("rerank"),
        stream=False,
    )

    assert ("rerank m", 2) == (backend.only.name, backend.seen["mdstream.input.count"])
    assert "rivers" not in backend.everything()


@pytest.mark.parametrize(
    "key",
    [context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_language_model_instrumentation"],
    ids=["all", "models"],
)
def test_suppressed_tracing_records_nothing(emulator: Emulator, key: str) -> None:
    """OpenTelemetry or another tracer can suppress the span."""
    backend = Backend()
    token = context.attach(context.set_value(key, True))
    try:
        send_request(emulator, backend)
    finally:
        context.detach(token)

    assert ([], []) == (backend.ours, backend.points(DURATION))


def test_the_span_is_not_made_current(emulator: Emulator) -> None:
    """Spans of the caller between two chunks are not children of ours."""
    backend = Backend()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(backend.hook,))
    for _ in service.client.stream(service.call(OpenAIChat(), REQUEST)):
        assert not trace.get_current_span().get_span_context().is_valid
    service.close()


def test_instrument_and_uninstrument(emulator: Emulator) -> None:
    """A second call replaces the first; `uninstrument` removes all."""
    first, second, own = Backend(), Backend(), Backend()
    instrument(first.tracers, first.meters)
    instrument(second.tracers, second.meters)
    try:
        send_request(emulator, own, hooks=())
        send_request(emulator, own)
    finally:
        uninstrument()
        uninstrument()
    send_request(emulator, own, hooks=())

    assert (0, 1, 1) == (len(first.ours), len(second.ours), len(own.ours))


def test_unusual_parameters_do_not_fail(emulator: Emulator) -> None:
    """Values of an unexpected type are left out."""
    odd = {"temperature": float("nan"), "max_tokens": "many", "stop": 7, "seed": 10**30, "top_k": [1], "n": None}
    params = {**odd, "tools": ["look"]}
    params["messages"] = [{"content": [{"text": "?"}, 7, "\ud800"], "tool_calls": [1, {"function": "f"}]}, "hello"]
    backend = Backend(content=True)
    with serving(respond_with(WHOLE)) as server:
        platform = OCIModelDeployment(f"{server.url}/ocid1.x")
        Client(trust_env=False).complete(Call(platform, OpenAIChat(), params, hooks=(backend.hook,)))

    assert "chat" == backend.only.name
    assert "gen_ai.request.temperature" not in backend.seen
    assert backend.seen["gen_ai.input.messages"]


def test_importing_the_core_does_not_import_opentelemetry() -> None:
    """The core and the framework packages do not import OpenTelemetry."""
    code = "import sys, mdstream_core, mdstream_core.hooks; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert (
        "[]" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )


def test_without_an_sdk_nothing_is_recorded(emulator: Emulator) -> None:
    """The global providers are no-ops until an application sets them."""
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(create_telemetry(),))
    assert OUTPUT == service.client.complete(service.call(OpenAIChat(), REQUEST)).text
    service.close()
