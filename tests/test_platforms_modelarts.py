"""ModelArts and MaaS: endpoints, requests and error responses."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mdstream_core import ModelResponse, OpenAIChat, Retry, Service, Timeout
from mdstream_core.auth.huawei import MAX_REQUEST_BYTES, resolve_signer
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.services.modelarts import HuaweiAccount
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    ContentFiltered,
    ContextOverflow,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
    StreamFailure,
    StreamInterrupted,
    StreamStalled,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import ModelArts, Platform
from mdstream_core.platforms._modelarts_errors import CODES
from mdstream_core.wire.jsonlines import DocumentSniffingDecoder, SniffingDecoder
from mdstream_core.wire.websocket_messages import CONTENT_TYPE, MessageDecoder

ID = "8e1bb6be-1111-2222-3333-abcdefabcdef"
PUBLIC = f"https://infer-modelarts-cn-southwest-2.modelarts-infer.com/v1/infers/{ID}"
CHAT = "/v1/chat/completions"

#: name: (endpoint, the container's route, the URL)
URLS: dict[str, tuple[str, str | None, str]] = {
    "the console's address": (PUBLIC, None, f"{PUBLIC}{CHAT}"),
    "with a slash": (f" {PUBLIC}/ ", None, f"{PUBLIC}{CHAT}"),
    "an apig host": (
        f"https://0123456789abcdef0123456789abcdef.apig.cn-north-4.huaweicloudapis.com/v1/infers/{ID}",
        None,
        f"https://0123456789abcdef0123456789abcdef.apig.cn-north-4.huaweicloudapis.com/v1/infers/{ID}{CHAT}",
    ),
    "a VPC channel": ("http://192.168.3.7:8080", None, f"http://192.168.3.7:8080{CHAT}"),
    "an OpenAI base": (f"{PUBLIC}/v1", None, f"{PUBLIC}{CHAT}"),
    "the whole URL": (f"{PUBLIC}{CHAT}", None, f"{PUBLIC}{CHAT}"),
    "MaaS": ("https://api.modelarts-maas.com/v1", None, f"https://api.modelarts-maas.com{CHAT}"),
    "MaaS v2": ("https://api.modelarts-maas.com/v2", None, "https://api.modelarts-maas.com/v2/chat/completions"),
    "MaaS v2, the whole URL": (
        "https://api.modelarts-maas.com/v2/chat/completions",
        None,
        "https://api.modelarts-maas.com/v2/chat/completions",
    ),
    "MaaS, OpenAI": (
        "https://api.modelarts-maas.com/openai/v1/",
        None,
        f"https://api.modelarts-maas.com/openai{CHAT}",
    ),
    "MaaS, one model": (
        "https://maas-cn-southwest-2.modelarts-maas.com/deepseek-r1/v1",
        None,
        f"https://maas-cn-southwest-2.modelarts-maas.com/deepseek-r1{CHAT}",
    ),
    "a custom path": (PUBLIC, "/predict", f"{PUBLIC}/predict"),
    "a custom path without its slash": (PUBLIC, "predict", f"{PUBLIC}/predict"),
    "the address as it is": (f"{PUBLIC}/chat", "", f"{PUBLIC}/chat"),
    "a query": (f"{PUBLIC}?version=2", None, f"{PUBLIC}{CHAT}?version=2"),
    "a WebSocket": (PUBLIC.replace("https", "wss"), None, f"{PUBLIC.replace('https', 'wss')}{CHAT}"),
    "a WebSocket in the VPC": ("ws://10.0.0.1:8080/", "/ws", "ws://10.0.0.1:8080/ws"),
}


@pytest.mark.parametrize(("endpoint", "route", "url"), URLS.values(), ids=URLS)
def test_every_form_of_the_endpoint_leads_to_the_route(endpoint: str, route: str | None, url: str) -> None:
    """The container's path is appended once, and a version is not repeated."""
    assert url == ModelArts(endpoint, route).build_request(CHAT, b"{}", stream=True, headers={}).url


WRONG: dict[str, tuple[str, str]] = {
    "nothing": ("", "is not a URL of a service"),
    "a host alone": (PUBLIC.removeprefix("https://"), "use the URL that the console shows"),
    "another scheme": ("ftp://host/x", "is not a URL of a service"),
    "a port that is none": ("https://host:x/", "cannot be read"),
    "a user": ("https://me:secret@host/", "user or password before its host"),
    "a fragment": ("https://host/#secret", "is not a URL of a service"),
    "a space": ("https://host/a b", "is not a URL of a service"),
}


