"""Faults of every service: unusual but complete responses are read, truncated ones are truncated in its own format."""

import gzip
from collections.abc import Callable, Iterator

import pytest
from _raw_client import HELLO, RawResponse, send_request
from _stream_endings import BEGINNING, HEALTHY, OUTPUT, REQUEST

from mdstream_core import (
    ModelArts,
    ModelResponse,
    OCIGenerativeAI,
    OCIModelDeployment,
    Platform,
    Retry,
    SageMaker,
    Service,
    errors,
)
from mdstream_core.dialects import dialect
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.events import Event


def _genai(model: str) -> Callable[[Emulator], Platform]:
    return lambda emulator: OCIGenerativeAI(
        emulator.oci_genai.compartment_id, model, service_endpoint=emulator.oci_genai.endpoint
    )


def _sagemaker(name: str) -> Callable[[Emulator], Platform]:
    return lambda emulator: SageMaker(name, endpoint_url=emulator.sagemaker.endpoint_url)


#: Service to its platform and dialect.
SERVICES: dict[str, tuple[Callable[[Emulator], Platform], str]] = {
    "oci-model-deployment": (lambda emulator: OCIModelDeployment(emulator.endpoint), "openai-chat"),
    "generic": (_genai("xai.grok-4"), "oci-generic"),
    "cohere": (_genai("cohere.command-a-03-2025"), "oci-cohere"),
    "cohere-v2": (_genai("cohere.command-a-vision"), "oci-cohere-v2"),
    "sagemaker": (_sagemaker("emulated"), "auto"),
    "sagemaker, lines": (_sagemaker("lmi"), "auto"),
    "sagemaker, tgi": (_sagemaker("tgi"), "auto"),
    "sagemaker, rolling": (_sagemaker("lmi-rolling"), "lmi"),
    "modelarts": (lambda emulator: ModelArts(emulator.modelarts.endpoint), "openai-chat"),
    "modelarts, websocket": (lambda emulator: ModelArts(emulator.modelarts.websocket_endpoint), "openai-chat"),
}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    with Emulator(model=lambda request: OUTPUT) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    shared_emulator.reset()
    return shared_emulator


def run_stream(emulator: Emulator, name: str, *faults: Fault) -> tuple[str, errors.MDStreamError | None]:
    """Read a stream of a service; return its text and its error."""
    platform, dialect_name = SERVICES[name]
    emulator.script(faults)
    service = Service(platform(emulator), retry=Retry(0), timeout=5, trust_env=False)
    payload = {"messages": [{"role": "user", "content": REQUEST}], "model": "m"}
    if "generic" in name or "cohere" in name:
        del payload["model"]
    events: list[Event] = []
    error_: errors.MDStreamError | None = None
    try:
        for event in service.client.stream(service.call(dialect(dialect_name), payload)):
            events.append(event)  # noqa: PERF402
    except errors.MDStreamError as error:
        error_ = error
    service.close()
    return ModelResponse.from_events(events).text, error_


#: Faults that do not exist in JSON lines or over a WebSocket.
_LINES = {"cr", "mixed", "comments of vllm", "comments of tgi", "comments of llamacpp"}
_EXCLUDED = {
    "sagemaker, lines": _LINES,
    "sagemaker, rolling": _LINES,
    "modelarts, websocket": {"encoded", "announced and absent"},
}
_HEALTHY = [(name, quirk) for name in SERVICES for quirk in HEALTHY if quirk not in _EXCLUDED.get(name, ())]


@pytest.mark.parametrize(("name", "quirk"), _HEALTHY)
def test_unusual_but_complete_responses_are_read(emulator: Emulator, name: str, quirk: str) -> None:
    assert run_stream(emulator, name, HEALTHY[quirk]) == (OUTPUT, None)


@pytest.mark.parametrize("fault", [Fault("cut"), Fault("cut_chunk"), Fault("early_done")], ids=lambda fault: fault.kind)
@pytest.mark.parametrize("name", SERVICES)
def test_a_truncated_response_is_interrupted(emulator: Emulator, name: str, fault: Fault) -> None:
    text, error_ = run_stream(emulator, name, fault)

    assert OUTPUT.startswith(text)
    assert 0 < len(text) <= len(BEGINNING)
    assert isinstance(error_, errors.StreamInterrupted)


