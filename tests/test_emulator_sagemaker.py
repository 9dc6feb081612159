"""The emulated SageMaker, tested with mdstream's clients: containers, endings, signatures."""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from _sagemaker import HELLO, KEYS, REQUEST, Send, both, service, signer

from mdstream_core import Dialect, ModelResponse, Retry, Service, dialect
from mdstream_core.dialects import LMI, TGI, Auto, JumpStartLlama, OpenAIChat, OpenAICompletions
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator._sigv4 import AWSKey
from mdstream_core.errors import (
    AuthenticationError,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    NotFound,
    RateLimited,
    ServerError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
)
from mdstream_core.http import Request
from mdstream_core.platforms import SageMaker

pytest.importorskip("botocore.auth", reason="botocore signs for AWS; install mdstream-llm[aws]")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(aws_keys=KEYS) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def reset_emulator(emulator: Emulator) -> None:
    emulator.reset()


#: name: (endpoint, dialect, changed params)
FORMATS: dict[str, tuple[str, Dialect, dict[str, Any]]] = {
    "vLLM": ("emulated", OpenAIChat(), {}),
    "vLLM, detected": ("emulated", Auto(), {}),
    "vLLM, completions": ("emulated", OpenAICompletions(), {"messages": None, "prompt": "Hello"}),
    "vLLM, completions, detected": ("emulated", Auto(), {"messages": None, "prompt": "Hello"}),
    "SGLang": ("sglang", Auto(), {}),
    "TGI's chat": ("tgi", Auto(), {}),
    "TGI's own": ("tgi", TGI(), {}),
    "LMI's chat, JSON lines": ("lmi", OpenAIChat(), {}),
    "LMI's chat, detected": ("lmi", Auto(), {}),
    "LMI's new handler": ("lmi", LMI(), {}),
    "LMI's rolling batch": ("lmi-rolling", LMI(), {}),
    "LMI's dynamic batch": ("lmi-dynamic", LMI(), {}),
    "LMI as TGI": ("lmi-sse", TGI(), {}),
    "JumpStart": ("jumpstart-llama", JumpStartLlama(), {}),
}


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("name", "dialect", "params"), FORMATS.values(), ids=FORMATS)
def test_every_container_responds(emulator: Emulator, name: str, dialect: Dialect, params: dict[str, Any], stream: bool, send_request: Send) -> None:  # fmt: skip
    """
    Signed, with and without a stream, in each payload format; text and finish reason are complete.
    """
    model_response, error = send_request(
        service(emulator, name, custom_attributes="accept_eula=true"), dialect, stream=stream, **params
    )

    assert error is None
    assert (HELLO, "stop") == (model_response.text, model_response.finish_reason)


@both
@pytest.mark.parametrize("name", ["tgi-old", "lmi-rolling"])
def test_a_container_that_rejects_messages(emulator: Emulator, name: str, send_request: Send) -> None:
    """
    Its error names `inputs`; the request is sent again with them, and a warning is issued.
    """
    with pytest.warns(RuntimeWarning, match="chat template"):
        model_response, error = send_request(service(emulator, name))

    assert (HELLO, None, 2) == (model_response.text, error, len(emulator.requests))


@both
@pytest.mark.parametrize("name", ["emulated", "sglang", "tgi", "lmi"])
def test_tools(emulator: Emulator, name: str, send_request: Send) -> None:
    """
    A call has its name, its arguments and one id, whatever the container's format.
    """
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    model_response, error = send_request(service(emulator, name), messages=messages, tools=[WEATHER])

    assert error is None
    assert ("tool_calls", [("get_weather", {"city": "Paris"})]) == (model_response.finish_reason, [(call.name, call.parse_arguments()) for call in model_response.tool_calls])  # fmt: skip


HARMLESS_FAULTS = {
    "split into bytes": Fault("bytewise"),
    "split into parts of 7 bytes": Fault("bytewise", size=7),
    "frames split into bytes": Fault("split_frames"),
    "frames split at 100 bytes": Fault("split_frames", size=100),
    "one part": Fault("joined"),
    "CRLF": Fault("crlf"),
    "no last line break": Fault("unterminated"),
    "comments": Fault("keepalive_comments"),
    "no [DONE]": Fault("no_done"),
    "one document": Fault("json_body"),
    "closed behind it": Fault("close"),
}


@both
@pytest.mark.parametrize("fault", HARMLESS_FAULTS.values(), ids=HARMLESS_FAULTS)
def test_harmless_faults(emulator: Emulator, fault: Fault, send_request: Send) -> None:
    """
    The response is the same for any splitting of the bytes.
    """
    emulator.script(fault)
    model_response, error = send_request(service(emulator))

    assert (HELLO, "stop", None) == (model_response.text, model_response.finish_reason, error)