@pytest.mark.parametrize(("endpoint", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_endpoint_is_an_error(endpoint: str, words: str) -> None:
    """With an example, and without possible secrets."""
    with pytest.raises(ValueError, match=words) as caught:
        ModelArts(endpoint)

    assert "secret" not in str(caught.value)


def test_a_request_is_a_post() -> None:
    """With an `accept` header for streams; the caller's headers take precedence."""
    platform: Platform = ModelArts(PUBLIC)
    request = platform.build_request(CHAT, b"{}", stream=True, headers={"X-Span-Id": "s", "User-Agent": "mine"})

    assert ("POST", b"{}") == (request.method, request.content)
    assert {
        "accept": "text/event-stream, application/json",
        "content-type": "application/json",
        "content-length": "2",
        "x-span-id": "s",
        "user-agent": "mine",
    }.items() <= request.headers.items()
    assert "application/json" == platform.build_request(CHAT, b"{}", stream=False, headers={}).headers["accept"]


def test_a_websocket_is_requested_with_a_get() -> None:
    """The handshake is signed, which has no body."""
    request = ModelArts("wss://h").build_request(CHAT, b"{}", stream=True, headers={})

    assert ("GET", b"{}") == (request.method, request.content)
    assert {"accept", "user-agent"} == set(request.headers)


FRAMES = {
    "text/event-stream;charset=UTF-8": SniffingDecoder,
    "application/json": DocumentSniffingDecoder,
    CONTENT_TYPE: MessageDecoder,
}


@pytest.mark.parametrize(("content_type", "kind"), FRAMES.items(), ids=FRAMES)
def test_the_content_type_selects_the_frame_decoder(content_type: str, kind: type) -> None:
    """For server-sent events, a document, or the messages of a WebSocket."""
    assert kind is type(ModelArts(PUBLIC).create_frame_decoder(ResponseHead(200, {"content-type": content_type})))


def test_an_html_page_is_a_malformed_stream() -> None:
    """Such as the login page of a console."""
    with pytest.raises(MalformedStream, match="text/html"):
        ModelArts(PUBLIC).create_frame_decoder(ResponseHead(200, {"content-type": "text/html"}))


def envelope(code: str, message: str = "m") -> dict[str, object]:
    return {"error_code": code, "error_msg": message}


#: name: (status, body, class, code, words)
REFUSALS: dict[str, tuple[int, object, type[ServiceError], str | None, str]] = {
    "a body that is too large": (
        413,
        envelope("ModelArts.4104"),
        InvalidRequest,
        "ModelArts.4104",
        "limit of the service",
    ),
    "a service that is gone": (400, envelope("ModelArts.4203"), NotFound, "ModelArts.4203", "stopped or deleted"),
    "traffic": (503, envelope("ModelArts.4206"), RateLimited, "ModelArts.4206", "threshold"),
    "a quota that is used up": (401, envelope("ModelArts.4207"), PermissionDenied, "ModelArts.4207", "free quota"),
    "a breaker": (500, envelope("ModelArts.4302"), ServerError, "ModelArts.4302", "limits itself"),
    "no backend": (404, envelope("ModelArts.4503"), ServerError, "ModelArts.4503", "retry"),
    "no API key": (400, envelope("ModelArts.4905"), AuthenticationError, "ModelArts.4905", "Bearer <key>"),
    "no Bearer": (400, envelope("ModelArts.81002"), AuthenticationError, "ModelArts.81002", "Bearer <key>"),
    "an allow-list": (401, envelope("ModelArts.81015"), PermissionDenied, "ModelArts.81015", "allow-list"),
    "content risk": (403, envelope("ModelArts.81011"), ContentFiltered, "ModelArts.81011", "change the prompt"),
    "requests a minute": (429, envelope("ModelArts.81101"), RateLimited, "ModelArts.81101", "fewer requests a minute"),
    "a token that is wrong": (401, envelope("APIG.0301"), AuthenticationError, "APIG.0301", "scope must be a project"),
    "an app that is wrong": (401, envelope("APIG.0303"), AuthenticationError, "APIG.0303", "app authentication"),
    "an app that may not": (403, envelope("APIG.0304"), PermissionDenied, "APIG.0304", "authorize the app"),
    "throttling": (429, envelope("APIG.0308"), RateLimited, "APIG.0308", "throttling"),
    "a backend that is slow": (504, envelope("APIG.0203"), ServerError, "APIG.0203", "stream the response"),
    "a code of two meanings": (413, envelope("APIG.0201"), InvalidRequest, "APIG.0201", "12 MB"),
    "an unknown code": (503, envelope("APIG.9999", "new"), ServerError, "APIG.9999", "503 APIG.9999: new$"),
    "camel case": (429, {"errorCode": "APIG.0308", "errorMsg": "slow"}, RateLimited, "APIG.0308", "slow"),
    "code and message": (404, {"code": "ModelArts.81009", "message": "x"}, NotFound, "ModelArts.81009", "model's name"),
    "one level down": (404, {"error": envelope("APIG.0101")}, NotFound, "APIG.0101", "service id"),
    "MaaS as OpenAI": (
        403,
        {"error": {"code": "ModelArts.81011", "message": "May contain sensitive", "type": "x"}},
        ContentFiltered,
        "ModelArts.81011",
        "May contain sensitive",
    ),
    "the container, old vLLM": (
        400,
        {"object": "error", "message": "extra_forbidden", "type": "BadRequestError", "param": None, "code": 400},
        InvalidRequest,
        "BadRequestError",
        "extra_forbidden$",
    ),
    "the container, newer": (
        404,
        {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}},
        NotFound,
        "NotFoundError",
        "does not exist",
    ),
    "the context": (
        400,
        {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError"}},
        ContextOverflow,
        "BadRequestError",
        "4096 tokens.$",
    ),
    "a page": (504, "<html>Gateway Time-out</html>", ServerError, None, "Gateway Time-out.*40 to 60 s"),
    "nothing": (401, "", AuthenticationError, None, "no message.*kind of authentication"),
    "a list": (500, "[1]", ServerError, None, "500"),
    "a redirect": (302, "", ServiceError, None, "redirect is not followed"),
}


@pytest.mark.parametrize(("status", "body", "kind", "code", "words"), REFUSALS.values(), ids=REFUSALS)
def test_error_responses_have_class_code_and_hint(
    status: int, body: object, kind: type[ServiceError], code: str | None, words: str
) -> None:
    """And the original status."""
    raw = body if isinstance(body, str) else json.dumps(body)
    error = ModelArts(PUBLIC).parse_error(ResponseHead(status, {"retry-after": "3"}), raw.encode())

    assert (kind, code, status, 3.0) == (type(error), error.code, error.status, error.retry_after)
    with pytest.raises(kind, match=words):
        raise error


def test_every_code_has_a_hint() -> None:
    """Every code has a hint."""
    assert [] == [code for code, (_, hint) in CODES.items() if len(hint) < 10]


def test_only_temporary_errors_are_retried() -> None:
    """Limits and gateway errors, not keys, quotas and content."""
    final = {code for code, (kind, _) in CODES.items() if not kind.retryable}

    assert {"ModelArts.4302", "ModelArts.4503", "APIG.0308", "ModelArts.81101"}.isdisjoint(final)
    assert {"ModelArts.4207", "ModelArts.81005", "ModelArts.81011", "ModelArts.4905", "APIG.0301"} <= final


def test_the_request_id_is_read_from_its_header() -> None:
    """`X-Request-Id`, which a support ticket needs."""
    platform = ModelArts(PUBLIC)

    assert "r-1" == platform.request_id(ResponseHead(200, {"x-request-id": "r-1"}))
    assert platform.request_id(ResponseHead(200)) is None
    assert platform.check_trailers((("streamfailure", "x"),)) is None


# The whole way: a service of our own against the emulator


ACCOUNT = HuaweiAccount(
    access_keys={"AK": "SK"}, apps={"APP": "SECRET"}, app_codes=["CODE"], api_keys=["KEY"], users={"me": "pass"}
)
REQUEST = {"messages": [{"role": "user", "content": "Name three rivers."}], "model": "m"}
OUTPUT = "The Nile, the Amazon and the Danube."


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(huawei=ACCOUNT) as emulator:
        yield emulator


def service(emulator: Emulator, call_method: str, auth: Any = None, **options: Any) -> Service:
    endpoint = getattr(emulator.modelarts, call_method)
    auth = resolve_signer(api_key="KEY") if auth is None else auth
    options = {"retry": Retry(0), "timeout": Timeout(read=5, total=10), "trust_env": False, **options}
    return Service(ModelArts(endpoint), auth=auth, **options)


def sync(made: Service, *, stream: bool = True) -> ModelResponse:
    try:
        return made.client.complete(made.call(OpenAIChat(), REQUEST, stream=stream))
    finally:
        made.close()


def asyn(made: Service, *, stream: bool = True) -> ModelResponse:
    async def main() -> ModelResponse:
        try:
            return await made.async_client.complete(made.call(OpenAIChat(), REQUEST, stream=stream))
        finally:
            await made.aclose()

    return asyncio.run(main())


both = pytest.mark.parametrize("send_request", [sync, asyn])
methods = pytest.mark.parametrize("call_method", ["endpoint", "websocket_endpoint", "maas"])
AUTHS = {
    "password": {"user": "me", "password": "pass", "domain": "company", "project": "cn-north-4"},
    "aksk": {"ak": "AK", "sk": "SK", "security_token": "temporary", "project_id": "p1"},
    "app": {"app_key": "APP", "app_secret": "SECRET"},
    "appcode": {"app_code": "CODE"},
    "api_key": {"api_key": "KEY"},
    "a bare api_key": {"api_key": "KEY", "bare_api_key": True},
}


@both
@pytest.mark.parametrize("call_method", ["endpoint", "websocket_endpoint"])
@pytest.mark.parametrize("fields", AUTHS.values(), ids=AUTHS)
def test_every_credential_works_with_https_and_websocket(
    emulator: Emulator, send_request: Any, call_method: str, fields: dict[str, Any]
) -> None:
    """The emulator verifies signatures and tokens, of a POST and of a handshake."""
    auth = resolve_signer(**fields, iam_endpoint=emulator.modelarts.iam)

    assert OUTPUT == send_request(service(emulator, call_method, auth)).text


@both
@methods
def test_responses_are_complete(emulator: Emulator, send_request: Any, call_method: str) -> None:
    """Streamed with usage, and as one document."""
    model_response = send_request(service(emulator, call_method))

    assert (OUTPUT, "stop", 16) == (
        model_response.text,
        model_response.choices[0].finish_reason,
        model_response.usage.total,
    )
    assert OUTPUT == send_request(service(emulator, call_method), stream=False).text


@both
@pytest.mark.parametrize("call_method", ["endpoint", "websocket_endpoint"])
def test_a_revoked_token_is_refreshed(emulator: Emulator, send_request: Any, call_method: str) -> None:
    """A 401 causes one refresh, and the call succeeds."""
    auth = resolve_signer(**AUTHS["password"], iam_endpoint=emulator.modelarts.iam)
    send_request(service(emulator, call_method, auth))
    emulator.modelarts.expire_tokens()

    assert OUTPUT == send_request(service(emulator, call_method, auth)).text
    assert 2 == auth.generation


@both
@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"token": "old"}, AuthenticationError, "APIG.0301"),
        ({"ak": "AK", "sk": "n0t-this"}, AuthenticationError, "APIG.0301"),
        ({"app_key": "APP", "app_secret": "n0t-this"}, AuthenticationError, "APIG.0303"),
        ({"app_code": "n0t-this"}, AuthenticationError, "APIG.0303"),
        ({"api_key": "n0t-this"}, AuthenticationError, "ModelArts.4905"),
        ({"auth_type": "none"}, AuthenticationError, "APIG.0301"),
        ({**AUTHS["password"], "password": "n0t-this"}, AuthenticationError, None),
    ],
)
@pytest.mark.parametrize("call_method", ["endpoint", "websocket_endpoint"])
def test_a_wrong_credential_is_an_authentication_error(
    emulator: Emulator,
    send_request: Any,
    call_method: str,
    fields: dict[str, Any],
    kind: type[MDStreamError],
    code: str | None,
) -> None:
    """A wrong credential is an authentication error."""
    with pytest.raises(kind) as caught:
        send_request(service(emulator, call_method, resolve_signer(**fields, iam_endpoint=emulator.modelarts.iam)))

    assert (code, 401 if code != "ModelArts.4905" else 400) == (caught.value.code, caught.value.status)
    assert "n0t-this" not in f"{caught.value!r} {caught.value.response.json() if code else ''}"


