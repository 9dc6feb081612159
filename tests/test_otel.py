"""Spans and measurements of one call, as OpenTelemetry's SDK has them."""

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

#: Names that the conventions have got since the package that judges here.
NEWER = {"gen_ai.usage.audio.input_tokens", "gen_ai.usage.audio.output_tokens"}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    shared_emulator.reset()
    return shared_emulator


def send_request(emulator: Emulator, backend: Backend, question: dict[str, Any] = REQUEST, **options: Any) -> Any:
    """The answer to a question, or the error."""
    stream = options.pop("stream", True)
    dialect_name = options.pop("spoken", OpenAIChat())
    service = Service(OCIModelDeployment(emulator.endpoint), **{"hooks": (backend.hook,), "retry": Retry(0), **options})
    try:
        return service.client.complete(service.call(dialect_name, question, stream=stream))
    except errors.MDStreamError as error:
        return error
    finally:
        service.close()


def test_a_call_is_one_span(emulator: Emulator) -> None:
    """Who was asked for what, with what, and what came of it: in the conventions' names."""
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


def test_the_conventions_know_the_names(emulator: Emulator) -> None:
    """OpenTelemetry's own package is the judge; what it does not know bears our name."""
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


def test_a_refusal_that_passes_is_an_event(emulator: Emulator) -> None:
    """Asked again is the same span: when, why, and the refused attempt's own request id."""
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
def test_a_failure_states_what_kind_with_its_code(emulator: Emulator, name: str) -> None:
    """Status ERROR with the message, the class as `error.type`, the service's code and id; and how much had come."""
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


def test_a_response_that_is_gone_on_with_is_one_span(emulator: Emulator) -> None:
    """The joint is an event of it; no joint is part of the time per token."""
    backend = Backend()
    emulator.script(Fault("cut", after=4), None)
    model_response = send_request(emulator, backend, resume=1)

    assert (OUTPUT, 1) == (model_response.text, len(model_response.resumptions))
    assert ["mdstream.resume"] == [event.name for event in backend.only.events]
    assert (1, 1) == (backend.seen["mdstream.resumed"], backend.seen["http.request.resend_count"])
    assert StatusCode.UNSET == backend.only.status.status_code
    assert 1 == sum(point.count for point in backend.points(FIRST))
    assert [] == backend.points(PACE)


def test_a_reader_who_goes_is_no_error(emulator: Emulator) -> None:
    """The span ends there and then, and says so."""
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


def test_somebody_elses_error_is_named_without_its_words() -> None:
    """What a signer raises may say anything."""

    class Foreign(CountingSigner):
        def sign(self, request: Request) -> Request:
            raise LookupError("key sesame-open is not there")

    backend = Backend()
    with serving(respond_with(WHOLE)) as server, pytest.raises(LookupError):
        Client(Foreign(), trust_env=False).complete(call(server, hooks=(backend.hook,)))

    assert "LookupError" == backend.seen["error.type"]
    assert StatusCode.ERROR == backend.only.status.status_code
    assert "sesame" not in backend.everything()


def test_what_is_measured(emulator: Emulator) -> None:
    """Four histograms with the conventions' buckets and attributes of low cardinality."""
    backend = Backend()
    model_response = send_request(emulator, backend)
    send_request(emulator, backend, stream=False)

    low = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"}
    low |= {"server.address", "server.port"}
    (duration,), (first,), (pace,) = (backend.points(name) for name in (DURATION, FIRST, PACE))
    assert (2, 1, 1) == (duration.count, first.count, pace.count)  # the second was no stream
    assert low == set(duration.attributes)
    assert (0.01, 0.02, 0.04) == duration.explicit_bounds[:3] == first.explicit_bounds[:3]
    assert (0.01, 0.025, 2.5) == (*pace.explicit_bounds[:2], pace.explicit_bounds[-1])
    tokens = {dict(point.attributes)["gen_ai.token.type"]: point for point in backend.points(TOKENS)}
    assert {"input": 2 * model_response.usage.input, "output": 2 * model_response.usage.output} == {
        kind: point.sum for kind, point in tokens.items()
    }
    assert (1, 4, 67108864) == (*tokens["input"].explicit_bounds[:2], tokens["input"].explicit_bounds[-1])
    assert pace.sum < duration.sum


def test_measurements_are_taken_of_calls_that_are_not_sampled(emulator: Emulator) -> None:
    """A sampler decides about spans alone."""
    backend = Backend(sampler=ALWAYS_OFF)
    send_request(emulator, backend)

    assert [] == backend.ours
    assert [1] == [point.count for point in backend.points(DURATION)]


def test_measurements_can_be_had_alone(emulator: Emulator) -> None:
    """For a backend that has a span of the model call from somebody else."""
    backend = Backend()
    backend.hook = create_telemetry(trace.NoOpTracerProvider(), backend.meters)
    send_request(emulator, backend)

    assert ([], [1]) == (backend.ours, [point.count for point in backend.points(DURATION)])


