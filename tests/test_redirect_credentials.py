"""Redirects in errors without credentials, and error responses that are context overflows."""

import json

import pytest

from mdstream_core import OCIModelDeployment, SageMaker
from mdstream_core.errors import ContextOverflow, InvalidRequest, RateLimited, ServerError
from mdstream_core.http import ResponseHead, redact_headers

DEPLOYMENT = OCIModelDeployment("http://127.0.0.1:1/ocid1.x")
ENDPOINT = SageMaker("e", "us-east-1")

LOCATIONS = {
    "a user and a password": ("https://bob:s3cret@host/path", "https://host/path"),
    "a query": ("https://host/path?token=s3cret", "https://host/path?…"),
    "a fragment": ("https://host/path#access_token=s3cret", "https://host/path#…"),
    "a parameter": ("https://host/path;jsessionid=s3cret", "https://host/path;…"),
    "all, without a scheme": ("//bob:s3cret@host/path?key=s3cret#s3cret", "//host/path?…"),
    "a path": ("/moved", "/moved"),
}


@pytest.mark.parametrize(("location", "shown"), LOCATIONS.values(), ids=LOCATIONS)
def test_a_redirect_shows_no_credential(location: str, shown: str) -> None:
    """Neither in the message nor in the headers of the error."""
    for platform in (DEPLOYMENT, ENDPOINT):
        error = platform.parse_error(ResponseHead(307, {"location": location}), b"")

        assert shown in str(error)
        assert "s3cret" not in str(error)
    assert {"location": shown} == redact_headers({"location": location})


BODIES = (
    "Found. Redirecting to {}",
    '<html><title>Moved</title><a href="{}">here</a> or {}</html>',
    '{{"message": "moved to {}"}}',
)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("location", [location for location, _ in LOCATIONS.values()])
def test_a_redirects_body_shows_no_credential(location: str, body: str) -> None:
    """Servers repeat the URL in the body, which is in the message and in `raw`."""
    for platform in (DEPLOYMENT, ENDPOINT):
        error = platform.parse_error(
            ResponseHead(302, {"location": location}), body.format(location, location).encode()
        )

        assert "s3cret" not in f"{error} {error.raw}"


REFUSALS = {
    "loading": (503, "Model is loading: computing the maximum context length", ServerError),
    "out of memory": (500, "CUDA out of memory: KV cache for maximum context length 4096", ServerError),
    "no number": (500, "cannot determine the maximum context length", ServerError),
    "a number of no tokens": (500, "no KV cache for maximum context length 131072", ServerError),
    "a container out of memory": (424, "CUDA out of memory: maximum context length 4096 tokens", ServerError),
    "a proxy": (524, "timeout after 100 s: context limit 5 tokens", ServerError),
    "overloaded": (529, "overloaded: maximum context length 4096 tokens", ServerError),
    "exceeds, without a number": (500, "the request exceeds the available context size", ContextOverflow),
    "too long, without a number": (500, "Input is too long for requested model.", ContextOverflow),
    "counted": (500, "This model's maximum context length is 4096 tokens, you requested 5000", ContextOverflow),
    "a bad request": (400, "prompt is too long: 5000 tokens > 4096", ContextOverflow),
    "too many": (429, "prompt is too long for the tokens of this minute", RateLimited),
    "something else": (400, "temperature must be positive", InvalidRequest),
}


@pytest.mark.parametrize(("status", "words", "kind"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("platform", [DEPLOYMENT, ENDPOINT], ids=["oci", "sagemaker"])
def test_a_busy_server_is_not_a_context_overflow(
    platform: OCIModelDeployment | SageMaker, status: int, words: str, kind: type[Exception]
) -> None:
    """Only certain statuses and messages report that the prompt is too long."""
    assert type(platform.parse_error(ResponseHead(status), json.dumps({"error": {"message": words}}).encode())) is kind


def test_a_containers_own_body_is_quoted() -> None:
    """SageMaker may pass on the container's body without an envelope."""
    head = ResponseHead(424, {"x-amzn-errortype": "ModelError"})

    assert "boom" in str(ENDPOINT.parse_error(head, b'{"error": {"message": "boom"}}'))
    assert isinstance(ENDPOINT.parse_error(head, b'{"error": "prompt is too long: 5 tokens > 4"}'), ContextOverflow)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"code": 424, "message": "prediction failure", "error": "boom"}, "boom; prediction failure"),
        ({"message": {"message": "boom"}}, "returned 424: boom"),
        ({"message": ["boom", "bang"]}, "boom; bang"),
    ],
)
def test_a_containers_cause_is_not_lost_beside_its_message(body: dict[str, object], words: str) -> None:
    """Without an envelope, `message` is a field of the container's body like others."""
    assert words in str(
        ENDPOINT.parse_error(ResponseHead(424, {"x-amzn-errortype": "ModelError"}), json.dumps(body).encode())
    )


@pytest.mark.parametrize(
    "body", ['{"error": "boom"}', "boom", "<html><title>boom</title></html>", 'data: {"error": "boom"}']
)
def test_a_byte_order_mark_is_ignored(body: str) -> None:
    """Some gateways send one before the body."""
    for platform in (DEPLOYMENT, ENDPOINT):
        assert str(platform.parse_error(ResponseHead(400), f"\ufeff{body}".encode())) == "400: boom"
