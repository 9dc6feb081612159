"""SageMaker: endpoints, headers, payload parts, and error responses."""

import json
import pickle
import warnings
from typing import Any

import pytest
from _sagemaker import exception, part, stream_head
from _samples import pieces

from mdstream_core import Call, ModelResponse, Platform, Retry
from mdstream_core.attempt import Attempt
from mdstream_core.dialects import Auto
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
    StreamError,
    StreamFailure,
    StreamInterrupted,
    StreamTimeout,
)
from mdstream_core.events import Event
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import SageMaker
from mdstream_core.platforms.sagemaker import MAX_REQUEST_BYTES
from mdstream_core.wire.eventstream import encode

BASE = "https://runtime.sagemaker.us-east-1.amazonaws.com"
MODEL = SageMaker("my-ep", "us-east-1")


def test_the_platform_is_an_immutable_value() -> None:
    """It compares by value, and contains no secret."""
    platform: Platform = MODEL

    assert platform == pickle.loads(pickle.dumps(platform))
    assert ("sagemaker", True) == (platform.name, platform.can_fail_after_output)


#: name: (options, base)
URLS: dict[str, tuple[dict[str, Any], str]] = {
    "a region": ({"region_name": "us-east-1"}, BASE),
    "another region": ({"region_name": "us-gov-west-1"}, "https://runtime.sagemaker.us-gov-west-1.amazonaws.com"),
    "china": ({"region_name": "cn-north-1"}, "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn"),
    "an address": ({"endpoint_url": "http://127.0.0.1:8080/"}, "http://127.0.0.1:8080"),
    "a path": ({"endpoint_url": "https://gateway.example/aws"}, "https://gateway.example/aws"),
    "an endpoint's own address": ({"endpoint_url": f"{BASE}/endpoints/my-ep/invocations"}, BASE),
    "an address goes first": ({"region_name": "us-east-1", "endpoint_url": "https://vpce.example"}, "https://vpce.example"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "base"), URLS.values(), ids=URLS)
def test_urls_of_both_operations(options: dict[str, Any], base: str) -> None:
    """The dialect's route is not used."""
    platform = SageMaker("my-ep", **options)
    urls = [platform.build_request("/v1/x", b"", stream=stream, headers={}).url for stream in (True, False)]

    assert [f"{base}/endpoints/my-ep/invocations-response-stream", f"{base}/endpoints/my-ep/invocations"] == urls


def test_hosts_equal_those_of_botocore() -> None:
    """In every partition of botocore."""
    session = pytest.importorskip("botocore.session", reason="botocore knows the partitions").Session()
    regions = [region for partition in session.get_available_partitions() for region in session.get_available_regions("sagemaker-runtime", partition)]  # fmt: skip
    resolve_connection = pytest.importorskip("mdstream_core.auth.aws").resolve_connection

    assert len(regions) > 30
    for region in [*regions[::8], "cn-north-1", "us-gov-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1"]:  # fmt: skip
        assert resolve_connection(region_name=region).endpoint_url == SageMaker("x", region).base_url.removesuffix(
            "/endpoints/x"
        )