BEGINNING = "The Nile"
RISK = "ModelArts.81011"

#: (fault, class, what was received before, code), the same over SSE and over a WebSocket.
ENDINGS: dict[str, tuple[Fault, type[MDStreamError], str, str | None]] = {
    "cut": (Fault("cut", after=3), StreamInterrupted, BEGINNING, None),
    "reset": (Fault("reset", after=3), StreamInterrupted, BEGINNING, None),
    "error event": (Fault("error_event", after=3), StreamFailure, BEGINNING, "InternalServerError"),
    "no finish reason": (Fault("no_finish", after=3), StreamInterrupted, BEGINNING, None),
    "[DONE] without a finish": (Fault("early_done", after=3), StreamInterrupted, BEGINNING, None),
    "broken JSON": (Fault("malformed_json", after=3), MalformedStream, BEGINNING, None),
    "a huge message": (Fault("huge_line", after=3, size=17_000_000), MalformedStream, BEGINNING, None),
    "silence": (Fault("stall", after=3), StreamStalled, BEGINNING, None),
    "nothing": (Fault("empty"), StreamInterrupted, "", "EmptyStream"),
    "a page": (Fault("html"), MalformedStream, "", None),
    "no answer": (Fault("drop"), ConnectionFailed, "", None),
    "no backend": (Fault("refuse", "modelarts_backend"), ServerError, "", "ModelArts.4503"),
    "throttled": (Fault("refuse", "apig_throttled"), RateLimited, "", "APIG.0308"),
    "content risk": (Fault("refuse", "maas_risk"), ContentFiltered, "", RISK),
}


