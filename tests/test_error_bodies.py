"""Parsing of error bodies: every format, every envelope, the cause first, and limits."""

import json
import time
from typing import Any

import pytest
from _both_frameworks import METHODS, PLATFORMS, completion, response, scripted
from _raw_server import serving

from mdstream_core import ModelArts, OCIGenerativeAI, OCIModelDeployment, SageMaker
from mdstream_core.errors import (
    ContextOverflow,
    ErrorBody,
    RateLimited,
    ServerError,
    StreamFailure,
    describes_context_overflow,
    parse_error_body,
    parse_error_object,
)
from mdstream_core.http import ResponseHead

CAUSE = "CUDA out of memory. Tried to allocate 2.00 GiB"
PROVIDER = {"error": {"message": "no such adapter", "type": "NotFoundError", "code": 404}}

#: name: (the body, the parsed error)
BODIES: dict[str, tuple[Any, ErrorBody]] = {
    "DJL": ({"code": 424, "message": "prediction failure", "error": CAUSE}, ErrorBody(f"{CAUSE}; prediction failure", None, 424)),
    "DJL, other order": ({"error": CAUSE, "message": "Invoke handler failure", "code": 424}, ErrorBody(f"{CAUSE}; Invoke handler failure", None, 424)),
    "DJL, capitals": ({"Code": 424, "Message": "Prediction failure", "Error": CAUSE}, ErrorBody(f"{CAUSE}; Prediction failure")),
    "Spring": ({"status": 404, "error": "Not Found", "message": "no route /x", "path": "/x"}, ErrorBody("no route /x; Not Found", None, 404)),
    "OAuth": ({"error": "invalid_grant", "error_description": "the token has expired"}, ErrorBody("the token has expired; invalid_grant")),
    "problem+json": ({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "n is 0"}, ErrorBody("n is 0; Bad Request", None, 400)),
    "the same twice": ({"error": {"message": "boom"}, "message": "boom"}, ErrorBody("boom")),
    "one within the other": ({"error": "boom", "message": "it went boom today"}, ErrorBody("it went boom today")),
    "FastAPI": ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, ErrorBody("body.seed: Extra inputs are not permitted")),
    "FastAPI, two": ({"detail": [{"loc": ["body", "n"], "msg": "too small"}, {"loc": ["body", "top_p"], "msg": "too large"}]}, ErrorBody("body.n: too small; body.top_p: too large")),
    "FastAPI, an object": ({"detail": {"error": {"message": "m", "type": "T"}}}, ErrorBody("m", "T")),
    "a list of texts": ({"error": ["Error in `inputs`: too short", "Error in `top_k`: negative"]}, ErrorBody("Error in `inputs`: too short; Error in `top_k`: negative")),
    "JSON in JSON": ({"code": "400", "message": json.dumps(PROVIDER)}, ErrorBody("no such adapter", "NotFoundError", 404)),
    "JSON in JSON in JSON": ({"message": json.dumps({"code": "400", "message": json.dumps(PROVIDER)})}, ErrorBody("no such adapter", "NotFoundError", 404)),
    "JSON after text": ({"message": f"upstream says: {json.dumps(PROVIDER)}"}, ErrorBody("no such adapter; upstream says", "NotFoundError", 404)),
    "Grok through OCI": ({"code": "400", "message": '{"code":"Bad argument","error":"Invalid function schema."}'}, ErrorBody("Invalid function schema.", "Bad argument", 400)),
    "OpenRouter": ({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"error":{"message":"n is 0"}}'}}}, ErrorBody("n is 0; Provider returned error", None, 400)),
    "Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded now"}}, ErrorBody("Overloaded now", "overloaded_error")),
    "Google": ({"error": {"code": 400, "message": "bad field", "status": "INVALID_ARGUMENT", "details": [{"description": "n is 0"}]}}, ErrorBody("bad field; n is 0", None, 400)),
    "Cloudflare": ({"errors": [{"code": 7003, "message": "no route"}], "success": False, "messages": []}, ErrorBody("no route")),
    "WSO2": ({"fault": {"faultstring": "quota is used up", "detail": {"errorcode": "policies.ratelimit"}}}, ErrorBody("quota is used up")),
    "HTML in JSON": ({"code": "502", "message": "<html><title>502 Bad Gateway</title></html>"}, ErrorBody("502 Bad Gateway", None, 502)),
    "a parameter that is not named": ({"error": {"message": "Unsupported value", "param": "top_p"}}, ErrorBody("Unsupported value (parameter 'top_p')")),
}  # fmt: skip