#: name: (options, some words)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no region": ({}, "region_name is missing"),
    "no region's name": ({"region_name": "Virginia"}, "region_name='Virginia' is not a region name"),
    "a host as a region": ({"region_name": "us-east-1.evil.example/"}, "is not a region name"),
    "no URL": ({"endpoint_url": "runtime.sagemaker"}, "endpoint_url='runtime.sagemaker' is not a URL"),
    "a port that is none": ({"endpoint_url": "http://a:b"}, "host or port"),
    "a password": ({"endpoint_url": "https://me:pw@example"}, "user or password"),
    "a query": ({"endpoint_url": "https://example?key=1"}, "endpoint_url='https://example' is not a URL"),
    "no name": ({"endpoint_name": "", "region_name": "us-east-1"}, "endpoint_name=''"),
    "a path for a name": ({"endpoint_name": "a/b", "region_name": "us-east-1"}, "endpoint_name='a/b'"),
    "a long name": ({"endpoint_name": "a" * 64, "region_name": "us-east-1"}, "up to 63"),
    "long attributes": ({"region_name": "us-east-1", "custom_attributes": "x" * 1025}, "custom_attributes has 1025 characters; SageMaker accepts 1024"),
    "attributes beyond ASCII": ({"region_name": "us-east-1", "custom_attributes": "é"}, "custom_attributes .* has a character outside ASCII"),
    "a line break": ({"region_name": "us-east-1", "inference_id": "a\r\nx: y"}, "inference_id"),
    "a long id": ({"region_name": "us-east-1", "inference_id": "x" * 65}, "inference_id has 65"),
    "a session": ({"region_name": "us-east-1", "session_id": "a b"}, "session_id"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_fields_are_an_error(options: dict[str, Any], words: str) -> None:
    """In the constructor, with the field's name."""
    with pytest.raises(ValueError, match=words) as wrong:
        SageMaker(**{"endpoint_name": "my-ep", **options})

    assert "pw" not in str(wrong.value)


EVERY = {
    "inference_component": "ic-1",
    "target_variant": "blue",
    "target_container_hostname": "second",
    "session_id": "s-1",
    "inference_id": "id 1",
    "custom_attributes": "trace=1;accept_eula=true",
    "prefix_aware_id": "app",
}
HEADERS = {
    "x-amzn-sagemaker-inference-component": "ic-1",
    "x-amzn-sagemaker-target-variant": "blue",
    "x-amzn-sagemaker-target-container-hostname": "second",
    "x-amzn-sagemaker-session-id": "s-1",
    "x-amzn-sagemaker-inference-id": "id 1",
    "x-amzn-sagemaker-custom-attributes": "trace=1;accept_eula=true",
    "x-amzn-sagemaker-prefix-aware-id": "app",
}


@pytest.mark.parametrize(
    ("stream", "accept"), [(True, "x-amzn-sagemaker-accept"), (False, "accept")], ids=["stream", "whole"]
)
def test_every_parameter_is_sent_as_its_header(stream: bool, accept: str) -> None:
    """With botocore's names; `accept` has another name for streams."""
    platform = SageMaker("my-ep", "us-east-1", accept="application/jsonlines", **EVERY)
    request = platform.build_request("", b"{}", stream=stream, headers={})
    more = {accept: "application/jsonlines", "content-type": "application/json", "user-agent": request.headers["user-agent"]}  # fmt: skip

    assert {**HEADERS, **more} == request.headers
    assert b"{}" == request.content


def test_parameters_that_streams_do_not_support() -> None:
    """They are sent without streaming and rejected with it: SageMaker would silently call another model."""
    only = {
        "target_model": "a.tar.gz",
        "enable_explanations": "`true`",
        "session_id": "NEW_SESSION",
    }
    for name, value in only.items():
        platform = SageMaker("my-ep", "us-east-1", **{name: value})
        header = f"x-amzn-sagemaker-{name.replace('_', '-')}"

        assert value == platform.build_request("", b"", stream=False, headers={}).headers[header]
        with pytest.raises(InvalidRequest, match="stream"):
            platform.build_request("", b"", stream=True, headers={})
        with pytest.raises(InvalidRequest, match="stream"):
            MODEL.build_request("", b"", stream=True, headers={header.title(): value})


def test_a_body_over_the_limit_is_rejected() -> None:
    """The message has its size and the limit."""
    MODEL.build_request("", b"x" * MAX_REQUEST_BYTES, stream=True, headers={})
    with pytest.raises(InvalidRequest, match="26214401 bytes; SageMaker accepts 26214400") as reported:
        MODEL.build_request("", b"x" * (MAX_REQUEST_BYTES + 1), stream=True, headers={})

    assert ("PayloadTooLarge", 413) == (reported.value.code, reported.value.status)


def test_headers_of_a_call() -> None:
    """SageMaker's own are checked and sent; others, which it would remove, cause a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        headers = MODEL.build_request("", b"", stream=True, headers={"X-Amzn-SageMaker-Session-Id": "s-2"}).headers
    with pytest.warns(RuntimeWarning, match="SageMaker removes the header x-mine, .*custom_attributes"):
        stripped = MODEL.build_request("", b"", stream=True, headers={"X-Mine": "1"}).headers
    with pytest.raises(InvalidRequest, match="custom_attributes has 2000 characters"):
        MODEL.build_request("", b"", stream=True, headers={"x-amzn-sagemaker-custom-attributes": "x" * 2000})

    assert "s-2" == headers["x-amzn-sagemaker-session-id"]
    assert "x-mine" not in stripped


# what comes inside


def exchange() -> Attempt:
    return Call(MODEL, Auto(), {"messages": [{"role": "user", "content": "Hi"}]}, retry=Retry(0)).create_attempt()


def read(body: list[bytes], head: ResponseHead) -> tuple[ModelResponse, MDStreamError | None]:
    requested = exchange()
    events: list[Event] = []
    try:
        requested.start(head)
        for data in body:
            events += requested.feed(data)
            if requested.should_stop_reading:
                break
        events += requested.flush()
        events += requested.finish()
    except MDStreamError as error:
        return ModelResponse.from_events(events), requested.enrich_error(error)
    return ModelResponse.from_events(events), None


def chunk(text: str, finish: str = "null") -> str:
    return f'{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}]}}'


WORDS = ("Grüße ", "日本 ", "\u2028\U0001f600")
CONTENT = "".join(WORDS)
CHUNKS = [*map(chunk, WORDS), chunk("", '"stop"')]
TOKENS = [
    *(f'{{"token":{{"id":1,"text":"{word}","special":false}},"generated_text":null,"details":null}}' for word in WORDS),
    '{"token":{"id":2,"text":"</s>","special":true},"generated_text":"x","details":{"finish_reason":"eos_token","generated_tokens":3}}',
]
WHOLE = f'{{"choices":[{{"message":{{"content":"{CONTENT}"}},"finish_reason":"stop"}}]}}'

#: name: (the container's content type, what it wrote)
INSIDE: dict[str, tuple[str, str]] = {
    "chat, events": ("text/event-stream; charset=utf-8", "".join(f"data: {one}\n\n" for one in CHUNKS) + "data: [DONE]\n\n"),
    "chat, events with CRLF": ("text/event-stream", "".join(f"data: {one}\r\n\r\n" for one in CHUNKS) + "data: [DONE]\r\n\r\n"),
    "chat, JSON lines": ("application/jsonlines", "".join(f"{one}\n" for one in CHUNKS) + "\n"),
    "chat, JSON lines without the last line break": ("application/jsonlines", "\n".join(CHUNKS)),
    "chat, JSON lines with another label": ("text/event-stream", "".join(f"{one}\n\n" for one in CHUNKS)),
    "chat, JSON lines as one document": ("application/json", "".join(f"{one}\n" for one in CHUNKS)),
    "chat, events with another label": ("application/json", "\n\n".join(f"data:{one}" for one in CHUNKS)),
    "chat, events without a label": ("", ": ping\n\n" + "".join(f"data: {one}\n\n" for one in CHUNKS)),
    "chat, whole": ("application/json", WHOLE),
    "chat, whole, over several lines": ("application/json", json.dumps(json.loads(WHOLE), indent=2)),
    "completions, events": ("text/event-stream", "".join(f'data: {{"choices":[{{"text":"{word}"}}]}}\n\n' for word in WORDS) + 'data: {"choices":[{"text":"","finish_reason":"stop"}]}\n\n'),
    "TGI, events": ("text/event-stream", "".join(f"data:{one}\n\n" for one in TOKENS)),
    "TGI, whole": ("application/json", f'[{{"generated_text":"{CONTENT}"}}]'),
    "TGI, whole, over several lines": ("application/json", f'[\n  {{"generated_text":"{CONTENT}"}}\n]\n'),
    "LMI, JSON lines": ("application/jsonlines", "".join(f"{one}\n" for one in TOKENS)),
    "LMI, dynamic batch": ("application/jsonlines", "".join(f'{{"outputs":["{word}"]}}\n' for word in WORDS)),
    "LMI, one object": ("application/json", f'{{"generated_text":"{CONTENT}"}}'),
    "JumpStart": ("application/json", f'[{{"generation":{{"role":"assistant","content":"{CONTENT}"}}}}]'),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 3, 10, 4096])
@pytest.mark.parametrize(("written", "body"), INSIDE.values(), ids=INSIDE)
def test_frames_can_be_split_at_any_byte(written: str, body: str, step: int) -> None:
    """The container's output between payload parts, and the event stream between reads."""
    wire = b"".join(part(data) for data in pieces(body.encode(), step))
    model_response, error = read(pieces(wire, 1 + 7 * step), stream_head(written))

    assert (CONTENT, "stop", None) == (model_response.text, model_response.finish_reason, error)


@pytest.mark.parametrize(("written", "body"), INSIDE.values(), ids=INSIDE)
def test_a_body_without_event_stream_is_decoded_too(written: str, body: str) -> None:
    """`invocations` returns the container's response unchanged."""
    model_response, error = read(pieces(body.encode(), 5), ResponseHead(200, {"content-type": written}))

    assert (CONTENT, "stop", None) == (model_response.text, model_response.finish_reason, error)


def test_events_are_delivered_when_their_frame_is_complete() -> None:
    """Server-sent events and JSON lines do not wait for the next frame."""
    for written, line in {"text/event-stream": "data: {}\n\n", "application/jsonlines": "{}\n"}.items():
        requested = exchange()
        requested.start(stream_head(written))
        results = [len(requested.feed(part(line.replace("{}", one).encode()))) > 0 for one in CHUNKS]

        assert [True] * len(CHUNKS) == results


def test_unknown_events_and_empty_parts_are_ignored() -> None:
    """Unknown events and empty parts are ignored."""
    later = encode({":message-type": "event", ":event-type": "Metrics"}, b"{}")
    body = [later, part(b""), part(WHOLE.encode()), later]

    assert CONTENT == read(body, stream_head("application/json"))[0].text


STATED_ONE = part(f"data: {CHUNKS[0]}\n\n".encode())
TIME = b'{"Message":"too long","ErrorCode":"ModelInvocationTimeExceeded"}'
ALL = part("".join(f"data: {one}\n\n" for one in CHUNKS).encode())

#: name: (the wire, the error, its code, its status, some words)
ENDINGS: dict[str, tuple[bytes, type[StreamError], str | None, int, str]] = {
    "time": (STATED_ONE + exception("ModelStreamError", TIME), StreamTimeout, "ModelInvocationTimeExceeded", 408, "too long .*max_tokens"),
    "broken": (STATED_ONE + exception("ModelStreamError", b'{"Message":"boom","ErrorCode":"StreamBroken"}'), StreamFailure, "StreamBroken", 500, "ModelStreamError StreamBroken: boom"),
    "internal": (STATED_ONE + exception("InternalStreamFailure", b'{"Message":"oops"}'), StreamFailure, "InternalStreamFailure", 500, "oops"),
    "an exception of its own": (STATED_ONE + exception("Novel", b"not JSON"), StreamFailure, "Novel", 500, "not JSON"),
    "an error": (STATED_ONE + encode({":message-type": "error", ":error-code": "E1", ":error-message": "bad"}), StreamFailure, "E1", 500, "E1: bad"),
    "another message type": (STATED_ONE + encode({":message-type": "riddle"}), MalformedStream, None, 200, "type 'riddle'"),
    "no message type": (STATED_ONE + encode({}), MalformedStream, None, 200, "type None"),
    "a checksum": (STATED_ONE + STATED_ONE[:-1] + b"\0", MalformedStream, "ChecksumMismatch", 200, "checksum"),
    "a partial message": (STATED_ONE + STATED_ONE[:50], StreamInterrupted, "PartialMessage", 200, "50 bytes of"),
    "a clean end too early": (STATED_ONE, StreamInterrupted, None, 200, "before a finish reason"),
    "an error of the container": (STATED_ONE + part(b'data: {"error":{"message":"OOM","code":500}}\n\n'), StreamFailure, None, 500, "OOM"),
    "half a line": (STATED_ONE + part(b'data: {"choi'), StreamInterrupted, None, 200, "response is truncated"),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 16, 100_000])
