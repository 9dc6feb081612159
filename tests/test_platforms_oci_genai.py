"""OCI Generative AI: endpoints, envelopes of requests, and error responses."""

import json
import pickle
from typing import Any

import pytest
from _oci_genai import COMPARTMENT, DONE, PLATFORM, build_params, read, sse

from mdstream_core import Call, OpenAIChat, Retry
from mdstream_core.dialects import dialect
from mdstream_core.errors import (
    AuthenticationError,
    ContextOverflow,
    InvalidRequest,
    MalformedStream,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    ServiceError,
    StreamInterrupted,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import OCIGenerativeAI, Platform

CHICAGO = "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com"
LOCAL = "http://127.0.0.1:8080"

#: name: (options, the base)
BASES: dict[str, tuple[dict[str, Any], str]] = {
    "a region": ({"region": "us-chicago-1"}, CHICAGO),
    "a region's short key": ({"region": "ord"}, CHICAGO),
    "the compartment's realm": (
        {"region": "eu-frankfurt-2", "compartment_id": "ocid1.compartment.oc19..aaaa"},
        "https://inference.generativeai.eu-frankfurt-2.oci.oraclecloud.eu",
    ),
    "a realm": ({"region": "us-gov-ashburn-1", "realm": "oc3"}, "https://inference.generativeai.us-gov-ashburn-1.oci.oraclegovcloud.com"),
    "a realm named by its number": ({"region": "ap-suwon-1", "realm": "oc35"}, "https://inference.generativeai.ap-suwon-1.oci.oraclecloud35.com"),
    "the tenancy": ({"region": "us-chicago-1", "compartment_id": "ocid1.tenancy.oc1..aaaa"}, CHICAGO),
    "no compartment": ({"region": "us-chicago-1", "compartment_id": None}, CHICAGO),
    "an endpoint": ({"service_endpoint": LOCAL}, LOCAL),
    "an endpoint before a region": ({"service_endpoint": LOCAL, "region": "us-chicago-1"}, LOCAL),
    "an endpoint with a slash": ({"service_endpoint": f" {LOCAL}/ "}, LOCAL),
    "an endpoint with its version": ({"service_endpoint": f"{LOCAL}/20231130"}, LOCAL),
    "an endpoint with an operation": ({"service_endpoint": f"{LOCAL}/20231130/actions/chat"}, LOCAL),
    "an endpoint with OpenAI's base": ({"service_endpoint": f"{LOCAL}/openai/v1/"}, LOCAL),
    "an endpoint with the older base": ({"service_endpoint": f"{LOCAL}/20231130/actions/v1"}, LOCAL),
    "a proxy's path": ({"service_endpoint": f"{LOCAL}/genai/20231130"}, f"{LOCAL}/genai"),
    "an unknown path": ({"service_endpoint": f"{LOCAL}/20231130x"}, f"{LOCAL}/20231130x"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "base"), BASES.values(), ids=BASES)
def test_the_host_is_derived_from_region_or_endpoint(options: dict[str, Any], base: str) -> None:
    """From region and realm, or from a URL with a path."""
    assert base == OCIGenerativeAI(**{"compartment_id": COMPARTMENT, "model": "m", **options}).base_url


def test_hosts_equal_those_of_oracles_sdk() -> None:
    """For each region of the SDK."""
    oci = pytest.importorskip(
        "oci", reason="compares with the hosts of Oracle's SDK; install mdstream-llm[reference-clients]"
    )
    realms = oci.regions_definitions.REGION_REALMS
    template = "https://inference.generativeai.{region}.oci.{secondLevelDomain}"
    theirs = {
        region: oci.regions.endpoint_for("generative_ai_inference", service_endpoint_template=template, region=region)
        for region in realms
    }
    ours = {
        region: OCIGenerativeAI(f"ocid1.compartment.{realm}..a", "m", region).base_url
        for region, realm in realms.items()
    }

    assert theirs == ours


#: name: (options, words of the error)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "region is missing"),
    "no region": ({"region": "Chicago"}, "region='Chicago'"),
    "no realm": ({"region": "us-chicago-1", "realm": "commercial"}, "realm='commercial'"),
    "a compartment's name": ({"region": "ord", "compartment_id": "sandbox"}, "compartment_id='sandbox'"),
    "no URL": ({"service_endpoint": "us-chicago-1"}, "service_endpoint='us-chicago-1'"),
    "a port that is none": ({"service_endpoint": "http://x:y"}, "service_endpoint='http://x:y'"),
    "a key in the query": ({"service_endpoint": "https://x?key=secret"}, "service_endpoint='https://x'"),
    "a password": ({"service_endpoint": "https://me:secret@x"}, "a user or password"),
    "no store": ({"region": "ord", "conversation_store_id": "a b"}, "conversation_store_id='a b'"),
    "no base": ({"region": "ord", "openai_base": "openai"}, "openai_base='openai'"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_named(options: dict[str, Any], words: str) -> None:
    """With its value, but never a secret."""
    with pytest.raises(ValueError, match=words) as error:
        OCIGenerativeAI(**{"compartment_id": COMPARTMENT, **options})

    assert "secret" not in str(error.value)


def test_the_platform_is_an_immutable_value() -> None:
    """Equal values compare equal, can be pickled, and cannot be changed."""
    platform: Platform = PLATFORM

    assert platform == OCIGenerativeAI(COMPARTMENT, "xai.grok-4", region="us-chicago-1")
    assert platform == pickle.loads(pickle.dumps(platform))
    with pytest.raises(AttributeError):
        platform.base_url = "x"  # type: ignore[attr-defined]


GROK = {"servingType": "ON_DEMAND", "modelId": "xai.grok-4"}
ENDPOINT = "ocid1.generativeaiendpoint.oc1.us-chicago-1.aaaa"

#: name: (route, the dialect's body, what is sent)
ENVELOPES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("/actions/chat", {"apiFormat": "GENERIC"}, {"compartmentId": COMPARTMENT, "servingMode": GROK, "chatRequest": {"apiFormat": "GENERIC"}}),
    "generateText": ("/actions/generateText", {"prompt": "x"}, {"compartmentId": COMPARTMENT, "servingMode": GROK, "inferenceRequest": {"prompt": "x"}}),
    "embedText": ("/actions/embedText", {"inputs": ["x"]}, {"compartmentId": COMPARTMENT, "servingMode": GROK, "inputs": ["x"]}),
    "the question's model": (
        "/actions/chat", {"model": "meta.llama-4", "apiFormat": "GENERIC"},
        {"compartmentId": COMPARTMENT, "servingMode": {"servingType": "ON_DEMAND", "modelId": "meta.llama-4"}, "chatRequest": {"apiFormat": "GENERIC"}},
    ),
    "a dedicated endpoint": (
        "/actions/chat", {"model": ENDPOINT},
        {"compartmentId": COMPARTMENT, "servingMode": {"servingType": "DEDICATED", "endpointId": ENDPOINT}, "chatRequest": {}},
    ),
    "OpenAI's": ("/v1/chat/completions", {"messages": []}, {"model": "xai.grok-4", "messages": []}),
    "OpenAI's with a model": ("/v1/chat/completions", {"model": "openai.gpt-5"}, {"model": "openai.gpt-5"}),
    "its own": ("/actions/chat", {"servingMode": {}, "chatRequest": {}}, {"servingMode": {}, "chatRequest": {}}),
}  # fmt: skip


@pytest.mark.parametrize(("route", "body", "wanted"), ENVELOPES.values(), ids=ENVELOPES)
def test_payloads_are_wrapped_in_an_envelope(route: str, body: dict[str, Any], wanted: dict[str, Any]) -> None:
    """With compartment and serving mode; OpenAI's has the model only. The argument is not changed."""
    before = json.dumps(body)

    assert wanted == PLATFORM.wrap_payload(route, body)
    assert before == json.dumps(body)


def test_missing_fields_of_the_envelope_are_an_error() -> None:
    """OpenAI requests need no compartment with an API key."""
    with pytest.raises(ValueError, match="compartment_id is missing"):
        OCIGenerativeAI(None, "m", region="ord").wrap_payload("/actions/chat", {})
    with pytest.raises(ValueError, match="model is missing"):
        OCIGenerativeAI(COMPARTMENT, region="ord").wrap_payload("/actions/chat", {})
    with pytest.raises(ValueError, match="route '/generate'"):
        PLATFORM.wrap_payload("/generate", {})
    assert {"model": "m"} == OCIGenerativeAI(None, "m", region="ord").wrap_payload("/v1/chat/completions", {})


def test_a_native_request_is_a_post_to_the_operation() -> None:
    """zstd is not accepted, because it cannot be decompressed as a stream."""
    request = PLATFORM.build_request("/actions/chat", b"{}", stream=True, headers={"X-Mine": "1"})

    assert ("POST", f"{CHICAGO}/20231130/actions/chat", b"{}") == (request.method, request.url, request.content)
    assert {
        "accept": "text/event-stream, application/json",
        "accept-encoding": "gzip, deflate",
        "content-length": "2",
        "content-type": "application/json",
        "x-mine": "1",
    }.items() <= request.headers.items()
    assert "compartmentid" not in request.headers
    assert len(request.headers["opc-request-id"]) == 32
    assert (
        "application/json" == PLATFORM.build_request("/actions/chat", b"", stream=False, headers={}).headers["accept"]
    )


@pytest.mark.parametrize("base", ["/openai/v1", "/20231130/actions/v1"])
def test_an_openai_request_has_the_compartment_in_headers(base: str) -> None:
    """For both base paths, in both headers."""
    platform = OCIGenerativeAI(COMPARTMENT, "m", region="ord", openai_base=base)
    request = platform.build_request("/v1/chat/completions", b"{}", stream=True, headers={})
    without = OCIGenerativeAI(None, "m", region="ord", openai_base=base).build_request(
        "/v1/models", b"", stream=False, headers={}
    )

    assert f"{CHICAGO}{base}/chat/completions" == request.url
    assert (COMPARTMENT, COMPARTMENT) == (request.headers["opc-compartment-id"], request.headers["compartmentid"])
    assert not {"opc-compartment-id", "compartmentid"} & set(without.headers)


@pytest.mark.parametrize("base", ["/openai/v1", "/20231130/actions/v1"])
def test_a_response_is_stored_in_the_conversation_store(base: str) -> None:
    """The header is for the Responses API only; a URL of the API is accepted as the service's."""
    url = f"{CHICAGO}{base}/responses"
    platform = OCIGenerativeAI(
        COMPARTMENT, "m", service_endpoint=url, openai_base=base, conversation_store_id="ocid1.store.oc1..aa"
    )
    request = platform.build_request("/v1/responses", b"{}", stream=True, headers={})

    assert request.url == url
    assert request.headers["opc-conversation-store-id"] == "ocid1.store.oc1..aa"
    for route in ("/v1/chat/completions", "/actions/chat"):
        other = platform.build_request(route, b"{}", stream=True, headers={})
        assert "opc-conversation-store-id" not in other.headers


NESTED = json.dumps({"error": {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}})

#: name: (status, body, class, code, part of the hint)
REFUSALS: dict[str, tuple[int, Any, type[ServiceError], str | None, str]] = {
    "wrong format": (400, {"code": "400", "message": "Please pass in correct format of request."}, InvalidRequest, None, "GENERIC"),
    "unknown field": (400, {"code": "CannotParseRequest", "message": "x"}, InvalidRequest, "CannotParseRequest", "camelCase"),
    "double": (400, {"code": "400", "message": NESTED}, InvalidRequest, "unsupported_value", "parameter 'temperature'"),
    "too long for Cohere": (400, {"code": "400", "message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}, ContextOverflow, None, "4081"),
    "too long for vLLM": (400, {"code": "400", "message": "This model's maximum context length is 2048 tokens."}, ContextOverflow, None, "2048"),
    "who": (401, {"code": "NotAuthenticated", "message": "x"}, AuthenticationError, "NotAuthenticated", "clock"),
    "not allowed": (403, {"code": "NotAllowed", "message": "x"}, PermissionDenied, "NotAllowed", "generative-ai-family"),
    "unknown model": (404, {"code": "404", "message": "Entity with key nope not found"}, NotFound, None, "retired"),
    "hidden": (404, {"code": "NotAuthorizedOrNotFound", "message": "x"}, NotFound, "NotAuthorizedOrNotFound", "policy"),
    "too fast": (429, {"code": "429", "message": "x"}, RateLimited, None, "dedicated AI cluster"),
    "too fast in tokens": (429, {"code": "429", "message": "total number of tokens per minute"}, RateLimited, None, "tokens a minute"),
    "failed": (500, {"code": "InternalServerError", "message": "x"}, ServerError, "InternalServerError", "failed"),
    "away": (503, {"code": "ServiceUnavailable", "message": "x"}, ServerError, "ServiceUnavailable", "at the moment"),
    "a page": (502, "<html>", ServerError, None, "<html>"),
    "a redirect": (302, "", ServiceError, None, "redirect"),
    "half of an error": (400, {"code": "400", "message": '{"error": '}, InvalidRequest, None, '{"error": '),
    "something nested": (400, {"code": "400", "message": "{}"}, InvalidRequest, None, "{}"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code", "word"), REFUSALS.values(), ids=REFUSALS)
def test_error_responses_have_class_code_and_hint(
    status: int, body: Any, kind: type[ServiceError], code: str | None, word: str
) -> None:
    """And the service's message."""
    content = body if isinstance(body, str) else json.dumps(body)
    error = PLATFORM.parse_error(ResponseHead(status, {"retry-after": "3"}), content.encode())

    assert (kind, code, status, 3.0) == (type(error), code, error.status, error.retry_after)
    assert word in str(error)
    assert content == error.raw
    assert (status in {429, 500, 502, 503}) == error.retryable


def test_an_html_page_is_a_malformed_stream() -> None:
    """The error has the service's request id."""
    with pytest.raises(MalformedStream, match="text/html"):
        PLATFORM.create_frame_decoder(ResponseHead(200, {"content-type": "text/html"}))
    assert "r" == PLATFORM.request_id(ResponseHead(200, {"opc-request-id": "r"}))


def exchange(name: str) -> Any:
    requested = Call(PLATFORM, dialect(name), build_params(name), retry=Retry(0)).create_attempt()
    requested.start(ResponseHead(200, {"content-type": "text/event-stream"}))
    return requested


def test_reading_stops_at_the_finish_event() -> None:
    """There are no trailers: COHERE ends with its finish event, GENERIC with the usage."""
    cohere = exchange("oci-cohere")
    cohere.feed(sse({"apiFormat": "COHERE", "text": "Hi"}))
    assert not cohere.should_stop_reading
    cohere.feed(sse({"apiFormat": "COHERE", "text": "Hi", "finishReason": "COMPLETE"}))
    assert cohere.should_stop_reading

    generic = exchange("oci-generic")
    generic.feed(sse({"index": 0, "message": {"content": [{"type": "TEXT", "text": "Hi"}]}}, {"finishReason": "stop"}))
    assert not generic.should_stop_reading
    generic.feed(sse({"usage": {"promptTokens": 1}}))
    assert generic.should_stop_reading


def test_events_after_the_end_are_ignored() -> None:
    """On a connection that stays open."""
    assert (
        read(
            "oci-cohere", sse({"apiFormat": "COHERE", "text": "Hi", "finishReason": "COMPLETE"}) + DONE + b"data: {"
        ).error
        is None
    )
    assert isinstance(read("oci-cohere", DONE).error, StreamInterrupted)


def test_the_openai_dialect_is_supported() -> None:
    """The payload is OpenAI's own."""
    platform = OCIGenerativeAI(COMPARTMENT, "openai.gpt-5", region="ord")
    requested = Call(platform, OpenAIChat(), build_params("openai-chat")).create_attempt()

    assert f"{CHICAGO}/openai/v1/chat/completions" == requested.request.url
    assert "openai.gpt-5" == json.loads(requested.request.content)["model"]