@both
@methods
@pytest.mark.parametrize(("fault", "kind", "text", "code"), ENDINGS.values(), ids=ENDINGS)
def test_a_failed_stream_is_never_a_success(
    emulator: Emulator,
    send_request: Any,
    call_method: str,
    fault: Fault,
    kind: type[MDStreamError],
    text: str,
    code: str | None,
) -> None:
    """A failed stream is never a success."""
    emulator.script(fault)
    with pytest.raises(kind) as caught:
        send_request(service(emulator, call_method, timeout=Timeout(read=0.5, total=10)))

    error = caught.value
    assert text == (error.partial.text if error.partial else "")
    assert code is None or code == error.code
    assert isinstance(error, ConnectionFailed) or fault.kind == "html" or error.request_id


@both
def test_a_close_code_is_a_failure(emulator: Emulator, send_request: Any) -> None:
    """Even after `[DONE]`."""
    for after in (3, None):
        emulator.script(Fault("trailer", name="close", data=b"1011 engine died", after=after))
        with pytest.raises(StreamFailure, match="engine died") as caught:
            send_request(service(emulator, "websocket_endpoint"))

        assert ("1011", 500, True) == (caught.value.code, caught.value.status, caught.value.retryable)
        assert (BEGINNING if after else OUTPUT) == caught.value.partial.text


