"""Faults over every service: what is odd but whole can be read, what is cut is cut in the service's own envelope."""

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
        emulator.oci_generative_ai.compartment_id, model, service_endpoint=emulator.oci_generative_ai.endpoint
    )


def _sagemaker(name: str) -> Callable[[Emulator], Platform]:
    return lambda emulator: SageMaker(name, endpoint_url=emulator.sagemaker.endpoint_url)


#: How each service is asked: the platform, and the dialect.
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


def outcome(emulator: Emulator, name: str, *faults: Fault) -> tuple[str, errors.MDStreamError | None]:
    """What a stream of a service came to: the text, and the error."""
    platform, dialect_name = SERVICES[name]
    emulator.script(faults)
    service = Service(platform(emulator), retry=Retry(0), timeout=5, trust_env=False)
    question = {"messages": [{"role": "user", "content": REQUEST}], "model": "m"}
    if "generic" in name or "cohere" in name:
        del question["model"]
    events: list[Event] = []
    failed: errors.MDStreamError | None = None
    try:
        for event in service.client.stream(service.call(dialect(dialect_name), question)):
            events.append(event)  # noqa: PERF402
    except errors.MDStreamError as error:
        failed = error
    service.close()
    return ModelResponse.from_events(events).text, failed


#: What JSON lines have no place for, and a WebSocket.
_LINES = {"cr", "mixed", "comments of vllm", "comments of tgi", "comments of llamacpp"}
_NOT_FOR = {
    "sagemaker, lines": _LINES,
    "sagemaker, rolling": _LINES,
    "modelarts, websocket": {"encoded", "announced and absent"},
}
_HEALTHY = [(name, odd) for name in SERVICES for odd in HEALTHY if odd not in _NOT_FOR.get(name, ())]


@pytest.mark.parametrize(("name", "odd"), _HEALTHY)
def test_what_is_odd_but_whole_is_read(emulator: Emulator, name: str, odd: str) -> None:
    assert outcome(emulator, name, HEALTHY[odd]) == (OUTPUT, None)


@pytest.mark.parametrize("fault", [Fault("cut"), Fault("cut_chunk"), Fault("early_done")], ids=lambda fault: fault.kind)
@pytest.mark.parametrize("name", SERVICES)
def test_a_response_that_stops_is_interrupted(emulator: Emulator, name: str, fault: Fault) -> None:
    text, failed = outcome(emulator, name, fault)

    assert OUTPUT.startswith(text)
    assert 0 < len(text) <= len(BEGINNING)
    assert isinstance(failed, errors.StreamInterrupted)


@pytest.mark.parametrize("name", SERVICES)
def test_a_response_without_a_finish_is_interrupted_after_all_its_words(emulator: Emulator, name: str) -> None:
    text, failed = outcome(emulator, name, Fault("no_finish"))

    # TGI finishes with its last token, the full stop.
    assert text == (OUTPUT[:-1] if name in {"sagemaker, tgi", "sagemaker, rolling"} else OUTPUT)
    assert isinstance(failed, errors.StreamInterrupted)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_can_state_an_error_as_oci_spells_it(emulator: Emulator, name: str) -> None:
    text, failed = outcome(emulator, name, Fault("error_event", "oci", after=3))

    assert OUTPUT.startswith(text)
    assert isinstance(failed, errors.StreamFailure)
    assert failed.code == "InternalServerError"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"modelarts, websocket"}))
def test_what_is_put_in_is_stated_in_the_format_of_the_service(emulator: Emulator, name: str) -> None:
    bent, _ = outcome(emulator, name, Fault("bad_utf8", after=4))
    long, _ = outcome(emulator, name, Fault("huge_line", after=4, size=300_000))

    assert bent.replace("\ufffd\ufffd", "", 1) == OUTPUT
    assert long.replace("x" * 300_000, "", 1) == OUTPUT


def test_a_cohere_response_whose_usage_is_missing(emulator: Emulator) -> None:
    assert outcome(emulator, "cohere", Fault("usage_missing"), Fault("crlf")) == (OUTPUT, None)


def results(emulator: Emulator, fault: Fault) -> RawResponse:
    """A stream of SageMaker as it stands on the wire."""
    emulator.script(fault)
    url = f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations-response-stream"
    return send_request(url, HELLO)


def unwrapped(frames: bytes) -> bytes:
    """The container's bytes in frames, as botocore reads them."""
    eventstream = pytest.importorskip(
        "botocore.eventstream", reason="checks the frames with botocore; install mdstream-llm[aws]"
    )
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(frames)
    return b"".join(message.payload for message in buffer)


@pytest.mark.parametrize("kind", ["content_length_too", "fixed_length", "until_eof"])
def test_another_framing_leaves_the_frames_as_they_are(emulator: Emulator, kind: str) -> None:
    answer = results(emulator, Fault(kind))

    assert unwrapped(answer.body).endswith(b"data: [DONE]\n\n")
    assert "content-length" not in answer.headers or int(answer.headers["content-length"]) == len(answer.body)


def test_a_chunk_that_is_truncated_is_truncated_within_a_frame(emulator: Emulator) -> None:
    answer = results(emulator, Fault("cut_chunk", after=3))
    whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in answer.chunks)
    size, _, half = answer.rest.removeprefix(whole).partition(b"\r\n")

    assert len(answer.chunks) == 3
    assert unwrapped(answer.body).count(b"data: ") == 3
    assert len(half) > 12
    assert int(size, 16) == int.from_bytes(half[:4]) > len(half)


def test_compressed_frames_are_frames_once_they_are_read(emulator: Emulator) -> None:
    assert unwrapped(gzip.decompress(results(emulator, Fault("encoded")).body)).endswith(b"data: [DONE]\n\n")


def test_frames_with_faults_of_their_own_stay_so_where_events_are_joined() -> None:
    with Emulator(events_per_chunk=3) as emulator:
        answer = results(emulator, Fault("exception_frame", "StreamBroken", after=5))
        truncated = results(emulator, Fault("cut_chunk", after=3))

    assert answer.body.count(b":exception-type") == 1
    assert unwrapped(answer.body).count(b"PayloadPart") == 0
    assert len(truncated.chunks) == 1


def test_the_limits_are_each_services_own(emulator: Emulator) -> None:
    question = b'{"messages":[{"role":"user","content":"Hello"}]}'
    most = {emulator.endpoint + "/predict": 10, f"{emulator.modelarts.endpoint}/v1/chat/completions": 12}
    results = {
        url: [send_request(url, question + b" " * (size * 1024 * 1024 - len(question) + more)) for more in (0, 1)]
        for url, size in most.items()
    }

    assert [[200, 413]] * 2 == [[answer.status for answer in responses] for responses in results.values()]
    assert all(responses[0].json["choices"] for responses in results.values())
