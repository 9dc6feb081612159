"""boto3 reads the emulated SageMaker: what it accepts, raises and returns is what the service sends."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from _sagemaker import HELLO, KEYS, REQUEST

from mdstream_core.emulator import Emulator, Fault

boto3 = pytest.importorskip("boto3", reason="checks the emulator with boto3; install mdstream-llm[aws]")

from botocore.config import Config  # noqa: E402
from botocore.eventstream import ChecksumMismatch  # noqa: E402
from botocore.exceptions import ClientError, EventStreamError  # noqa: E402
from urllib3.exceptions import ProtocolError  # noqa: E402

PROMPT = json.dumps(REQUEST).encode()
STREAMED = json.dumps({**REQUEST, "stream": True}).encode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(aws_keys=KEYS) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def forgotten(emulator: Emulator) -> None:
    emulator.reset()


@pytest.fixture
def client(emulator: Emulator) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        region_name=emulator.sagemaker.region_name,
        endpoint_url=emulator.sagemaker.endpoint_url,
        aws_access_key_id="AKEMULATED",
        aws_secret_access_key="s3cret",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=10, proxies={}),
    )


def stream(client: Any, **options: Any) -> Iterator[bytes]:
    answer = client.invoke_endpoint_with_response_stream(**{"EndpointName": "emulated", "ContentType": "application/json", "Body": STREAMED, **options})  # fmt: skip
    return (event["PayloadPart"]["Bytes"] for event in answer["Body"])


def content(body: bytes) -> str:
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_it_invokes(client: Any) -> None:
    """
    The container's document, its type, the variant, and what the parameters brought.
    """
    answer = client.invoke_endpoint(EndpointName="emulated", ContentType="application/json", Body=PROMPT, CustomAttributes="trace=1", SessionId="NEW_SESSION")  # fmt: skip

    assert HELLO == json.loads(answer["Body"].read())["choices"][0]["message"]["content"]
    assert ("application/json", "AllTraffic", "trace=1") == (answer["ContentType"], answer["InvokedProductionVariant"], answer["CustomAttributes"])  # fmt: skip
    assert answer["NewSessionId"].startswith("session-1")
    assert answer["ResponseMetadata"]["RequestId"]


def test_it_streams(client: Any) -> None:
    """
    Payload parts of events.
    """
    answer = client.invoke_endpoint_with_response_stream(EndpointName="emulated", Body=STREAMED, Accept="text/event-stream")  # fmt: skip
    parts = [event["PayloadPart"]["Bytes"] for event in answer["Body"]]

    assert HELLO == content(b"".join(parts))
    assert len(parts) > 5
    assert "text/event-stream; charset=utf-8" == answer["ContentType"]


#: name: (endpoint, question, what the parts begin with)
IMAGES: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "TGI": ("tgi", {"inputs": "Hello", "stream": True}, b'data: {"index":1,"token":{"id":'),
    "LMI": ("lmi", {**REQUEST, "stream": True}, b'{"id":"chatcmpl-'),
    "LMI's rolling batch": ("lmi-rolling", {"inputs": "Hello", "stream": True}, b'{"token":{"id":'),
    "LMI's dynamic batch": ("lmi-dynamic", {"inputs": "Hello", "stream": True}, b'{"outputs":["Hello"]}\n'),
    "no stream": ("tgi", {"inputs": "Hello"}, b'[{"generated_text":"Hello'),
    "TEI": ("tei", {"inputs": ["Hello"]}, b"[["),
}


@pytest.mark.parametrize(("name", "question", "begins"), IMAGES.values(), ids=IMAGES)
def test_every_image_streams(client: Any, name: str, question: dict[str, Any], begins: bytes) -> None:
    """
    Each in its own format.
    """
    body = b"".join(stream(client, EndpointName=name, Body=json.dumps(question).encode()))

    assert begins == body[: len(begins)]


@pytest.mark.parametrize("fault", [Fault("bytewise", size=3), Fault("split_frames", size=1), Fault("split_frames", size=50)])  # fmt: skip
def test_it_joins_what_is_split(emulator: Emulator, client: Any, fault: Fault) -> None:
    """
    Frames cut anywhere are frames to boto3 too.
    """
    emulator.script(fault)

    assert HELLO == content(b"".join(stream(client)))


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("ModelInvocationTimeExceeded", "ModelStreamError"),
        ("StreamBroken", "ModelStreamError"),
        ("InternalStreamFailure", "InternalStreamFailure"),
        ("error", "InternalError"),
    ],
)
def test_it_raises_exception_frames(emulator: Emulator, client: Any, spelling: str, code: str) -> None:
    """
    As an EventStreamError of the frame's type, after the parts that came before it.
    """
    emulator.script(Fault("exception_frame", spelling))
    parts: list[bytes] = []
    with pytest.raises(EventStreamError) as raised:
        parts.extend(stream(client))

    assert "Hello" == content(b"".join(parts))
    assert code == raised.value.response["Error"]["Code"]


@pytest.mark.parametrize("spelling", ["message", "prelude"])
def test_it_finds_damage(emulator: Emulator, client: Any, spelling: str) -> None:
    """
    A wrong checksum.
    """
    emulator.script(Fault("damaged_frame", spelling))
    with pytest.raises(ChecksumMismatch):
        list(stream(client))


def test_it_does_not_notice_half_a_frame(emulator: Emulator, client: Any) -> None:
    """
    boto3 ends as if all were well: here ours differs on purpose.
    """
    emulator.script(Fault("partial_frame", after=2))

    assert "Hello" == content(b"".join(stream(client)))


def test_it_notices_a_truncated(emulator: Emulator, client: Any) -> None:
    """
    The HTTP body had no end.
    """
    emulator.script(Fault("cut"))
    with pytest.raises(ProtocolError):
        list(stream(client))


#: spelling: (the status, the code)
REFUSALS = {
    "ValidationError": (400, "ValidationError"),
    "ThrottlingException": (400, "ThrottlingException"),
    "ExpiredTokenException": (403, "ExpiredTokenException"),
    "ModelNotReadyException": (429, "ModelNotReadyException"),
    "InternalFailure": (500, "InternalFailure"),
    "ServiceUnavailable": (503, "ServiceUnavailable"),
    "InternalDependencyException": (530, "InternalDependencyException"),
}


@pytest.mark.parametrize(("spelling", "status", "code"), [(name, *row) for name, row in REFUSALS.items()])
def test_it_reads_refusals(emulator: Emulator, client: Any, spelling: str, status: int, code: str) -> None:
    """
    Status, code, message, request id.
    """
    emulator.script(Fault("refuse_aws", spelling))
    with pytest.raises(ClientError) as raised:
        list(stream(client))

    answer = raised.value.response
    assert (status, code) == (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
    assert answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RequestId"]


def test_it_reads_a_model_error(client: Any) -> None:
    """
    As its own class, with the container's status, words and log.
    """
    with pytest.raises(client.exceptions.ModelError) as raised:
        client.invoke_endpoint(EndpointName="tgi", ContentType="application/json", Body=b'{"question":1}')

    answer = raised.value.response
    assert (422, "validation") == (answer["OriginalStatusCode"], json.loads(answer["OriginalMessage"])["error_type"])
    assert answer["LogStreamArn"].startswith("arn:aws:logs:")


def test_an_endpoint_that_is_not_there(client: Any) -> None:
    """
    A validation error.
    """
    with pytest.raises(ClientError, match="Endpoint nope of account 123456789012 not found"):
        list(stream(client, EndpointName="nope"))


@pytest.mark.parametrize(
    ("key", "secret", "token", "code"),
    [
        ("AKEMULATED", "wrong", None, "InvalidSignatureException"),
        ("AKWRONG", "s3cret", None, "UnrecognizedClientException"),
        ("AKEMULATED", "s3cret", "token", "UnrecognizedClientException"),
    ],
)
def test_wrong_keys(emulator: Emulator, key: str, secret: str, token: str | None, code: str) -> None:
    """
    The refusal names what is wrong.
    """
    other = boto3.client("sagemaker-runtime", "us-east-1", endpoint_url=emulator.url, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, config=Config(proxies={}))  # fmt: skip
    with pytest.raises(ClientError) as raised:
        other.invoke_endpoint(EndpointName="emulated", Body=PROMPT)

    assert code == raised.value.response["Error"]["Code"]


def test_its_own_client_is_a_source_for_ours(emulator: Emulator, client: Any) -> None:
    """
    Region, endpoint and credentials of a boto3 client are enough to ask with ours.
    """
    from mdstream_core import Service  # noqa: PLC0415
    from mdstream_core.auth.aws import resolve_connection  # noqa: PLC0415
    from mdstream_core.dialects import Auto  # noqa: PLC0415
    from mdstream_core.platforms import SageMaker  # noqa: PLC0415

    found = resolve_connection(client=client)
    ours = Service(SageMaker("emulated", found.region_name, found.endpoint_url), auth=found.signer, trust_env=False)

    assert HELLO == ours.client.complete(ours.call(Auto(), REQUEST)).text
    ours.close()