@pytest.mark.parametrize(("wire", "kind", "code", "status", "words"), ENDINGS.values(), ids=ENDINGS)
def test_every_failure_is_an_error_after_the_received_frames(
    wire: bytes, kind: type[StreamError], code: str | None, status: int, words: str, step: int
) -> None:
    """With class, code and message, in one read or in many."""
    model_response, error = read(pieces(wire, step), stream_head())

    assert WORDS[0] == model_response.text
    assert error is not None
    assert (kind, code, status) == (type(error), code, error.status)
    with pytest.raises(kind, match=words):
        raise error
    assert WORDS[0] == error.partial.text
    assert "r-1" == error.request_id


def test_an_exception_frame_after_done_is_a_failure() -> None:
    """The last frame may report that the stream failed."""
    model_response, error = read(
        [ALL, part(b"data: [DONE]\n\n"), exception("InternalStreamFailure", b"{}")], stream_head()
    )

    assert CONTENT == model_response.text
    assert isinstance(error, StreamFailure)


def test_the_payload_of_an_exception_frame_is_kept() -> None:
    """For logs and support tickets."""
    _, error = read([exception("ModelStreamError", TIME)], stream_head())

    assert error is not None
    assert TIME.decode() == error.raw


@pytest.mark.parametrize(
    "head", [stream_head("text/html; charset=utf-8"), ResponseHead(200, {"content-type": "text/html"})]
)
def test_an_html_page_is_a_malformed_stream(head: ResponseHead) -> None:
    """Of the container, or of a proxy."""
    with pytest.raises(MalformedStream, match="text/html"):
        MODEL.create_frame_decoder(head)


