"""OCI Generative AI end to end: both clients call the emulator in every format."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from typing import Any, ClassVar

import pytest
from _auth_oci import KEY, KEY_ID, PEM
from _oci_genai import WEATHER, sse
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mdstream_core import Retry, Service, Timeout
from mdstream_core.auth import BearerSigner
from mdstream_core.auth.oci import from_config
from mdstream_core.dialects import dialect, oci_dialect_name
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    IncompleteToolCall,
    InvalidRequest,
    MDStreamError,
    NotFound,
    RateLimited,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.events import Event, ModelResponse
from mdstream_core.platforms import OCIGenerativeAI

#: Every way in which a family streams: model, dialect.
CHATS = {
    "LlamaParser": ("meta.llama-3.3-70b-instruct", "oci-generic"),
    "Grok": ("xai.grok-4", "oci-generic"),
    "GPT": ("openai.gpt-5", "oci-generic"),
    "Gemini": ("google.gemini-2.5-pro", "oci-generic"),
    "a dedicated cluster": ("ocid1.generativeaiendpoint.oc1.us-chicago-1.aaaa", "oci-generic"),
    "Cohere": ("cohere.command-a-03-2025", "oci-cohere"),
    "Cohere's second format": ("cohere.command-a-vision", "oci-cohere-v2"),
    "OpenAI's own format": ("xai.grok-4", "openai-chat"),
}
TEXTS = {
    "Cohere's text": ("cohere.command", "oci-generate-text-cohere"),
    "Llama's text": ("meta.llama-2-70b-chat", "oci-generate-text-llama"),
}
CAPITAL = "The capital of France is Paris."

Send = Callable[..., list[Event]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    with Emulator(context=2000) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared: Emulator) -> Emulator:
    shared.reset()
    return shared


class Hasty(OCIGenerativeAI):
    """Does not wait long for the usage."""

    drain_timeout: ClassVar[float] = 0.3


def create_call(emulator: Emulator, model: str, name: str, text: Any, *, auth: Any = None, stream: bool = True, **more: Any) -> tuple[Any, Any]:  # fmt: skip
    there = emulator.oci_genai
    platform = Hasty(there.compartment_id, model, service_endpoint=there.endpoint)
    service = Service(platform, auth=auth, timeout=Timeout(read=5, total=20), retry=Retry(0), trust_env=False)
    params = {"prompt": text} if "text" in name else {"messages": text if isinstance(text, list) else [{"role": "user", "content": text}]}  # fmt: skip
    resolved = dialect(name)
    return service, service.call(resolved, {**params, "model": model, **more}, stream=stream)


def sync(emulator: Emulator, *args: Any, **more: Any) -> list[Event]:
    service, call = create_call(emulator, *args, **more)
    events: list[Event] = []
    with closing(service):
        try:
            for event in service.client.stream(call):
                events.append(event)  # noqa: PERF402  # the events before an error are needed
        except MDStreamError as error:
            error.events = events  # type: ignore[attr-defined]
            raise
    return events


def asyn(emulator: Emulator, *args: Any, **more: Any) -> list[Event]:
    async def main() -> list[Event]:
        service, call = create_call(emulator, *args, **more)
        events: list[Event] = []
        async with aclosing(service):
            try:
                async for event in service.async_client.stream(call):
                    events.append(event)  # noqa: PERF401
            except MDStreamError as error:
                error.events = events  # type: ignore[attr-defined]
                raise
        return events

    return asyncio.run(main())


both = pytest.mark.parametrize("send_request", [sync, asyn])
chats = pytest.mark.parametrize(("model", "name"), CHATS.values(), ids=CHATS)


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("model", "name"), [*CHATS.values(), *TEXTS.values()], ids=[*CHATS, *TEXTS])
def test_every_format_returns_the_same_response(
    emulator: Emulator, send_request: Send, model: str, name: str, stream: bool
) -> None:
    """Text, finish reason and usage, streamed and whole."""
    model_response = ModelResponse.from_events(
        send_request(emulator, model, name, "What is the capital of France?", stream=stream)
    )

    assert (CAPITAL, "stop") == (model_response.text, model_response.finish_reason)
    assert "text" in name or (model_response.usage and model_response.usage.output == 7)


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@chats
def test_tool_calls_and_results_work_in_every_format(
    emulator: Emulator, send_request: Send, model: str, name: str, stream: bool
) -> None:
    """Two calls at once; their results are sent back and used."""
    conversation: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Paris and London?"}]
    model_response = ModelResponse.from_events(
        send_request(emulator, model, name, conversation, tools=[WEATHER], stream=stream)
    )

    assert ["Paris", "London"] == [call.parse_arguments()["city"] for call in model_response.tool_calls]
    assert ("tool_calls", 2) == (model_response.finish_reason, len({call.id for call in model_response.tool_calls}))

    functions = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in model_response.tool_calls]  # fmt: skip
    results = [
        {"role": "tool", "tool_call_id": c.id, "content": f"sunny in {c.parse_arguments()['city']}"}
        for c in model_response.tool_calls
    ]
    conversation += [{"role": "assistant", "content": "", "tool_calls": functions}, *results]
    model_response = ModelResponse.from_events(
        send_request(emulator, model, name, conversation, tools=[WEATHER], stream=stream)
    )

    assert ("The tool says: sunny in Paris; sunny in London", "stop") == (
        model_response.text,
        model_response.finish_reason,
    )


@both
@pytest.mark.parametrize("name", ["oci-generic", "oci-cohere-v2"])
def test_reasoning_precedes_the_output(emulator: Emulator, send_request: Send, name: str) -> None:
    """As separate events."""
    model = "xai.grok-4" if name == "oci-generic" else "cohere.command-a-reasoning"
    model_response = ModelResponse.from_events(
        send_request(emulator, model, name, "What is the capital of France?", reasoning_effort="high")
    )

    assert (CAPITAL, True) == (model_response.text, model_response.reasoning.startswith("The user says"))


@both
@chats
def test_a_response_follows_a_schema(emulator: Emulator, send_request: Send, model: str, name: str) -> None:
    """In each format's own `responseFormat`."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}}

    assert {"city": "Paris"} == json.loads(ModelResponse.from_events(send_request(emulator, model, name, "Which city? city: Paris", response_format=wanted)).text)  # fmt: skip