def test_a_call_that_is_over_is_kept_by_nobody(emulator: Emulator) -> None:
    """Neither whole nor left calls wait for the garbage collector, with their answers."""
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


def test_prompts_and_responses_are_left_out(emulator: Emulator) -> None:
    """Not in attributes, events, descriptions or measurements; also where an error quotes them."""
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


def test_prompts_and_responses_are_there_when_requested_for(emulator: Emulator) -> None:
    """In the conventions' JSON; pictures are named, and no address keeps its signature."""
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


def test_half_a_response_is_content_too(emulator: Emulator) -> None:
    """What had come before the failure, and the words of the error."""
    backend = Backend(content=True)
    emulator.script(Fault("malformed_json", after=3))
    error = send_request(emulator, backend)

    (text_sent,) = json.loads(backend.seen["gen_ai.output.messages"])
    assert ([{"type": "text", "content": "The Nile"}], "incomplete") == (text_sent["parts"], text_sent["finish_reason"])
    assert str(error) == backend.only.status.description


@pytest.mark.parametrize(("value", "reported"), [("true", True), ("SPAN_ONLY", True), ("span_and_event", True), ("EVENT_ONLY", False), ("NO_CONTENT", False), ("", False)])  # fmt: skip
def test_the_environment_can_request_for_content(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, value: str, reported: bool
) -> None:
    """By the conventions' variable, where the code does not say."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    text_sent, unsaid = Backend(content=False), Backend()
    send_request(emulator, text_sent)
    send_request(emulator, unsaid)

    assert "gen_ai.input.messages" not in text_sent.seen
    assert reported == ("gen_ai.input.messages" in unsaid.seen)


@pytest.mark.parametrize("content", [False, True])
def test_credentials_are_nowhere(emulator: Emulator, content: bool) -> None:
    """Neither of requests, nor what a service quotes of them in a refusal, nor a key in an address."""
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


def test_requests_that_are_no_work_of_a_model_have_no_span(emulator: Emulator) -> None:
    """Which models there are, how many tokens a text is."""
    backend = Backend()
    send_request(emulator, backend, {}, dialect_name=dialect("models"), stream=False)
    send_request(emulator, backend, {**REQUEST}, dialect_name=dialect("tokenize"), stream=False)

    assert ([], []) == (backend.ours, backend.points(DURATION))


def test_batches_of_inputs_are_spans_under_the_callers(emulator: Emulator) -> None:
    """From threads too: each request has its own, with the number of its inputs and the size of the vectors."""
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


def test_a_ranking_has_a_name_of_ours(emulator: Emulator) -> None:
    """The conventions have none for it."""
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
def test_nothing_is_recorded_where_tracing_is_suppressed(emulator: Emulator, key: str) -> None:
    """By OpenTelemetry, or by a tracer that has a span of this model call already."""
    backend = Backend()
    token = context.attach(context.set_value(key, True))
    try:
        send_request(emulator, backend)
    finally:
        context.detach(token)

    assert ([], []) == (backend.ours, backend.points(DURATION))


def test_the_span_is_not_made_current(emulator: Emulator) -> None:
    """Between two pieces of a stream the reader's own spans are the reader's."""
    backend = Backend()
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(backend.hook,))
    for _ in service.client.stream(service.call(OpenAIChat(), REQUEST)):
        assert not trace.get_current_span().get_span_context().is_valid
    service.close()


def test_every_call_can_be_traced_and_no_more(emulator: Emulator) -> None:
    """Said again it replaces what was said before; taken back, nothing is left."""
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


def test_odd_values_break_no_call(emulator: Emulator) -> None:
    """What a caller or a server says of the wrong kind is left out."""
    odd = {"temperature": float("nan"), "max_tokens": "many", "stop": 7, "seed": 10**30, "top_k": [1], "n": None}
    question = {**odd, "tools": ["look"]}
    question["messages"] = [{"content": [{"text": "?"}, 7, "\ud800"], "tool_calls": [1, {"function": "f"}]}, "hello"]
    backend = Backend(content=True)
    with serving(respond_with(WHOLE)) as server:
        platform = OCIModelDeployment(f"{server.url}/ocid1.x")
        Client(trust_env=False).complete(Call(platform, OpenAIChat(), question, hooks=(backend.hook,)))

    assert "chat" == backend.only.name
    assert "gen_ai.request.temperature" not in backend.seen
    assert backend.seen["gen_ai.input.messages"]


def test_importing_the_core_does_not_import_opentelemetry() -> None:
    """Nor do the framework packages; without an SDK the hook costs nothing and breaks nothing."""
    code = "import sys, mdstream_core, mdstream_core.hooks; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert (
        "[]" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )


def test_without_an_sdk_nothing_happens(emulator: Emulator) -> None:
    """The global providers do nothing until an application sets them."""
    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(create_telemetry(),))
    assert OUTPUT == service.client.complete(service.call(OpenAIChat(), REQUEST)).text
    service.close()
