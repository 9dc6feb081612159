"""Clients that are not ours read the emulator: Oracle's SDK and OpenAI's. What they accept is what the services send."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from _raw_client import HELLO, STREAM, send_request
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import BaseModel

from mdstream_core.emulator import FLAVOURS, Emulator, Fault

KEY = rsa.generate_private_key(65537, 2048)
CONFIG = {
    "tenancy": "ocid1.tenancy.oc1..aaaaaaaaexample",
    "user": "ocid1.user.oc1..aaaaaaaaexample",
    "fingerprint": ":".join(["0a"] * 16),
    "region": "us-ashburn-1",
    "key_content": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
}
KEY_ID = f"{CONFIG['tenancy']}/{CONFIG['user']}/{CONFIG['fingerprint']}"
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def requested(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


# Oracle's SDK


def oracle(emulator: Emulator) -> Any:
    oci = pytest.importorskip(
        "oci", reason="checks the emulator with Oracle's SDK; install mdstream-llm[reference-clients]"
    )
    module = pytest.importorskip("oci.model_deployment", reason="the SDK's part for model deployments")
    return module.ModelDeploymentClient(
        CONFIG, service_endpoint=emulator.url, retry_strategy=oci.retry.NoneRetryStrategy()
    )


@pytest.fixture(scope="module")
def signed() -> Iterator[Emulator]:
    with Emulator(verify_signatures={KEY_ID: PUBLIC}, content_type="text/event-stream") as emulator:
        yield emulator


def ocid(emulator: Emulator) -> str:
    return emulator.endpoint.rpartition("/")[2]


def test_oracles_sdk_predicts(signed: Emulator) -> None:
    answer = oracle(signed).predict(ocid(signed), json.dumps({**HELLO, "stream": False}).encode())

    assert answer.status == 200
    assert answer.request_id
    assert json.loads(answer.data)["choices"][0]["message"]["content"] == "Hello! How can I help you today?"


def test_oracles_sdk_streams_events(signed: Emulator) -> None:
    answer = oracle(signed).predict_with_response_stream(ocid(signed), json.dumps(HELLO).encode())
    events = [event.data for event in answer.data.events()]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]

    assert events[-1] == "[DONE]"
    assert "".join(delta.get("content", "") for delta in deltas) == "Hello! How can I help you today?"


def test_oracles_sdk_hands_out_bytes_when_the_content_type_has_a_parameter(signed: Emulator) -> None:
    signed.script(Fault("content_type", "text/event-stream; charset=utf-8"))
    answer = oracle(signed).predict_with_response_stream(ocid(signed), json.dumps(HELLO).encode())

    assert b"".join(answer.data.raw.stream(1024, decode_content=False)).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("refuse", "lb_bandwidth"), 429, "TooManyRequests"),
        (Fault("refuse", "not_a_stream"), 409, "ExternalServerIncorrectState"),
        (Fault("refuse", "unavailable"), 503, "ServiceUnavailable"),
    ],
    ids=lambda value: str(value) if not isinstance(value, Fault) else value.spelling,
)
def test_oracles_sdk_reads_the_refusals(signed: Emulator, fault: Fault, status: int, code: str) -> None:
    oci = pytest.importorskip(
        "oci", reason="checks the emulator with Oracle's SDK; install mdstream-llm[reference-clients]"
    )
    client = oracle(signed)
    signed.script(fault)
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        client.predict_with_response_stream(ocid(signed), json.dumps(HELLO).encode())

    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.request_id


def test_oracles_sdk_with_an_unknown_key_is_not_authenticated() -> None:
    oci = pytest.importorskip(
        "oci", reason="checks the emulator with Oracle's SDK; install mdstream-llm[reference-clients]"
    )
    with (
        Emulator(verify_signatures={"another/key/id": PUBLIC}) as emulator,
        pytest.raises(oci.exceptions.ServiceError) as refused,
    ):
        oracle(emulator).predict(ocid(emulator), json.dumps(HELLO).encode())

    assert (refused.value.status, refused.value.code) == (401, "NotAuthenticated")


# OpenAI's SDK


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(api_keys=["sk-emulated"]) as emulator:
        yield emulator


@pytest.fixture
def openai(emulator: Emulator) -> Iterator[Any]:
    module = pytest.importorskip(
        "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
    )
    with module.OpenAI(base_url=f"{emulator.endpoint}{STREAM}/v1", api_key="sk-emulated", max_retries=0) as client:
        yield client


@pytest.fixture
def whole(emulator: Emulator) -> Iterator[Any]:
    """A client of `/predict`, for answers that are no streams."""
    module = pytest.importorskip(
        "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
    )
    with module.OpenAI(base_url=f"{emulator.endpoint}/predict/v1", api_key="sk-emulated", max_retries=0) as client:
        yield client


def test_openais_sdk_streams_chat(openai: Any) -> None:
    options = {"include_usage": True}
    stream = openai.chat.completions.create(model="m", messages=requested("Hello"), stream=True, stream_options=options)
    chunks = list(stream)

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello! How can I help you today?"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + chunks[-1].usage.completion_tokens
    assert {chunk.model for chunk in chunks} == {"m"}


def test_openais_sdk_adds_tool_calls_up(openai: Any) -> None:
    question = requested("What is the weather in Paris and in Tokyo?")
    with openai.chat.completions.stream(model="m", messages=question, tools=[WEATHER]) as stream:
        choice = stream.get_final_completion().choices[0]

    assert choice.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in choice.message.tool_calls] == [
        {"city": "Paris"},
        {"city": "Tokyo"},
    ]
    assert len({call.id for call in choice.message.tool_calls}) == 2


def test_openais_sdk_completes_a_conversation_with_tools(whole: Any) -> None:
    messages: list[Any] = requested("What is the weather in Paris?")
    first = whole.chat.completions.create(model="m", messages=messages, tools=[WEATHER]).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "17 degrees and sunny"}
    last = whole.chat.completions.create(model="m", messages=[*messages, first, result], tools=[WEATHER])

    assert "17 degrees and sunny" in last.choices[0].message.content


def test_openais_sdk_parses_structured_output(whole: Any) -> None:
    class Person(BaseModel):
        name: str
        age: int
        email: str | None

    form = {"type": "json_schema", "json_schema": {"name": "Person", "schema": Person.model_json_schema()}}
    output = whole.chat.completions.create(
        model="m", messages=requested("Alice Smith is 30 years old."), response_format=form
    )

    assert Person.model_validate_json(output.choices[0].message.content) == Person(
        name="Alice Smith", age=30, email=None
    )


def test_openais_sdk_completes(openai: Any, whole: Any) -> None:
    stream = openai.completions.create(model="m", prompt="Hello", stream=True)
    text = "".join(chunk.choices[0].text for chunk in stream)
    two = whole.completions.create(model="m", prompt=["Hello", "Count to 3"], logprobs=1)

    assert text == two.choices[0].text == "Hello! How can I help you today?"
    assert two.choices[1].text == "1 2 3"
    assert len(two.choices[1].logprobs.tokens) == len(two.choices[1].logprobs.token_logprobs)


def test_openais_sdk_embeds_by_default_in_base64(whole: Any, emulator: Emulator) -> None:
    packed = whole.embeddings.create(model="m", input=["a river", "a sea"])
    assert emulator.last.json["encoding_format"] == "base64"
    plain = whole.embeddings.create(model="m", input="a river", encoding_format="float", dimensions=256)

    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_openais_sdk_lists_models(whole: Any) -> None:
    assert [model.id for model in whole.models.list()] == ["odsc-llm"]


def test_openais_sdk_reads_the_refusals(openai: Any, emulator: Emulator) -> None:
    module = pytest.importorskip(
        "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
    )
    emulator.script(Fault("refuse", "lb_bandwidth"), Fault("refuse", "vllm_too_long"), Fault("error_event", after=2))
    with pytest.raises(module.RateLimitError):
        openai.chat.completions.create(model="m", messages=requested("Hello"), stream=True)
    with pytest.raises(module.BadRequestError, match="maximum context length"):
        openai.chat.completions.create(model="m", messages=requested("Hello"), stream=True)
    with pytest.raises(module.APIError, match="the model server failed"):
        list(openai.chat.completions.create(model="m", messages=requested("Hello"), stream=True))


def test_openais_sdk_with_a_wrong_key_is_not_authenticated(emulator: Emulator) -> None:
    module = pytest.importorskip(
        "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
    )
    client = module.OpenAI(base_url=f"{emulator.endpoint}{STREAM}/v1", api_key="wrong", max_retries=0)
    with client, pytest.raises(module.AuthenticationError):
        client.chat.completions.create(model="m", messages=requested("Hello"), stream=True)


# OpenAI's types


REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"messages": requested("Name three rivers."), "stream_options": {"include_usage": True}},
    "usage on each": {
        "messages": requested("Hello"),
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    },
    "two choices": {"messages": requested("Hello"), "n": 2, "logprobs": True, "top_logprobs": 2},
    "thinking": {"messages": requested("Hello"), "reasoning_effort": "high"},
    "a tool": {"messages": requested("What is the weather in Paris?"), "tools": [WEATHER]},
    "a forced tool": {"messages": requested("Hello"), "tools": [WEATHER], "tool_choice": "required"},
    "a named tool": {
        "messages": requested("Hi"),
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    },
    "a cut tool": {"messages": requested("Hello"), "tools": [WEATHER], "tool_choice": "required", "max_tokens": 6},
    "JSON": {"messages": requested("Alice is 30"), "response_format": {"type": "json_object"}},
    "length": {"messages": requested("Count to 50"), "max_tokens": 5},
}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", REQUESTS)
def test_chunks_are_openais(flavour: str, name: str) -> None:
    types = pytest.importorskip(
        "openai.types.chat", reason="checks the chunks with OpenAI's types; install mdstream-llm[reference-clients]"
    )
    with Emulator(flavour=flavour) as emulator:
        body = {"model": "m", "stream": True, **REQUESTS[name]}
        events = send_request(emulator.endpoint + STREAM, body).events
        document = send_request(emulator.endpoint + "/predict", {**body, "stream": False, "stream_options": None}).json

    for event in events:
        types.ChatCompletionChunk.model_validate(event)
    types.ChatCompletion.model_validate(document)
    reasons = [
        choice["finish_reason"] for event in events for choice in event["choices"] if choice.get("finish_reason")
    ]
    assert len(reasons) == REQUESTS[name].get("n", 1)