@pytest.mark.parametrize(("body", "words"), BODIES.values(), ids=BODIES)
def test_every_sentence_is_kept_and_the_cause_comes_first(body: Any, words: ErrorBody) -> None:
    """In every envelope; generic phrases come last, and there are no duplicates."""
    assert words == parse_error_object(body)
    assert words == parse_error_body(json.dumps(body).encode())


NO_ERRORS = {
    "a message of Ollama": {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False},
    "an empty list of errors": {"errors": [], "result": {}},
    "a description": {"description": "a model", "title": "card"},
}


@pytest.mark.parametrize("body", NO_ERRORS.values(), ids=NO_ERRORS)
def test_other_bodies_are_not_errors(body: Any) -> None:
    """A field with the name of an error's field is not enough."""
    assert parse_error_object(body) is None


NGINX = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>"  # fmt: skip
FLASK = "<!doctype html>\n<html lang=en>\n<title>413 Request Entity Too Large</title>\n<h1>Request Entity Too Large</h1>\n<p>The data value transmitted exceeds the <b>capacity</b> limit.</p>"  # fmt: skip
EXPRESS = "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Error</title></head><body><pre>Cannot POST /v1</pre></body></html>"  # fmt: skip
CLOUDFLARE = f"<!DOCTYPE html><html><head><title>h | 524: A timeout occurred</title><style>{'a{b:c} ' * 900}</style><script>if (1 < 2) run()</script></head><body><p>{'word ' * 900}</p></body></html>"  # fmt: skip

#: name: (the body, how its words begin)
PAGES = {
    "nginx": (NGINX, "503 Service Temporarily Unavailable; nginx"),
    "Flask": (FLASK, "413 Request Entity Too Large; The data value transmitted exceeds the capacity limit."),
    "Express": (EXPRESS, "Cannot POST /v1; Error"),
    "Cloudflare": (CLOUDFLARE, "h | 524: A timeout occurred; word word"),
    "XML": ("<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>ask later</Message></Error>", "ask later; SlowDown"),
    "events": ('data: {"error": {"message": "boom"}}\n\ndata: [DONE]\n\n', "boom"),
    "an event by name": ('event: error\ndata: {"detail": "boom"}\n\n', "boom"),
    "llama.cpp's line": ('error: {"code":400,"message":"boom","type":"t"}', "boom"),
    "lines of JSON": ('{"error": "boom", "code": 424}\n{}\n', "boom"),
    "a JSON text": ('"boom"', "boom"),
    "a list": ('[{"error": {"message": "boom"}}]', "boom"),
    "a comment": ("<html><!-- <b>no</b> --><body><h2>A &amp; B</h2><!-- never closed", "A & B"),
    "plain text": (" Internal Server Error\n", "Internal Server Error"),
    "a page of nothing": ("<html>", "<html>"),
    "nothing": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize(("body", "begins"), PAGES.values(), ids=PAGES)
def test_a_page_is_reduced_to_its_text(body: str, begins: str) -> None:
    """Title and headings first, no markup, no scripts, and only the beginning of a long page."""
    output = parse_error_body(body.encode()).message

    assert output.startswith(begins)
    assert len(output) < 700
    assert "{b:c}" not in output
    assert "run()" not in output


HOSTILE = [
    "{" * 100_000, '{"error":' * 5000, "[" * 50_000, '{"message": "' + "{" * 90_000 + '"}', "data: {\n" * 50_000,
    *("<html>" + unit * 100_000 for unit in ("<div>", "<a ", "<a b='", "<a b=", "<!--", "</", "<![CDATA[", "&#", "<script>")),
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:20])
def test_a_hostile_body_is_parsed_in_bounded_time(body: str) -> None:
    """With deep nesting or unclosed tags: an event loop waits for it."""
    began = time.process_time()

    assert len(parse_error_body(body.encode()).message) <= 2001
    assert time.process_time() - began < 2