#: name: (fault, the error, its code, its status, the text before it)
ENDINGS: dict[str, tuple[Fault, type[MDStreamError], str | None, int, str]] = {
    "too long": (Fault("exception_frame", "ModelInvocationTimeExceeded"), StreamTimeout, "ModelInvocationTimeExceeded", 408, "Hello"),
    "broken": (Fault("exception_frame", "StreamBroken", after=3), StreamFailure, "StreamBroken", 500, "Hello!"),
    "internal": (Fault("exception_frame", "InternalStreamFailure"), StreamFailure, "InternalStreamFailure", 500, "Hello"),
    "an error message": (Fault("exception_frame", "error"), StreamFailure, "InternalError", 500, "Hello"),
    "at once": (Fault("exception_frame", "StreamBroken", after=0), StreamFailure, "StreamBroken", 500, ""),
    "after everything": (Fault("exception_frame", "StreamBroken", after=99), StreamFailure, "StreamBroken", 500, HELLO),
    "a wrong checksum": (Fault("damaged_frame", after=2), MalformedStream, "ChecksumMismatch", 200, "Hello"),
    "a wrong prelude": (Fault("damaged_frame", "prelude", after=2), MalformedStream, "ChecksumMismatch", 200, "Hello"),
    "half a frame": (Fault("partial_frame", after=2), StreamInterrupted, "PartialMessage", 200, "Hello"),
    "half a prelude": (Fault("partial_frame", after=2, size=5), StreamInterrupted, "PartialMessage", 200, "Hello"),
    "a cut": (Fault("cut"), StreamInterrupted, "RemoteProtocolError", 200, "Hello"),
    "a reset": (Fault("reset"), StreamInterrupted, "ReadError", 200, "Hello"),
    "a clean end too early": (Fault("no_finish", after=3), StreamInterrupted, None, 200, "Hello!"),
    "[DONE] too early": (Fault("early_done"), StreamInterrupted, None, 200, "Hello"),
    "the container's error": (Fault("error_event", after=2), StreamFailure, "InternalServerError", 500, "Hello"),
    "bad JSON": (Fault("malformed_json", after=2), MalformedStream, None, 200, "Hello"),
    "nothing": (Fault("empty"), StreamInterrupted, "EmptyStream", 200, ""),
    "a page": (Fault("html"), MalformedStream, None, 200, ""),
}  # fmt: skip


@both
@pytest.mark.parametrize(("fault", "kind", "code", "status", "text"), ENDINGS.values(), ids=ENDINGS)
def test_failed_streams_raise_errors(
    emulator: Emulator,
    fault: Fault,
    kind: type[MDStreamError],
    code: str | None,
    status: int,
    text: str,
    send_request: Send,
) -> None:
    """
    The text before the failure was delivered, and is in the error.
    """
    emulator.script(fault)
    model_response, error = send_request(service(emulator))

    assert error is not None
    assert (kind, code, status, text) == (type(error), code, error.status, model_response.text)
    assert text == (error.partial.text if error.partial else "")


#: spelling: (the error, its status)
ERROR_RESPONSES: dict[str, tuple[type[MDStreamError], int]] = {
    "not_found": (NotFound, 404),
    "ThrottlingException": (RateLimited, 429),
    "ModelNotReadyException": (ServerError, 429),
    "ServiceUnavailable": (ServerError, 503),
    "InternalDependencyException": (ServerError, 530),
    "model_422": (InvalidRequest, 422),
    "model_429": (RateLimited, 429),
    "model_500": (ServerError, 500),
}


@both
@pytest.mark.parametrize(("spelling", "kind", "status"), [(name, *row) for name, row in ERROR_RESPONSES.items()])
def test_error_responses(
    emulator: Emulator, spelling: str, kind: type[MDStreamError], status: int, send_request: Send
) -> None:
    """
    Of the service and of the container, each with its request id.
    """
    emulator.script(Fault("refuse_aws", spelling))
    _, error = send_request(service(emulator))

    assert error is not None
    assert (kind, status) == (type(error), error.status)
    assert error.request_id
    assert error.request_id in error.response.headers.values()


@pytest.mark.parametrize("spelling", ["ModelNotReadyException", "ThrottlingException", "model_500"])
def test_temporary_errors_are_retried(emulator: Emulator, spelling: str) -> None:
    """
    A loading model, a rate limit, a failure: the second request succeeds.
    """
    emulator.script(Fault("refuse_aws", spelling), None)
    platform = SageMaker("emulated", endpoint_url=emulator.sagemaker.endpoint_url)
    service_ = Service(platform, auth=signer(), retry=Retry(1, base_delay=0.001), trust_env=False)

    assert HELLO == service_.client.complete(service_.call(Auto(), REQUEST)).text
    assert 2 == len(emulator.requests)