@both
def test_max_tokens_truncates_a_response(emulator: Emulator, send_request: Send) -> None:
    """The finish reason is `length`; a truncated tool call is an error."""
    model_response = ModelResponse.from_events(
        send_request(emulator, "openai.gpt-5", "oci-generic", "What is the capital of France?", max_tokens=2)
    )

    assert ("The capital", "length") == (model_response.text, model_response.finish_reason)
    with pytest.raises(IncompleteToolCall):
        send_request(
            emulator,
            "xai.grok-4",
            "oci-generic",
            "Weather in Paris?",
            max_tokens=6,
            tools=[WEATHER],
            tool_choice="required",
        )


@both
@pytest.mark.parametrize("ending", ["eof", "done", "hang"])
@pytest.mark.parametrize(("model", "name"), list(CHATS.values())[:7], ids=list(CHATS)[:7])
def test_every_normal_ending_completes_a_stream(send_request: Send, model: str, name: str, ending: str) -> None:
    """The body ends, `[DONE]` is sent, or the connection stays open and the client closes it."""
    with Emulator(oci_genai_ending=ending) as emulator:
        model_response = ModelResponse.from_events(
            send_request(emulator, model, name, "What is the capital of France?")
        )

        assert (CAPITAL, "stop", True) == (
            model_response.text,
            model_response.finish_reason,
            model_response.usage is not None,
        )
        assert ending != "hang" or emulator.last.client_closed.wait(5)


