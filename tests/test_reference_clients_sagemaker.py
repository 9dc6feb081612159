"""boto3 as the reference client for the emulated SageMaker."""

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

BODY = json.dumps(REQUEST).encode()
STREAM_BODY = json.dumps({**REQUEST, "stream": True}).encode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(aws_keys=KEYS) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def reset_emulator(emulator: Emulator) -> None:
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
    response = client.invoke_endpoint_with_response_stream(**{"EndpointName": "emulated", "ContentType": "application/json", "Body": STREAM_BODY, **options})  # fmt: skip
    return (event["PayloadPart"]["Bytes"] for event in response["Body"])


def content(body: bytes) -> str:
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_boto3_invokes(client: Any) -> None:
    """
    The response has the container's document, its type, the variant and the session.
    """
    response = client.invoke_endpoint(EndpointName="emulated", ContentType="application/json", Body=BODY, CustomAttributes="trace=1", SessionId="NEW_SESSION")  # fmt: skip

    assert HELLO == json.loads(response["Body"].read())["choices"][0]["message"]["content"]
    assert ("application/json", "AllTraffic", "trace=1") == (response["ContentType"], response["InvokedProductionVariant"], response["CustomAttributes"])  # fmt: skip
    assert response["NewSessionId"].startswith("session-1")
    assert response["ResponseMetadata"]["RequestId"]


def test_boto3_streams(client: Any) -> None:
    """
    Payload parts with SSE events.
    """
    response = client.invoke_endpoint_with_response_stream(EndpointName="emulated", Body=STREAM_BODY, Accept="text/event-stream")  # fmt: skip
    parts = [event["PayloadPart"]["Bytes"] for event in response["Body"]]

    assert HELLO == content(b"".join(parts))
    assert len(parts) > 5
    assert "text/event-stream; charset=utf-8" == response["ContentType"]


#: name: (endpoint, payload, start of the body)
IMAGES: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "TGI": ("tgi", {"inputs": "Hello", "stream": True}, b'data: {"index":1,"token":{"id":'),
    "LMI": ("lmi", {**REQUEST, "stream": True}, b'{"id":"chatcmpl-'),
    "LMI's rolling batch": ("lmi-rolling", {"inputs": "Hello", "stream": True}, b'{"token":{"id":'),
    "LMI's dynamic batch": ("lmi-dynamic", {"inputs": "Hello", "stream": True}, b'{"outputs":["Hello"]}\n'),
    "no stream": ("tgi", {"inputs": "Hello"}, b'[{"generated_text":"Hello'),
    "TEI": ("tei", {"inputs": ["Hello"]}, b"[["),
}


@pytest.mark.parametrize(("name", "payload", "begins"), IMAGES.values(), ids=IMAGES)
def test_every_container_streams(client: Any, name: str, payload: dict[str, Any], begins: bytes) -> None:
    """
    Each in its own format.
    """
    body = b"".join(stream(client, EndpointName=name, Body=json.dumps(payload).encode()))

    assert begins == body[: len(begins)]


@pytest.mark.parametrize("fault", [Fault("bytewise", size=3), Fault("split_frames", size=1), Fault("split_frames", size=50)])  # fmt: skip
def test_boto3_joins_split_frames(emulator: Emulator, client: Any, fault: Fault) -> None:
    """
    Frames may be split anywhere.
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
def test_boto3_raises_exception_frames(emulator: Emulator, client: Any, spelling: str, code: str) -> None:
    """
    As an `EventStreamError` with the frame's type, after the parts before it.
    """
    emulator.script(Fault("exception_frame", spelling))
    parts: list[bytes] = []
    with pytest.raises(EventStreamError) as caught:
        parts.extend(stream(client))

    assert "Hello" == content(b"".join(parts))
    assert code == caught.value.response["Error"]["Code"]


@pytest.mark.parametrize("spelling", ["message", "prelude"])
def test_boto3_detects_a_wrong_checksum(emulator: Emulator, client: Any, spelling: str) -> None:
    """
    Of the message or of its prelude.
    """
    emulator.script(Fault("damaged_frame", spelling))
    with pytest.raises(ChecksumMismatch):
        list(stream(client))


def test_boto3_ignores_a_partial_frame(emulator: Emulator, client: Any) -> None:
    """
    boto3 reports no error; mdstream deliberately does.
    """
    emulator.script(Fault("partial_frame", after=2))

    assert "Hello" == content(b"".join(stream(client)))


def test_boto3_detects_a_truncated_body(emulator: Emulator, client: Any) -> None:
    """
    The HTTP body has no end.
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
def test_boto3_raises_client_errors(emulator: Emulator, client: Any, spelling: str, status: int, code: str) -> None:
    """
    Status, code, message, request id.
    """
    emulator.script(Fault("refuse_aws", spelling))
    with pytest.raises(ClientError) as caught:
        list(stream(client))

    response = caught.value.response
    assert (status, code) == (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"])
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["RequestId"]


def test_boto3_raises_model_errors(client: Any) -> None:
    """
    As its own class, with the container's status, message and log.
    """
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="tgi", ContentType="application/json", Body=b'{"question":1}')

    response = caught.value.response
    assert (422, "validation") == (
        response["OriginalStatusCode"],
        json.loads(response["OriginalMessage"])["error_type"],
    )
    assert response["LogStreamArn"].startswith("arn:aws:logs:")


def test_an_unknown_endpoint(client: Any) -> None:
    """
    A validation error is raised.
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
def test_wrong_keys_are_rejected(emulator: Emulator, key: str, secret: str, token: str | None, code: str) -> None:
    """
    The error code names what is wrong.
    """
    other = boto3.client("sagemaker-runtime", "us-east-1", endpoint_url=emulator.url, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, config=Config(proxies={}))  # fmt: skip
    with pytest.raises(ClientError) as caught:
        other.invoke_endpoint(EndpointName="emulated", Body=BODY)

    assert code == caught.value.response["Error"]["Code"]


def test_a_boto3_client_configures_mdstream(emulator: Emulator, client: Any) -> None:
    """
    With its region, endpoint and credentials.
    """
    from mdstream_core import Service  # noqa: PLC0415
    from mdstream_core.auth.aws import resolve_connection  # noqa: PLC0415
    from mdstream_core.dialects import Auto  # noqa: PLC0415
    from mdstream_core.platforms import SageMaker  # noqa: PLC0415

    connection = resolve_connection(client=client)
    own_service = Service(
        SageMaker("emulated", connection.region_name, connection.endpoint_url), auth=connection.signer, trust_env=False
    )

    assert HELLO == own_service.client.complete(own_service.call(Auto(), REQUEST)).text
    own_service.close()
