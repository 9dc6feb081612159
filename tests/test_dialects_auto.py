"""The dialect is detected by the first payload, and a request is converted once if it must be."""

import warnings
from typing import Any

import pytest

from mdstream_core.dialects import Auto, Decoder, dialect
from mdstream_core.errors import (  # fmt: skip
    ContextOverflow,
    InvalidRequest,
    MalformedStream,
    ServerError,
    StreamFailure,
    StreamInterrupted,
)
from mdstream_core.events import Event, Finish, ModelResponse, TextDelta

STATES = {"role": "user", "content": "Hi"}


def read(decoder: Decoder, *payloads: bytes) -> list[Event]:
    events = [event for payload in payloads for event in decoder.feed(payload)]
    return events + decoder.finish()


#: name: the payloads of a response that says "Hi"
DIALECT: dict[str, list[bytes]] = {
    "chat": [b'{"choices":[{"delta":{"content":"Hi"}}]}', b'{"choices":[{"delta":{},"finish_reason":"stop"}]}', b"[DONE]"],
    "a whole chat": [b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'],
    "chat after a chunk without choices": [b'{"choices":[]}', b'{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}'],
    "completions": [b'{"choices":[{"text":"Hi","finish_reason":"stop"}]}'],
    "TGI": [b'{"token":{"text":"H","special":false},"generated_text":null}', b'{"token":{"text":"i"},"generated_text":"Hi"}'],
    "LMI": [b'{"token":{"text":"Hi","log_prob":-1},"generated_text":"Hi"}'],
    "LMI dynamic": [b'{"outputs":["H"]}', b'{"outputs":["i"]}'],
    "a list": [b'[{"generated_text":"Hi"}]'],
    "JumpStart": [b'[{"generation":{"role":"assistant","content":"Hi"}}]'],
    "after a blank": [b"", b'{"generated_text":"Hi"}'],
}  # fmt: skip


@pytest.mark.parametrize("payloads", DIALECT.values(), ids=DIALECT)
def test_the_dialect_is_detected_by_the_first_payload(payloads: list[bytes]) -> None:
    """All formats that a container may return."""
    decoder = Auto().create_decoder()
    model_response = ModelResponse.from_events(read(decoder, *payloads))

    assert ("Hi", "stop") == (model_response.text, model_response.finish_reason)
    assert decoder.is_complete or b"outputs" not in payloads[0]
    assert decoder.error is None


#: name: (payloads, the error, some words)
BROKEN: dict[str, tuple[list[bytes], type[Exception], str]] = {
    "nothing": ([], StreamInterrupted, "without output"),
    "only [DONE]": ([b"[DONE]"], StreamInterrupted, "without output"),
    "an error": ([b'{"error":{"message":"no","type":"x","code":500}}'], StreamFailure, "no"),
    "TGI's error": ([b'{"error":"Model is overloaded","error_type":"overloaded"}'], StreamFailure, "overloaded"),
    "an error in the middle": ([b'{"token":{"text":"H"}}', b'{"error":"no","error_type":"x"}'], StreamFailure, "no"),
    "no JSON": ([b"<p>"], MalformedStream, "not JSON"),
    "vectors": ([b"[[0.5]]"], MalformedStream, "an embedding model"),
    "unknown": ([b'{"predictions":[]}'], MalformedStream, "'predictions': .*no known dialect"),
    "changed in the middle": ([b'{"token":{"text":"H"}}', b'{"choices":[]}'], MalformedStream, "openai-chat"),
}


@pytest.mark.parametrize(("payloads", "kind", "words"), BROKEN.values(), ids=BROKEN)
def test_an_incomplete_response_is_an_error(payloads: list[bytes], kind: type[Exception], words: str) -> None:
    """The end of a response is checked as strictly as with a fixed dialect."""
    with pytest.raises(kind, match=words):
        read(Auto().create_decoder(), *payloads)


REFUSALS = [
    "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 54",
    "the request has no inputs: the key `inputs` is required",
    "body -> inputs: field required",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_a_request_is_converted_to_inputs(words: str) -> None:
    """Once, with a warning: the messages are sent without a chat template."""
    requested = Auto().build_payload({"messages": [STATES], "max_tokens": 3}, stream=True)
    with pytest.warns(RuntimeWarning, match="without the model's chat template"):
        again = Auto().relax_payload(requested, InvalidRequest(words))

    assert again == {"inputs": "Hi", "parameters": {"details": True, "return_full_text": False, "max_new_tokens": 3}, "stream": True}  # fmt: skip
    assert None is Auto().relax_payload(again, InvalidRequest(words))


#: name: (the request, the refusal)
UNCHANGED: dict[str, tuple[dict[str, Any], Exception]] = {
    "tools": ({"messages": [STATES], "tools": [{"type": "function"}]}, InvalidRequest("missing field `inputs`")),
    "too long": ({"messages": [STATES]}, ContextOverflow("`inputs` must have less than 10 tokens, which is required")),
    "something else": ({"messages": [STATES]}, InvalidRequest("temperature must be positive")),
    "a failure": ({"messages": [STATES]}, ServerError("engine died")),
    "pictures": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        InvalidRequest("missing field `inputs`"),
    ),
}


@pytest.mark.parametrize(("params", "refusal"), UNCHANGED.values(), ids=UNCHANGED)
def test_other_errors_do_not_convert_a_request(params: dict[str, Any], refusal: Any) -> None:
    """Requests that `inputs` cannot express, and errors with another cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert None is Auto().relax_payload(Auto().build_payload(params, stream=False), refusal)


def test_stream_options_are_dropped_as_for_openai() -> None:
    """A server that does not know them receives the request without them."""
    requested = Auto().build_payload({"messages": [STATES]}, stream=True)
    again = Auto().relax_payload(requested, InvalidRequest("stream_options: extra fields not permitted"))

    assert again == {"messages": [STATES], "stream": True}


def test_the_dialects_are_registered() -> None:
    """By the names that the field `dialect` accepts."""
    names = ["auto", "tgi", "lmi", "jumpstart-llama"]

    assert names == [dialect(name).name for name in names]
    assert {"/invocations"} == {dialect(name).route for name in names}
    assert [TextDelta("a"), Finish("stop")] == read(dialect("lmi").create_decoder(), b'{"outputs":"a"}')