def test_an_endless_line_is_rejected() -> None:
    """In JSON lines and events, however they are split."""
    for begins in (b"{", b"data: "):
        body = [part(begins)] + [part(b"x" * 1_000_000)] * 17

        assert isinstance(read(body, stream_head())[1], MalformedStream)


# refusals


def output(status: int, code: str, body: Any = "no", **headers: str) -> ServiceError:
    content = body if isinstance(body, bytes) else json.dumps(body if isinstance(body, dict) else {"Message": body}).encode()  # fmt: skip
    return MODEL.parse_error(ResponseHead(status, {"x-amzn-errortype": code, **headers} if code else headers), content)


#: name: (status, code, message, the class, the error's status, whether it is worth another try, some words)
REFUSALS: dict[str, tuple[int, str, str, type[ServiceError], int, bool, str]] = {
    "validation": (400, "ValidationError", "1 validation error", InvalidRequest, 400, False, "1 validation error"),
    "an unknown endpoint": (400, "ValidationError", "Endpoint x of account 1 not found.", NotFound, 404, False, "InService, and the region"),
    "with its namespace": (400, "com.amazonaws.sagemaker#ThrottlingException:http://x", "Rate exceeded", RateLimited, 429, True, "Rate exceeded"),
    "not ready": (429, "ModelNotReadyException", "loading", ServerError, 429, True, "still"),
    "internal": (500, "InternalFailure", "x", ServerError, 500, True, "retry"),
    "unavailable": (503, "ServiceUnavailable", "x", ServerError, 503, True, "x"),
    "a dependency": (530, "InternalDependencyException", "x", ServerError, 530, True, "support"),
    "an expired token": (403, "ExpiredTokenException", "expired", AuthenticationError, 403, False, "aws sso login"),
    "a wrong secret": (403, "InvalidSignatureException", "does not match", AuthenticationError, 403, False, "secret key, the region"),
    "a wrong id": (403, "UnrecognizedClientException", "invalid", AuthenticationError, 403, False, "access key"),
    "no signature": (403, "MissingAuthenticationTokenException", "Missing", AuthenticationError, 403, False, "not signed"),
    "not allowed": (403, "AccessDeniedException", "User is not", PermissionDenied, 403, False, "sagemaker:InvokeEndpoint"),
    "a code of its own": (400, "NovelException", "x", InvalidRequest, 400, False, "NovelException: x"),
    "no code": (502, "", "x", ServerError, 502, True, "502: x"),
    "a redirect": (307, "", "x", ServiceError, 307, False, "redirect is not followed"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "fits", "retryable", "words"), REFUSALS.values(), ids=REFUSALS
)
def test_error_responses_have_class_code_and_hint(
    status: int, code: str, message: str, kind: type[ServiceError], fits: int, retryable: bool, words: str
) -> None:
    """For each code of the service."""
    error = output(status, code, message)

    assert (kind, fits, retryable) == (type(error), error.status, error.retryable)
    assert words in str(error)
    assert message in str(error)


