"""The trailer `StreamFailure`, in every format."""

import pytest
from _samples import OUTPUT, read

from mdstream_core.errors import (
    StreamFailure,
    StreamTimeout,
)
from mdstream_core.http import ResponseHead
from mdstream_core.platforms.oci_model_deployment import OCIModelDeployment, parse_stream_failure

FACTS = {
    "service": ("RequestTimeout", 408, "ServiceTimeout"),
    "model": ("RequestTimeout", 408, "ModelResponseTimeExceeded"),
    "internal": ("InternalServerError", 500, "InternalServerError"),
}


SPELLINGS = {
    "JSON": '{{"ErrorCode": "{0}", "HttpCode": {1}, "ErrorReason": "{2}"}}',
    "JSON with a string for the status": '{{"ErrorCode":"{0}","HttpCode":"{1}","ErrorReason":"{2}"}}',
    "JSON in camel case": '{{"errorCode":"{0}","httpCode":{1},"errorReason":"{2}"}}',
    "JSON in snake case": '{{"error_code":"{0}","http_code":{1},"error_reason":"{2}"}}',
    "JSON in a string": '"{{\\"ErrorCode\\":\\"{0}\\",\\"HttpCode\\":{1},\\"ErrorReason\\":\\"{2}\\"}}"',
    "JSON in JSON": '{{"StreamFailure": {{"ErrorCode": "{0}", "HttpCode": {1}, "ErrorReason": "{2}"}}}}',
    "a list": '[{{"ErrorCode": "{0}", "HttpCode": {1}, "ErrorReason": "{2}"}}]',
    "= and ,": "ErrorCode={0}, HttpCode={1}, ErrorReason={2}",
    "= and ;": "ErrorCode={0};HttpCode={1};ErrorReason={2}",
    "= and |": "ErrorCode={0}|HttpCode={1}|ErrorReason={2}",
    ": and ,": "ErrorCode: {0}, HttpCode: {1}, ErrorReason: {2}",
    "- and ,": "ErrorCode - {0}, HttpCode - {1}, ErrorReason - {2}",
    "quoted": 'ErrorCode="{0}", HttpCode="{1}", ErrorReason=\'{2}\'',
    "with spaces in the names": "Error Code: {0}, Http Code: {1}, Error Reason: {2}",
    "in braces": "{{ErrorCode={0}, HttpCode={1}, ErrorReason={2}}}",
    "in lower case": "errorcode={0}, httpcode={1}, errorreason={2}",
    "another order": "ErrorReason={2}, HttpCode={1}, ErrorCode={0}",
    "only the words": "{0} {1} {2}",
    "only the words, with slashes": "{1}/{0}/{2}",
}


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_stream_failure_is_parsed_in_every_format(spelling: str, fact: str) -> None:
    """Oracle documents three fields but not their format: each plausible one gives code, status and class."""
    code, status, reason = FACTS[fact]
    value = spelling.format(code, status, reason)
    error = parse_stream_failure(value)

    assert (reason, status, value) == (error.code, error.status, error.raw)
    assert (StreamTimeout if status == 408 else StreamFailure) is type(error)
    assert error.retryable
    assert str(status) in str(error)


PARTIAL = {
    "ServiceTimeout": ("ServiceTimeout", 408),
    "servicetimeout": ("ServiceTimeout", 408),
    "RequestTimeout": ("RequestTimeout", 408),
    "408": (None, 408),
    "HttpCode=503": (None, 503),
    "ErrorReason=NewReason, HttpCode=500": ("NewReason", 500),
    "ErrorReason=NewReason": ("NewReason", 500),
    "true": (None, 500),
    "something else entirely": (None, 500),
    "HttpCode=200": (None, 500),
    "HttpCode=" + "4" * 5000: (None, 500),
    "[" * 50_000: (None, 500),
    "\x00\xff": (None, 500),
    "%7B%22HttpCode%22%3A408%7D": (None, 408),
}


@pytest.mark.parametrize("value", PARTIAL, ids=range(len(PARTIAL)))
def test_an_unreadable_stream_failure_is_a_failure(value: str) -> None:
    """The raw text is kept, and the message is short."""
    error = parse_stream_failure(value)

    assert PARTIAL[value] == (error.code, error.status)
    assert value == error.raw
    assert len(str(error)) < 500


@pytest.mark.parametrize("name", ["StreamFailure", "streamfailure", "STREAMFAILURE"])
def test_a_trailer_after_done_is_a_failure(name: str) -> None:
    """A finish reason and [DONE] do not make a failed stream a success."""
    outcome = read(OUTPUT, trailers=((name, "408 ServiceTimeout"),))

    assert StreamTimeout is type(outcome.error)
    assert "Hi" == outcome.model_response.text == outcome.error.partial.text
    assert "408 ServiceTimeout" == outcome.error.response.headers["streamfailure"]


def test_other_trailers_are_ignored() -> None:
    """And a status that is no error."""
    assert read(OUTPUT, trailers=(("x-checksum", "1"),)).error is None
    assert read(OUTPUT, trailers=(("HttpCode", "200"), ("ErrorCode", ""))).error is None


@pytest.mark.parametrize("name", ["StreamFailure", "Stream-Failure", "opc-stream-failure"])
@pytest.mark.parametrize("value", ["", " ", "500"])
def test_the_presence_of_the_trailer_is_a_failure(name: str, value: str) -> None:
    """With or without a value, in any spelling of its name; announced and absent is a normal end."""
    outcome = read(OUTPUT, trailers=((name, value),))

    assert StreamFailure is type(outcome.error)
    assert "Hi" == outcome.error.partial.text


def test_of_two_trailers_the_one_with_a_value_is_used() -> None:
    """Of two trailers the one with a value is used."""
    outcome = read(OUTPUT, trailers=(("StreamFailure", ""), ("StreamFailure", "ErrorCode=RequestTimeout")))

    assert StreamTimeout is type(outcome.error)


def test_the_facts_may_be_separate_trailers() -> None:
    """Oracle does not document that they are in one field."""
    facts = (("ErrorCode", "RequestTimeout"), ("HttpCode", "408"), ("opc-error-reason", "ServiceTimeout"))
    outcome = read(OUTPUT, trailers=facts)

    assert ("ServiceTimeout", 408) == (outcome.error.code, outcome.error.status)


@pytest.mark.parametrize("value", ["ErrorCode=RequestTimeout, HttpCode=408", ""])
def test_a_failure_among_the_headers_is_a_failure(value: str) -> None:
    """A proxy that buffers responses may merge the trailers into the headers."""
    head = ResponseHead(200, {"content-type": "text/event-stream", "streamfailure": value})
    with pytest.raises(StreamFailure, match="OCI ended the stream"):
        OCIModelDeployment("https://h/ocid").create_frame_decoder(head)


def test_a_trailer_precedes_a_truncated_event() -> None:
    """If the last event is truncated and the trailer has a reason, the trailer is the error."""
    outcome = read(OUTPUT[:60], trailers=(("StreamFailure", "500 InternalServerError"),))

    assert StreamFailure is type(outcome.error)