@both
def test_an_unknown_endpoint(emulator: Emulator, send_request: Send) -> None:
    """
    SageMaker returns a validation error; mdstream's error says what to check.
    """
    _, error = send_request(service(emulator, "nope"))

    assert type(error) is NotFound
    assert "InService, and the region" in str(error)


@pytest.mark.parametrize("name", ["emulated", "sglang"])
def test_vllm_takes_no_responses_requests(emulator: Emulator, name: str) -> None:
    """
    Its `/invocations` does not pass them to `/v1/responses`; the hint names the dialect to set.
    """
    responses = dialect("openai-responses")
    with pytest.raises(InvalidRequest, match=r"Cannot find suitable handler.*hint: .*dialect='openai-chat'"):
        service_ = service(emulator, name)
        service_.client.complete(service_.call(responses, {"messages": [{"role": "user", "content": "Hi"}]}))
    own = service(emulator, "responses")

    assert own.client.complete(own.call(responses, {"messages": [{"role": "user", "content": "Hi"}]})).text


def test_a_body_over_the_limit_is_rejected_by_both_sides(emulator: Emulator) -> None:
    """
    mdstream does not send it; the service rejects it from another client.
    """
    service_ = service(emulator)
    with pytest.raises(InvalidRequest, match="26214400"):
        service_.client.complete(service_.call(Auto(), {"messages": [{"role": "user", "content": "x" * 27_000_000}]}))
    assert [] == emulator.requests
    status, body = send(emulator, sign(emulator, b"x" * 26_214_401))

    assert (400, True) == (status, "26214400" in body["Message"])


# Signatures


def sign(emulator: Emulator, body: bytes, **options: Any) -> Request:
    url = f"{emulator.sagemaker.endpoint_url}/endpoints/emulated/invocations"
    return signer(**options).sign(Request("POST", url, {"content-type": "application/json"}, body))


def send(emulator: Emulator, request: Request, **changed: str) -> tuple[int, Any]:
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("POST", parts.path, request.content, {**request.headers, **changed})
    response = connection.getresponse()
    status, body = response.status, json.loads(response.read())
    connection.close()
    return status, body


BODY = json.dumps(REQUEST).encode()


def test_a_correct_signature_is_accepted(emulator: Emulator) -> None:
    """
    Sent by another HTTP client.
    """
    assert 200 == send(emulator, sign(emulator, BODY))[0]


#: name: (headers that are changed after signing, part of the message)
CHANGED_HEADERS: dict[str, tuple[dict[str, str], str]] = {
    "another date": ({"x-amz-date": "20200101T000000Z"}, "Date in Credential scope does not match"),
    "no date": ({"x-amz-date": "yesterday"}, "ISO-8601"),
    "no signature": ({"authorization": ""}, "Missing Authentication Token"),
    "half an authorization": ({"authorization": "AWS4-HMAC-SHA256 Credential=a/b"}, "three parameters"),
    "another type": ({"content-type": "text/plain"}, "does not match"),
    "a header that is not signed": ({"x-amzn-sagemaker-session-id": "s-1"}, "does not match"),
    "a token that is not known": ({"x-amz-security-token": "t"}, "is invalid"),
}


@pytest.mark.parametrize(("changed", "message"), CHANGED_HEADERS.values(), ids=CHANGED_HEADERS)
def test_a_request_with_changed_headers_is_rejected(emulator: Emulator, changed: dict[str, str], message: str) -> None:
    """
    The response is 403 with the service's message.
    """
    status, body = send(emulator, sign(emulator, BODY), **changed)

    assert (403, True) == (status, message in body["Message"])


def test_a_body_changed_after_signing_is_rejected(emulator: Emulator) -> None:
    """
    By one letter.
    """
    request = sign(emulator, BODY)
    status, body = send(
        emulator, Request(request.method, request.url, request.headers, BODY.replace(b"Hello", b"Hullo"))
    )

    assert (403, True) == (status, "does not match" in body["Message"])


def test_an_old_date_is_rejected(emulator: Emulator) -> None:
    """
    The signature is correct, but an hour old.
    """
    status, body = send(emulator, sign(emulator, BODY, clock=lambda: time.time() - 3600))

    assert (403, True) == (status, "Signature expired" in body["Message"])


@both
def test_a_signature_for_another_region(emulator: Emulator, send_request: Send) -> None:
    """
    The error says what to check.
    """
    _, error = send_request(service(emulator, auth=signer(region_name="eu-west-1")))

    assert type(error) is AuthenticationError
    assert "the region of the signature" in str(error)