@both
@methods
def test_temporary_errors_are_retried(emulator: Emulator, send_request: Any, call_method: str) -> None:
    """The second attempt uses another connection."""
    emulator.script(Fault("refuse", "modelarts_backend"))

    assert OUTPUT == send_request(service(emulator, call_method, retry=Retry(1, base_delay=0.001))).text


@both
@pytest.mark.parametrize("fields", [AUTHS["aksk"], AUTHS["app"]], ids=["aksk", "app"])
def test_a_body_over_12_mb_is_not_sent_with_a_signature(
    emulator: Emulator, send_request: Any, fields: dict[str, Any]
) -> None:
    """The error is raised before anything is sent."""
    before = len(emulator.requests)
    made = service(emulator, "endpoint", resolve_signer(**fields))
    long = {**REQUEST, "messages": [{"role": "user", "content": "x" * MAX_REQUEST_BYTES}]}
    with pytest.raises(InvalidRequest, match="at most 12582912") as caught:
        made.client.complete(made.call(OpenAIChat(), long))

    assert 413 == caught.value.status
    assert before == len(emulator.requests)


@both
@pytest.mark.parametrize("call_method", ["endpoint", "websocket_endpoint"])
def test_https_and_websocket_support_tls(send_request: Any, call_method: str) -> None:
    """Https and websocket support tls."""
    with Emulator(tls=True) as emulator:
        assert OUTPUT == send_request(service(emulator, call_method, verify=emulator.ca_file)).text