def container(status: int, message: str, **more: Any) -> ServiceError:
    return output(424, "ModelError", {"Message": "Received error", "OriginalStatusCode": status, "OriginalMessage": message, "LogStreamArn": "arn:log", **more})  # fmt: skip


#: name: (status, message, the class, the error's status, whether it is worth another try, some words)
CONTAINERS: dict[str, tuple[int, str, type[ServiceError], int, bool, str]] = {
    "TGI's validation": (422, '{"error":"`temperature` must be positive","error_type":"validation"}', InvalidRequest, 422, False, "422 validation: `temperature`"),
    "TGI's load": (429, '{"error":"Model is overloaded","error_type":"overloaded"}', RateLimited, 429, True, "overloaded"),
    "vLLM's failure": (500, '{"error":{"message":"engine died","type":"InternalServerError","code":500}}', ServerError, 500, True, "engine died"),
    "too long": (400, '{"error":{"message":"This model\'s maximum context length is 10 tokens","code":400}}', ContextOverflow, 400, False, "maximum context"),
    "an unknown model": (404, '{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","code":404}}', NotFound, 404, False, "does not exist"),
    "plain words": (503, "upstream connect error", ServerError, 503, True, "upstream connect error"),
    "no words": (500, "", ServerError, 500, True, "Received error"),
    "a container's key": (401, "Unauthorized", PermissionDenied, 401, False, "Unauthorized"),
    "no answer in time": (0, "Your invocation timed out", ServerError, 424, True, "timed out"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "message", "kind", "fits", "retryable", "words"), CONTAINERS.values(), ids=CONTAINERS)  # fmt: skip
def test_a_model_error_has_the_containers_status_and_message(
    status: int, message: str, kind: type[ServiceError], fits: int, retryable: bool, words: str
) -> None:
    """And the name of its log."""
    error = container(status, message)

    assert (kind, fits, retryable, "ModelError") == (type(error), error.status, error.retryable, error.code)
    assert words in str(error)
    assert "arn:log" in str(error)


def test_error_responses_without_an_envelope() -> None:
    """A page, an empty body, a list, or a code in the body."""
    assert "<html>" in str(output(502, "", b"<html>"))
    assert "no message" in str(output(500, "", b""))
    assert type(output(500, "", b"[1]")) is ServerError
    assert type(output(400, "", {"__type": "x#ThrottlingException", "message": "slow"})) is RateLimited
    assert 422 == output(424, "", {"OriginalStatusCode": 422, "OriginalMessage": "x"}).status
    assert 7.0 == output(429, "ThrottlingException", "x", **{"retry-after": "7"}).retry_after