TOO_LONG = (
    "prompt is too long: 210000 tokens > 200000 maximum",
    "prompt is too long: 5000 tokens > 4096",
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Your input exceeds the context window of this model.",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens)",
    "Prompt length (5000) exceeds maximum input length (4096). Set log level to info",
    "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    "Input is too long for requested model.",
    "the request exceeds the available context size, try increasing it",
    "Input length 5000 exceeds the maximum length 4096",
)

FITS = (
    "temperature must be non-negative",
    "Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 12000.",
    "You exceeded your current quota",
    "the body exceeds the maximum size of 6291456 bytes",
    "tool_choice is not supported",
    "stream must be true for requests of more than 10 minutes",
)


def enveloped(platform: str, words: str) -> tuple[Any, ResponseHead, bytes]:
    """A platform, and the head and body of an error response whose container reports `words`."""
    djl = {"code": 424, "message": "prediction failure", "error": words}
    json_head = {"content-type": "application/json"}
    match platform:
        case "sagemaker":
            body = {"Message": "Received client error (424) from primary", "OriginalStatusCode": 424}
            return (
                SageMaker("e", "us-east-1"),
                ResponseHead(424, {**json_head, "x-amzn-errortype": "ModelError:"}),
                json.dumps({**body, "OriginalMessage": json.dumps(djl)}).encode(),
            )
        case "sagemaker without an original":
            message = f'Received client error (400) from primary with message "{json.dumps(djl)}". See https://x.'
            body = {"Message": message, "OriginalStatusCode": 400}
            return SageMaker("e", "us-east-1"), ResponseHead(424, json_head), json.dumps(body).encode()
        case "oci-genai":
            body = {"code": "400", "message": json.dumps({"error": {"message": words, "param": None}})}
            return (
                OCIGenerativeAI("ocid1.compartment.oc1..a", region="ord"),
                ResponseHead(400),
                json.dumps(body).encode(),
            )
        case "modelarts":
            body = {"error_code": "ModelArts.4302", "error_msg": json.dumps({"object": "error", "message": words})}
            return ModelArts("https://h/v1/infers/8"), ResponseHead(500), json.dumps(body).encode()
        case "modelarts, one level down":
            body = {"result": {"error_code": "ModelArts.81001", "error_msg": words}}
            return ModelArts("https://api.modelarts-maas.com/v1"), ResponseHead(400), json.dumps(body).encode()
        case _:
            return OCIModelDeployment("http://h/ocid1.x"), ResponseHead(424), json.dumps(djl).encode()


ENVELOPES = ["sagemaker", "sagemaker without an original", "oci-genai", "modelarts", "modelarts, one level down", "oci-model-deployment"]  # fmt: skip


@pytest.mark.parametrize("platform", ENVELOPES)
@pytest.mark.parametrize("words", TOO_LONG)
def test_context_overflow_in_every_envelope(platform: str, words: str) -> None:
    """The class does not depend on the status, so it is not retried, and middleware can shorten the prompt."""
    service, head, body = enveloped(platform, words)
    error = service.parse_error(head, body)

    assert describes_context_overflow(words)
    assert type(error) is ContextOverflow
    assert words in str(error)
    assert not error.retryable


@pytest.mark.parametrize("platform", ENVELOPES)
@pytest.mark.parametrize("words", FITS)
def test_other_limits_are_not_context_overflows(platform: str, words: str) -> None:
    """Token rates, numbers out of range and large bodies."""
    service, head, body = enveloped(platform, words)

    assert not describes_context_overflow(words)
    assert not isinstance(service.parse_error(head, body), ContextOverflow)
    assert words in str(service.parse_error(head, body))