@both
def test_unknown_keys_are_rejected(send_request: Send) -> None:
    """
    A wrong id, a wrong secret, an expired token: the service's errors, without a retry.
    """
    keys = {"AKOTHER": "s3cret", "AKEMULATED": "another", "AKOVER": AWSKey("s3cret", "token", 0.0)}
    with Emulator(aws_keys={"AKOTHER": "s3cret"}) as emulator:
        _, unknown = send_request(service(emulator))
    with Emulator(aws_keys=keys) as emulator:
        _, mismatched = send_request(service(emulator))
        auth = type(signer()).from_keys("AKOVER", "s3cret", "token", region_name="us-east-1")
        _, expired = send_request(service(emulator, auth=auth))
        service_ = len(emulator.requests)

    assert ["UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"] == [unknown.code, mismatched.code, expired.code]  # fmt: skip
    assert {AuthenticationError} == {type(error) for error in (unknown, mismatched, expired)}
    assert 2 == service_


class Role:
    """A role whose first keys are expired for the service, whose clock is ahead of the client's."""

    def __init__(self) -> None:
        self.requested = 0

    def __call__(self) -> Any:
        from botocore.credentials import Credentials  # noqa: PLC0415

        self.requested += 1
        return Credentials(f"AK{self.requested}", "s3cret", "token")


@both
def test_an_expired_token_is_renewed_once(send_request: Send) -> None:
    """
    The credentials are reloaded, and the request is sent again with them.
    """
    from mdstream_core.auth.aws import AWSSigner  # noqa: PLC0415

    role = Role()
    keys = {"AK1": AWSKey("s3cret", "token", 0.0), "AK2": AWSKey("s3cret", "token")}
    with Emulator(aws_keys=keys) as emulator:
        model_response, error = send_request(
            service(emulator, auth=AWSSigner("us-east-1", role, reload_credentials=True))
        )

    assert (HELLO, None, 2) == (model_response.text, error, role.requested)


# Requests as they arrive


def test_headers_of_the_request(emulator: Emulator) -> None:
    """
    Parameters become headers.
    """
    platform = {"custom_attributes": "trace=1", "inference_component": "ic-1", "accept": "text/event-stream"}
    service_ = service(emulator, **platform)
    service_.client.complete(service_.call(Auto(), REQUEST))
    headers = emulator.last.headers

    assert "/endpoints/emulated/invocations-response-stream" == emulator.last.path
    assert ("trace=1", "ic-1", "text/event-stream") == tuple(headers[f"x-amzn-sagemaker-{name}"] for name in ("custom-attributes", "inference-component", "accept"))  # fmt: skip


def test_connections_are_reused(emulator: Emulator) -> None:
    """
    The body is read to its end, so the next request uses the same connection.
    """
    service_ = service(emulator)
    for _ in range(5):
        service_.client.complete(service_.call(Auto(), REQUEST))

    assert 1 == len({received.connection for received in emulator.requests})


def test_concurrent_requests(emulator: Emulator) -> None:
    """
    One signer and one platform in many tasks.
    """
    service_ = service(emulator)

    async def main() -> list[ModelResponse]:
        return await asyncio.gather(
            *(service_.async_client.complete(service_.call(Auto(), REQUEST)) for _ in range(20))
        )

    assert [HELLO] * 20 == [model_response.text for model_response in asyncio.run(main())]


def test_embeddings_of_tei(emulator: Emulator) -> None:
    """
    A list of vectors alone, and TEI's errors inside a model error.
    """
    url = f"{emulator.sagemaker.endpoint_url}/endpoints/tei/invocations"

    def embedded(inputs: Any) -> tuple[int, Any]:
        body = json.dumps({"inputs": inputs}).encode()
        return send(emulator, signer().sign(Request("POST", url, {"content-type": "application/json"}, body)))

    status, vectors = embedded(["a", "b"])

    assert (200, [256, 256]) == (status, [len(vector) for vector in vectors])
    assert (424, 422) == ((refused := embedded(["x"] * 33))[0], refused[1]["OriginalStatusCode"])
    assert 400 == embedded([])[1]["OriginalStatusCode"]


def test_without_keys_unsigned_requests_are_accepted() -> None:
    """
    An unsigned request needs no botocore.
    """
    with Emulator() as emulator:
        platform = SageMaker(emulator.sagemaker.endpoint_name, endpoint_url=emulator.sagemaker.endpoint_url)
        service_ = Service(platform, retry=Retry(0), trust_env=False)

        assert HELLO == service_.client.complete(service_.call(OpenAIChat(), REQUEST)).text
