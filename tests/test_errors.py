"""The exception hierarchy, and the parsing of error bodies."""

import copy
import pickle
import re
from typing import Any

import pytest
from _samples import read

from mdstream_core import errors
from mdstream_core.errors import (
    ErrorBody,
    ErrorResponse,
    MDStreamError,
    MissingExtra,
    ServiceError,
    StreamFailure,
    describes_context_overflow,
    error_class_for_status,
    parse_error_object,
)
from mdstream_core.events import ModelResponse, TextDelta


def family(kind: type[MDStreamError]) -> list[type[MDStreamError]]:
    own = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind, *(relative for child in own for relative in family(child))]


ALL = family(MDStreamError)


def test_the_docstring_shows_the_hierarchy() -> None:
    """Each line is a class below its base class, and none is missing."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"( *)\* (\w+)", line):
            depth = len(match[1]) // 2
            above[depth:] = [match[2]]
            drawn[match[2]] = above[depth - 1] if depth else "Exception"

    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in ALL}


@pytest.mark.parametrize("kind", ALL)
def test_an_error_is_built_from_one_string(kind: type[MDStreamError]) -> None:
    """LlamaIndex workflows rebuild exceptions from their message alone."""
    error = kind("what happened")

    assert "what happened" == str(error)
    assert ("what happened",) == error.args
    assert "" == str(kind())


@pytest.mark.parametrize("kind", ALL)
def test_an_error_can_be_pickled_and_copied(kind: type[MDStreamError]) -> None:
    """It keeps its class, its message and its attributes."""
    error = kind("x", code="C", status=499, request_id="r", retryable=True, raw="raw", retry_after=1.5)
    error.partial = ModelResponse.from_events([TextDelta("Hi")])
    error.response = ErrorResponse(499, {"a": "b"}, {"error": {}, "partial": None}, "raw")

    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert kind is type(other)
        assert ("x", "C", 499, "r", True, "raw", 1.5) == (
            str(other), other.code, other.status, other.request_id, other.retryable, other.raw, other.retry_after,
        )  # fmt: skip
        assert "Hi" == other.partial.text
        assert (499, {"a": "b"}) == (other.response.status_code, other.response.headers)


@pytest.mark.parametrize("kind", ALL)
def test_frameworks_may_set_attributes_on_an_error(kind: type[MDStreamError]) -> None:
    """No class has slots, and each is an Exception."""
    error = kind("x")
    error.add_note("a note")
    error.run_id = 7  # type: ignore[attr-defined]

    assert isinstance(error, Exception)
    assert not any("__slots__" in base.__dict__ for base in kind.__mro__ if base.__module__ == errors.__name__)


def test_no_class_has_a_builtin_base_that_frameworks_check() -> None:
    """LangGraph decides on retries by builtin base classes."""
    assert not any(issubclass(kind, RuntimeError | OSError | ValueError) for kind in ALL)


def test_attributes_default_to_those_of_the_class() -> None:
    """The status, and whether a retry may succeed."""
    retryable = {"ConnectionFailed", "RateLimited", "ServerError", "StreamFailure", "StreamTimeout", "StreamInterrupted", "StreamStalled"}  # fmt: skip

    assert retryable == {kind.__name__ for kind in ALL if kind("x").retryable}
    assert 429 == errors.RateLimited("x").status
    assert 418 == errors.RateLimited("x", status=418).status


def test_convert_to_keeps_the_attributes() -> None:
    """For the error class of a framework package."""

    class Mine(StreamFailure, ValueError):
        pass

    error = StreamFailure("x", code="C")
    error.partial = ModelResponse.from_events([TextDelta("Hi")])
    mine = error.convert_to(Mine)

    assert (Mine, "x", "C", "Hi") == (type(mine), str(mine), mine.code, mine.partial.text)
    assert type(error) is StreamFailure


@pytest.mark.parametrize("status", range(300, 600))
def test_every_status_has_a_class(status: int) -> None:
    """Every error is a `ServiceError`; 5xx and 429 are retryable, 4xx are not."""
    error = error_class_for_status(status)("x")

    assert isinstance(error, ServiceError)
    assert error.retryable is (status >= 500 or status in {408, 424, 429})


WORDS: dict[str, tuple[Any, ErrorBody | None]] = {
    "vLLM": ({"error": {"message": "m", "type": "T", "param": None, "code": 400}}, ErrorBody("m", "T", 400)),
    "llama.cpp": ({"error": {"message": "m", "type": "T", "code": "C"}}, ErrorBody("m", "C", None)),
    "SGLang": ({"object": "error", "message": "m", "type": "T", "code": 400}, ErrorBody("m", "T", 400)),
    "TGI": ({"error": "m", "error_type": "validation"}, ErrorBody("m", "validation", None)),
    "TGI in a stream": ({"error": {"message": "m", "http_status_code": 422}}, ErrorBody("m", None, 422)),
    "FastAPI": ({"detail": "m"}, ErrorBody("m", None, None)),
    "OCI": ({"code": "NotAuthenticated", "message": "m"}, ErrorBody("m", "NotAuthenticated", None)),
    "OCI without words": ({"code": "NotAuthenticated", "message": ""}, ErrorBody("NotAuthenticated", "NotAuthenticated", None)),
    "no words at all": ({"error": {}, "message": None, "code": None}, ErrorBody("no message", None, None)),
    "a response": ({"choices": [], "usage": None}, None),
    "a response with a null error": ({"choices": [], "error": None}, None),
    "an event of another API": ({"type": "response.created", "response": {}}, None),
    "a list": ([], None),
    "text": ("error", None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), WORDS.values(), ids=WORDS)
def test_error_objects(body: Any, expected: ErrorBody | None) -> None:
    """Message, code and status are found in every format, and other bodies are not errors."""
    assert expected == parse_error_object(body)


TOO_LONG = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
    "the request exceeds the available context size, try increasing it",
    "Requested tokens (5000) exceed context window of 4096",
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`",
    "`inputs` must have less than 4095 tokens. Given: 5000",
    "The prompt (total length 5000) is longer than the maximum model length of 4096",
    "Please reduce the length of the messages.",
)


def test_a_context_overflow_is_recognized() -> None:
    """In the messages of all servers, and not in that of a wrong temperature."""
    assert all(map(describes_context_overflow, TOO_LONG))
    assert not describes_context_overflow("temperature must be non-negative")


def test_a_missing_package_has_an_install_command() -> None:
    """In the message of `MissingExtra`."""
    assert "pip install 'mdstream-llm[oci]'" in str(MissingExtra("oci", "oci"))
    assert isinstance(MissingExtra("oci"), ImportError)


def test_an_error_of_a_call_can_be_pickled_and_copied() -> None:
    """With the partial response and the response that a call added to it."""
    error = read(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n').error
    other = pickle.loads(pickle.dumps(error))

    assert "Hi" == other.partial.text
    assert error.response.json() == other.response.json()