def test_a_rate_limit_is_not_a_context_overflow() -> None:
    """The status decides, even if the message could mean the context."""
    body = json.dumps({"error": {"message": TOO_LONG[0]}}).encode()
    services = [enveloped(platform, "")[0] for platform in ENVELOPES]

    assert all(type(service.parse_error(ResponseHead(429), body)) is RateLimited for service in services)


REDIRECTS = {
    "/moved": "set the endpoint to /moved",
    "https://other.example/v1/": "set the endpoint to https://other.example/v1/",
    "https://h/x?token=sesame": "set the endpoint to https://h/x?…",
    "": "set the endpoint to its target",
}


@pytest.mark.parametrize("platform", ENVELOPES)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(("location", "words"), REDIRECTS.items())
def test_a_redirect_names_its_location(platform: str, status: int, location: str, words: str) -> None:
    """Without the query, which may contain a key."""
    service, _, _ = enveloped(platform, "")
    error = service.parse_error(ResponseHead(status, {"location": location} if location else {}), NGINX.encode())

    assert words in str(error)
    assert "sesame" not in str(error)
    assert "<html" not in str(error)


def refused_as(platform: str, words: str) -> bytes:
    if platform == "sagemaker":
        _, _, body = enveloped(platform, words)
        return response(424, body, b"content-type: application/json\r\nx-amzn-errortype: ModelError\r\n")
    return response(424, json.dumps({"code": 424, "message": "prediction failure", "error": words}).encode())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("call_method", METHODS)
def test_both_frameworks_report_the_cause(platform: str, call_method: str) -> None:
    """An error response of DJL: the error contains the cause, and a too long prompt is sent once."""
    model, send_request, _ = METHODS[call_method]
    with serving(scripted(lambda body: refused_as(platform, CAUSE))) as server, pytest.raises(ServerError) as caught:
        send_request(model(platform, server))
    assert CAUSE in str(caught.value)

    with serving(scripted(lambda body: refused_as(platform, TOO_LONG[0]))) as server:
        with pytest.raises(ContextOverflow, match="prompt is too long"):
            send_request(model(platform, server, max_retries=2))
        assert len(server.requests) == 1


#: How servers report in a stream, or in a response of status 200, that the prompt is too long.
IN_STREAM = [
    {"error": {"message": TOO_LONG[2], "type": "BadRequestError", "code": 400}},
    {"error": {"message": TOO_LONG[8], "http_status_code": 422}},
    {"object": "error", "message": TOO_LONG[5], "code": 400},
    {"error": TOO_LONG[9], "code": 424},
]


@pytest.mark.parametrize("payload", IN_STREAM, ids=str)
@pytest.mark.parametrize("call_method", METHODS)
def test_a_context_overflow_as_the_first_event(call_method: str, payload: Any) -> None:
    """SGLang, TGI and LMI return 200 before they count the tokens."""
    model, send_request, stream = METHODS[call_method]
    content = json.dumps(payload).encode()
    body = b"data: %b\n\ndata: [DONE]\n\n" % content if stream else content
    fields = b"content-type: text/event-stream\r\n" if stream else b"content-type: application/json\r\n"
    with serving(scripted(lambda request: response(200, body, fields))) as server:
        with pytest.raises(ContextOverflow) as caught:
            send_request(model("oci-model-deployment", server, max_retries=2))
        assert len(server.requests) == 1
    assert not caught.value.retryable


def test_a_context_overflow_after_output_is_a_failure() -> None:
    """It has the partial response."""
    begun = completion({"stream": True}).partition(b"\r\n\r\n")[2].partition(b"\n\n")[0].replace(b'"stop"', b"null")
    body = b"%b\n\ndata: %b\n\n" % (begun, json.dumps(IN_STREAM[0]).encode())
    model, send_request, _ = METHODS["llamaindex stream_chat"]
    script = scripted(lambda request: response(200, body, b"content-type: text/event-stream\r\n"))
    with serving(script) as server, pytest.raises(StreamFailure, match="maximum context length") as caught:
        send_request(model("oci-model-deployment", server))
    assert caught.value.partial.text == "Hi"
