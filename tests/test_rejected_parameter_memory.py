"""What a model object remembers of rejected parameters: what helped, and for which values."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from _both_frameworks import HI, METHODS, completion, langchain, llamaindex, response, scripted
from _raw_server import serving

from mdstream_core import OCIModelDeployment, Retry, Service
from mdstream_core.dialects import OpenAIChat, ReasoningHistory
from mdstream_core.errors import InvalidRequest, MDStreamError

Json = dict[str, Any]

pytestmark = pytest.mark.filterwarnings(
    "ignore:the model rejects", "ignore:this http_client", "ignore:the server rejects"
)


def refused(message: str, param: str | None = None, code: str | None = None) -> bytes:
    return response(400, json.dumps({"error": {"message": message, "param": param, "code": code}}).encode())


def values(bodies: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(body.get(name) for name in names) for body in bodies]


def send_request(service: Service, dialect: Any = None, **fields: Any) -> None:
    params = {"messages": [{"role": "user", "content": "Hi"}], **fields}
    service.client.complete(service.call(dialect or OpenAIChat(), params, stream=False))


def requested(respond: Callable[[Json], bytes], *requests: Json, dialect: Any = None) -> list[Any]:
    """Return the bodies of requests that one service sent to a server; errors are ignored."""
    with serving(scripted(respond)) as server:
        service = Service(OCIModelDeployment(f"{server.url}/ocid1.x"), retry=Retry(0), trust_env=False)
        for params in requests:
            try:
                send_request(service, dialect, **params)
            except MDStreamError:
                server.notes.append({"failed": True})
        service.close()
        return list(server.notes)


def newer(body: Json) -> bytes:
    """A server that knows only the new name of the limit."""
    if "max_tokens" in body:
        reported = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return refused(reported, "max_tokens", "unsupported_parameter")
    return completion(body)


@pytest.mark.parametrize("call_method", METHODS)
def test_a_token_limit_under_both_names_is_never_lost(call_method: str) -> None:
    """
    The model object's limit, and one under the other name in `extra_body`.
    """
    model, method_of_requesting, _ = METHODS[call_method]
    with serving(scripted(newer)) as server:
        both = model("oci-model-deployment", server, max_tokens=100, extra_body={"max_completion_tokens": 50})
        method_of_requesting(both)
        method_of_requesting(both)
    assert [(100, 50), (None, 50), (None, 50)] == values(server.notes, "max_tokens", "max_completion_tokens")


def test_later_calls_use_the_accepted_name_of_the_token_limit() -> None:
    """
    Whichever of the two a call has.
    """
    bodies = requested(
        newer, {"max_tokens": 100, "max_completion_tokens": 50}, {"max_tokens": 7}, {"max_completion_tokens": 9}
    )
    assert [(100, 50), (None, 50), (None, 7), (None, 9)] == values(bodies, "max_tokens", "max_completion_tokens")


def test_one_call_with_both_limits_of_one_model_object() -> None:
    """
    LlamaIndex's options of a call.
    """
    with serving(scripted(newer)) as server:
        llm = llamaindex("oci-model-deployment", server, max_tokens=100)
        llm.chat(HI, max_completion_tokens=50)
        llm.chat(HI)
        llm.chat(HI, max_tokens=7)
    names = ("max_tokens", "max_completion_tokens")
    assert [(100, 50), (None, 50), (None, 100), (None, 7)] == values(server.notes, *names)


RANGES = {
    "OpenAI": ("Unsupported value: 'temperature' does not support 3. Only values from 0 to 2 are supported.", "unsupported_value"),
    "between": ("temperature=3.0 is not supported, it must be between 0 and 2", None),
    "greater": ("This model does not support temperature greater than 2", None),
    "code": ("no", "unsupported_value"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "code"), RANGES.values(), ids=RANGES)
def test_a_value_out_of_range_does_not_drop_other_values(message: str, code: str | None) -> None:
    """
    The same value is left out again, others are sent.
    """

    def respond(body: Json) -> bytes:
        return refused(message, "temperature", code) if body.get("temperature", 0) > 2 else completion(body)

    bodies = requested(respond, *({"temperature": value} for value in (3.0, 0.0, 3.0, 1)))
    assert [3.0, None, 0.0, None, 1] == [body.get("temperature") for body in bodies]


@pytest.mark.parametrize("call_method", [call_method for call_method in METHODS if call_method.startswith("langchain")])
def test_a_value_out_of_range_in_each_method(call_method: str) -> None:
    """
    The second model object's value is another one.
    """
    message, code = RANGES["OpenAI"]

    def respond(body: Json) -> bytes:
        return refused(message, "temperature", code) if body.get("temperature", 0) > 2 else completion(body)

    model, method_of_requesting, _ = METHODS[call_method]
    with serving(scripted(respond)) as server:
        chat = model("oci-model-deployment", server, temperature=3.0)
        method_of_requesting(chat)
        method_of_requesting(chat.bind(temperature=0.0))
    assert [3.0, None, 0.0] == [body.get("temperature") for body in server.notes]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported value: 'temperature' does not support {} with this model. Only the default (1) value is supported.",
        "gpt-5 models don't support temperature={}. Only temperature=1 is supported.",
    ],
)
def test_only_the_accepted_default_is_sent(message: str) -> None:
    """
    One refusal for all the other values.
    """

    def respond(body: Json) -> bytes:
        value = body.get("temperature", 1)
        return completion(body) if value == 1 else refused(message.format(value), "temperature", "unsupported_value")

    bodies = requested(respond, *({"temperature": value} for value in (0.1, 0.2, 1, 0.1)))
    assert [0.1, None, None, 1, None] == [body.get("temperature") for body in bodies]


STREAMED_REFUSAL = b'data: {"error": {"message": "bad tools", "code": 400}}\n\n'

#: How a server goes on refusing once the parameter is left out.
STILL: dict[str, bytes] = {
    "400": refused("tools are bad"),
    "500": response(500, b'{"error": {"message": "tools are bad"}}'),
    "200 with an error": response(200, b'{"error": {"message": "tools are bad", "code": 400}}'),
    "a stream of an error": response(200, STREAMED_REFUSAL, b"content-type: text/event-stream\r\n"),
}


@pytest.mark.parametrize("still", STILL.values(), ids=STILL)
def test_a_parameter_that_was_dropped_in_vain_is_sent_again(still: bytes) -> None:
    """
    Only a response shows that it was the parameter.
    """

    def respond(body: Json) -> bytes:
        if not body.get("tools"):
            return completion(body)
        return refused("temperature is not supported") if "temperature" in body else still

    bodies = requested(respond, {"temperature": 0.0, "tools": [{"type": "function"}]}, {"temperature": 0.0})
    assert [0.0, None, None, 0.0] == [body.get("temperature") for body in bodies]
    assert bodies[2] == {"failed": True}


def test_a_dropped_parameter_is_remembered_after_a_temporary_failure() -> None:
    """
    A retry of the simpler request has a response.
    """
    failures = iter([response(503, b"{}", b"content-type: application/json\r\nretry-after: 0\r\n")])

    def respond(body: Json) -> bytes:
        return refused("'seed' is not supported") if "seed" in body else next(failures, completion(body))

    with serving(scripted(respond)) as server:
        chat = langchain("oci-model-deployment", server, max_retries=1, model_kwargs={"seed": 7})
        chat.invoke("Hello")
        chat.invoke("Hello")
    assert [7, None, None, None] == [body.get("seed") for body in server.notes]  # type: ignore[attr-defined]


def test_a_dropped_parameter_is_remembered_after_dropped_reasoning() -> None:
    """
    Two kinds of changes in one call.
    """

    def respond(body: Json) -> bytes:
        if "seed" in body:
            return refused("'seed' is not supported")
        if any("reasoning_content" in message for message in body["messages"]):
            return response(422, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 1, "assistant", "reasoning_content"], "msg": "Extra inputs are not permitted"}]}).encode())  # fmt: skip
        return completion(body)

    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho", "reasoning_content": "hm"},
        {"role": "user", "content": "Hi"},
    ]
    params = {"messages": messages, "seed": 7}
    bodies = requested(respond, params, params, dialect=ReasoningHistory(OpenAIChat(), "always"))
    assert [7, None, None] == [body.get("seed") for body in bodies][:3]
    assert not any("seed" in body for body in bodies[1:])


def test_a_renamed_parameter_can_be_renamed_back() -> None:
    """
    A remembered name that is rejected later gives way to the other one, once.
    """
    known = ["max_completion_tokens"]

    def respond(body: Json) -> bytes:
        other = {"max_tokens", "max_completion_tokens"} & body.keys() - set(known)
        return refused(f"Unknown parameter: '{other.pop()}'") if other else completion(body)

    with serving(scripted(respond)) as server:
        chat = langchain("oci-model-deployment", server, max_tokens=5)
        chat.invoke("Hello")
        known[:] = ["max_tokens"]
        chat.invoke("Hello")
        chat.invoke("Hello")
        known.clear()
        with pytest.raises(InvalidRequest):
            chat.invoke("Hello")
    names = [next(name for name in ("max_tokens", "max_completion_tokens") if name in body) for body in server.notes]  # type: ignore[operator]
    old, new = "max_tokens", "max_completion_tokens"
    assert [old, new, new, old, old, old, new] == names


def test_a_remembered_value_emits_no_warning() -> None:
    """
    `temperature=0.0` after `temperature=3.0` is sent, and no warning is due.
    """
    message, code = RANGES["OpenAI"]

    def respond(body: Json) -> bytes:
        return refused(message, "temperature", code) if body.get("temperature", 0) > 2 else completion(body)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        requested(respond, {"temperature": 3.0}, {"temperature": 0.0}, {"temperature": 3.0})
    assert ["the model rejects temperature=3.0 (400, unsupported_value): the request is sent again without it"] == [
        str(one.message) for one in caught if one.category is RuntimeWarning
    ]