@both
@pytest.mark.parametrize("fault", ["stall", "cut", "reset"])
def test_missing_usage_is_no_failure(emulator: Emulator, send_request: Send, fault: str) -> None:
    """After the finish event and a short wait the response is complete."""
    emulator.script(Fault(fault, after=8))
    model_response = ModelResponse.from_events(
        send_request(emulator, "xai.grok-4", "oci-generic", "What is the capital of France?")
    )

    assert (CAPITAL, "stop", None) == (model_response.text, model_response.finish_reason, model_response.usage)


@both
@chats
def test_usage_in_a_separate_read_is_received(send_request: Send, model: str, name: str) -> None:
    """In formats that send it after the finish reason."""
    with Emulator(delay=0.005) as slow:
        model_response = ModelResponse.from_events(send_request(slow, model, name, "Hello"))

    assert (True, "stop") == (model_response.usage is not None, model_response.finish_reason)


CONTENT = {
    "GENERIC": {"index": 0, "message": {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": "Hi"}]}},
    "COHERE": {"apiFormat": "COHERE", "text": "Hi"},
    "COHEREV2": {"apiFormat": "COHEREV2", "message": {"content": [{"type": "TEXT", "text": "Hi"}]}},
}
FORMATS = {"GENERIC": CHATS["Grok"], "COHERE": CHATS["Cohere"], "COHEREV2": CHATS["Cohere's second format"]}
DIED = {"code": "InternalServerError", "message": "it died"}

#: name: (the fault, given a healthy event's bytes; the error's class)
FAILURES: dict[str, tuple[Callable[[bytes], Any], type[MDStreamError]]] = {
    "cut": (lambda content: Fault("cut", after=2), StreamInterrupted),
    "cut in a chunk": (lambda content: Fault("cut_chunk", after=2), StreamInterrupted),
    "reset": (lambda content: Fault("reset", after=2), StreamInterrupted),
    "an end without a finish event": (lambda content: Fault("no_finish", after=2), StreamInterrupted),
    "[DONE] without a finish event": (lambda content: Fault("early_done", after=2), StreamInterrupted),
    "an error event": (lambda content: Fault("body", data=content + sse(DIED)), StreamFailure),
    "an error event of OpenAI's": (lambda content: Fault("error_event", "vllm"), StreamFailure),
    "a named error event": (lambda content: Fault("error_event", "named-text"), StreamFailure),
    "nothing": (lambda content: Fault("empty"), StreamInterrupted),
}  # fmt: skip


@both
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("fault", "kind"), FAILURES.values(), ids=FAILURES)
def test_a_failed_stream_is_an_error_with_its_partial(
    emulator: Emulator, send_request: Send, fault: Callable[[bytes], Any], kind: type[MDStreamError], format: str
) -> None:
    """The partial is exactly what was delivered."""
    emulator.script(fault(sse(CONTENT[format])))
    with pytest.raises(kind) as caught:
        send_request(emulator, *FORMATS[format], "What is the capital of France?")

    error: Any = caught.value
    assert (error.partial or ModelResponse()).text == ModelResponse.from_events(error.events).text
    assert error.request_id


@both
def test_silence_before_the_finish_event_is_a_failure(emulator: Emulator, send_request: Send) -> None:
    """Only after it may the connection stay open."""
    service_timeout = Fault("stall", after=2)
    emulator.script(service_timeout)
    with pytest.raises(StreamStalled):
        request_quickly(send_request, emulator)


def request_quickly(send_request: Send, emulator: Emulator) -> None:
    """Ask with little patience."""
    there = emulator.oci_genai
    platform = OCIGenerativeAI(there.compartment_id, "xai.grok-4", service_endpoint=there.endpoint)
    service = Service(platform, timeout=Timeout(read=0.3), retry=Retry(0), trust_env=False)
    call = service.call(dialect("oci-generic"), {"messages": [{"role": "user", "content": "Hi"}]})
    if send_request is sync:
        with closing(service):
            service.client.complete(call)
        return

    async def main() -> None:
        async with aclosing(service):
            await service.async_client.complete(call)

    asyncio.run(main())


@both
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_stream_is_decoded(emulator: Emulator, send_request: Send, encoding: str) -> None:
    """Only streamable encodings are offered."""
    emulator.script(Fault("encoded", encoding))

    assert (
        ModelResponse.from_events(
            send_request(emulator, "xai.grok-4", "oci-generic", "What is the capital of France?")
        ).text
        == CAPITAL
    )
    assert emulator.last.headers["accept-encoding"] == "gzip, deflate"


@both
def test_a_rejected_temperature_is_dropped_with_a_warning(emulator: Emulator, send_request: Send) -> None:
    """GPT-5 accepts none; the error is JSON in a text, and the request is sent again without it."""
    with pytest.warns(RuntimeWarning, match="temperature=0.2"):
        model_response = ModelResponse.from_events(
            send_request(emulator, "openai.gpt-5", "oci-generic", "What is the capital of France?", temperature=0.2)
        )

    assert (CAPITAL, 2) == (model_response.text, len(emulator.requests))
    assert "temperature" not in emulator.last.json["chatRequest"]


#: name: (model, dialect, parameters, class of the error, part of its message)
REFUSED: dict[str, tuple[str, str, str, type[MDStreamError], str]] = {
    "an unknown model": ("nobody.model", "oci-generic", "Hi", NotFound, "Entity with key nobody.model"),
    "another format": (
        "cohere.command-a-03-2025",
        "oci-generic",
        "Hi",
        InvalidRequest,
        "COHERE or COHEREV2 for cohere.*",
    ),
    "a long question": ("xai.grok-4", "oci-generic", "word " * 3000, ContextOverflow, "maximum context length"),
}


@both
@pytest.mark.parametrize(("model", "name", "text", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_error_responses_have_a_hint(
    emulator: Emulator, send_request: Send, model: str, name: str, text: str, kind: type[MDStreamError], words: str
) -> None:
    """And their class and request id."""
    with pytest.raises(kind) as caught:
        send_request(emulator, model, name, text)

    assert words in str(caught.value)
    assert caught.value.request_id


@both
@pytest.mark.parametrize(("spelling", "kind"), [("not_authenticated", AuthenticationError), ("lb_bandwidth", RateLimited), ("unavailable", ServerError)])  # fmt: skip
def test_documented_error_responses(
    emulator: Emulator, send_request: Send, spelling: str, kind: type[MDStreamError]
) -> None:
    """By status."""
    emulator.script(Fault("refuse", spelling))
    with pytest.raises(kind):
        send_request(emulator, "xai.grok-4", oci_dialect_name("xai.grok-4"), "Hi")


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_requests_are_signed(send_request: Send, stream: bool) -> None:
    """With an API key, which the emulator verifies, or a bearer token; on native and OpenAI paths."""
    config = dict(zip(("tenancy", "user", "fingerprint"), KEY_ID.split("/"), strict=True))
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signer = from_config(config={**config, "key_content": PEM})
    with Emulator(verify_signatures={KEY_ID: public}, api_keys=["sk-good"]) as guarded:
        for auth in (signer, BearerSigner("sk-good")):
            for name in ("oci-generic", "openai-chat"):
                params = send_request(
                    guarded, "xai.grok-4", name, "What is the capital of France?", auth=auth, stream=stream
                )
                assert CAPITAL == ModelResponse.from_events(params).text
        with pytest.raises(AuthenticationError):
            send_request(guarded, "xai.grok-4", "oci-generic", "Hi", stream=stream)


def test_closing_a_stream_closes_the_connection(emulator: Emulator) -> None:
    """Closing a stream closes the connection."""
    emulator.script(Fault("stall", after=2))
    service, call = create_call(emulator, "xai.grok-4", "oci-generic", "What is the capital of France?")
    with closing(service), closing(service.client.stream(call)) as events:
        next(events)

    assert emulator.last.client_closed.wait(5)