@pytest.mark.parametrize("name", SERVICES)
def test_a_response_without_a_finish_reason_is_interrupted_after_its_text(emulator: Emulator, name: str) -> None:
    text, error_ = run_stream(emulator, name, Fault("no_finish"))

    # TGI finishes with its last token, the full stop.
    assert text == (OUTPUT[:-1] if name in {"sagemaker, tgi", "sagemaker, rolling"} else OUTPUT)
    assert isinstance(error_, errors.StreamInterrupted)


@pytest.mark.parametrize("name", SERVICES)
def test_an_error_event_in_ocis_format_at_every_service(emulator: Emulator, name: str) -> None:
    text, error_ = run_stream(emulator, name, Fault("error_event", "oci", after=3))

    assert OUTPUT.startswith(text)
    assert isinstance(error_, errors.StreamFailure)
    assert error_.code == "InternalServerError"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"modelarts, websocket"}))
def test_inserted_events_have_the_format_of_the_service(emulator: Emulator, name: str) -> None:
    replaced, _ = run_stream(emulator, name, Fault("bad_utf8", after=4))
    long, _ = run_stream(emulator, name, Fault("huge_line", after=4, size=300_000))

    assert replaced.replace("\ufffd\ufffd", "", 1) == OUTPUT
    assert long.replace("x" * 300_000, "", 1) == OUTPUT


def test_a_cohere_response_whose_usage_is_missing(emulator: Emulator) -> None:
    assert run_stream(emulator, "cohere", Fault("usage_missing"), Fault("crlf")) == (OUTPUT, None)


def stream_sagemaker(emulator: Emulator, fault: Fault) -> RawResponse:
    """Send a streaming request to SageMaker; return the raw response."""
    emulator.script(fault)
    url = f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations-response-stream"
    return send_request(url, HELLO)


def decode_frames(frames: bytes) -> bytes:
    """Extract the container's bytes from frames with botocore."""
    eventstream = pytest.importorskip(
        "botocore.eventstream", reason="checks the frames with botocore; install mdstream-llm[aws]"
    )
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(frames)
    return b"".join(message.payload for message in buffer)


@pytest.mark.parametrize("kind", ["content_length_too", "fixed_length", "until_eof"])
def test_another_http_framing_does_not_change_the_frames(emulator: Emulator, kind: str) -> None:
    response = stream_sagemaker(emulator, Fault(kind))

    assert decode_frames(response.body).endswith(b"data: [DONE]\n\n")
    assert "content-length" not in response.headers or int(response.headers["content-length"]) == len(response.body)


def test_a_truncated_chunk_ends_within_a_frame(emulator: Emulator) -> None:
    response = stream_sagemaker(emulator, Fault("cut_chunk", after=3))
    whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in response.chunks)
    size, _, rest_of_frame = response.rest.removeprefix(whole).partition(b"\r\n")

    assert len(response.chunks) == 3
    assert decode_frames(response.body).count(b"data: ") == 3
    assert len(rest_of_frame) > 12
    assert int(size, 16) == int.from_bytes(rest_of_frame[:4]) > len(rest_of_frame)


def test_frames_can_be_compressed(emulator: Emulator) -> None:
    assert decode_frames(gzip.decompress(stream_sagemaker(emulator, Fault("encoded")).body)).endswith(
        b"data: [DONE]\n\n"
    )


def test_faulty_frames_are_kept_if_events_share_a_chunk() -> None:
    with Emulator(events_per_chunk=3) as emulator:
        response = stream_sagemaker(emulator, Fault("exception_frame", "StreamBroken", after=5))
        truncated = stream_sagemaker(emulator, Fault("cut_chunk", after=3))

    assert response.body.count(b":exception-type") == 1
    assert decode_frames(response.body).count(b"PayloadPart") == 0
    assert len(truncated.chunks) == 1


def test_each_service_has_its_own_size_limit(emulator: Emulator) -> None:
    payload = b'{"messages":[{"role":"user","content":"Hello"}]}'
    limits = {emulator.endpoint + "/predict": 10, f"{emulator.modelarts.endpoint}/v1/chat/completions": 12}
    stream_sagemaker = {
        url: [send_request(url, payload + b" " * (size * 1024 * 1024 - len(payload) + extra)) for extra in (0, 1)]
        for url, size in limits.items()
    }

    assert [[200, 413]] * 2 == [[response.status for response in responses] for responses in stream_sagemaker.values()]
    assert all(responses[0].json["choices"] for responses in stream_sagemaker.values())
