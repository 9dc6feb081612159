"""What SageMaker reports about a response, and the headers of a single call, in both frameworks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from llama_index.core.llms import ChatMessage

from langchain_mdstream import (
    ChatSagemakerEndpoint,
    SagemakerEndpoint,
    SagemakerEndpointEmbeddings,
    SagemakerEndpointRerank,
)
from llamaindex_mdstream import SageMakerEmbedding, SageMakerLLM
from mdstream_core import errors, sagemaker_headers
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.hooks import CallEvent, Completed

__all__ = ["emulator", "shared_emulator"]  # fixtures

HI = [ChatMessage("Hello")]


def fields(emulator: Emulator, **options: Any) -> dict[str, Any]:
    """Constructor arguments for the emulator."""
    return {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "max_retries": 0, **options}


def _merge(chunks: list[Any]) -> Any:
    merged = chunks[0]
    for chunk in chunks[1:]:
        merged += chunk
    return merged


async def _list(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


async def _awaited(stream: Any) -> list[Any]:
    return [chunk async for chunk in await stream]


def _generated(result: Any) -> dict[str, Any]:
    info: dict[str, Any] = result.generations[0][0].generation_info
    return info


def _both(response: Any) -> dict[str, Any]:
    """The facts of a LlamaIndex response, which are in `additional_kwargs` and in `raw`."""
    shared = {name: value for name, value in response.additional_kwargs.items() if name[0].isupper()}
    assert shared == {name: value for name, value in response.raw.items() if name[0].isupper()}
    return shared


Send = Callable[[Any, dict[str, Any]], dict[str, Any]]

#: call: (class, function that sends a request and returns the metadata, whether it streams)
CALLS: dict[str, tuple[Any, Send, bool]] = {
    "LangChain invoke": (
        ChatSagemakerEndpoint, lambda model, call: model.invoke("Hi", **call).response_metadata, False,
    ),
    "LangChain ainvoke": (
        ChatSagemakerEndpoint, lambda model, call: asyncio.run(model.ainvoke("Hi", **call)).response_metadata, False,
    ),
    "LangChain bound": (
        ChatSagemakerEndpoint, lambda model, call: model.bind(**call).invoke("Hi").response_metadata, False,
    ),
    "LangChain stream": (
        ChatSagemakerEndpoint, lambda model, call: _merge(list(model.stream("Hi", **call))).response_metadata, True,
    ),
    "LangChain astream": (
        ChatSagemakerEndpoint,
        lambda model, call: _merge(asyncio.run(_list(model.astream("Hi", **call)))).response_metadata,
        True,
    ),
    "LangChain v3 events": (
        ChatSagemakerEndpoint,
        lambda model, call: model.stream_events("Hi", version="v3", **call).output.response_metadata,
        True,
    ),
    "LangChain completion": (
        SagemakerEndpoint, lambda model, call: _generated(model.generate(["Hi"], **call)), False,
    ),
    "LangChain async completion": (
        SagemakerEndpoint, lambda model, call: _generated(asyncio.run(model.agenerate(["Hi"], **call))), False,
    ),
    "LangChain embeddings": (
        SagemakerEndpointEmbeddings, lambda model, call: model.embed(["Hi"], **call).metadata.service, False,
    ),
    "LangChain async embeddings": (
        SagemakerEndpointEmbeddings,
        lambda model, call: asyncio.run(model.aembed(["Hi"], **call)).metadata.service,
        False,
    ),
    "LlamaIndex chat": (SageMakerLLM, lambda model, call: _both(model.chat(HI, **call)), False),
    "LlamaIndex achat": (SageMakerLLM, lambda model, call: _both(asyncio.run(model.achat(HI, **call))), False),
    "LlamaIndex stream_chat": (SageMakerLLM, lambda model, call: _both([*model.stream_chat(HI, **call)][-1]), True),
    "LlamaIndex astream_chat": (
        SageMakerLLM, lambda model, call: _both(asyncio.run(_awaited(model.astream_chat(HI, **call)))[-1]), True,
    ),
    "LlamaIndex complete": (SageMakerLLM, lambda model, call: _both(model.complete("Hi", **call)), False),
    "LlamaIndex stream_complete": (
        SageMakerLLM, lambda model, call: _both([*model.stream_complete("Hi", **call)][-1]), True,
    ),
}  # fmt: skip

each_call = pytest.mark.parametrize(("cls", "send", "streams"), CALLS.values(), ids=CALLS)

CALL = {
    "inference_component_name": "adapter--1",
    "target_variant": "blue",
    "target_container_hostname": "second",
    "inference_id": "request 1",
    "custom_attributes": "trace=1;accept_eula=true",
    "prefix_aware_id": "user-1",
}
HEADERS = {
    "x-amzn-sagemaker-inference-component": "adapter--1",
    "x-amzn-sagemaker-target-variant": "blue",
    "x-amzn-sagemaker-target-container-hostname": "second",
    "x-amzn-sagemaker-inference-id": "request 1",
    "x-amzn-sagemaker-custom-attributes": "trace=1;accept_eula=true",
    "x-amzn-sagemaker-prefix-aware-id": "user-1",
}


@each_call
def test_the_response_metadata_has_what_boto3_returns(emulator: Emulator, cls: Any, send: Send, streams: bool) -> None:
    """With boto3's names: the variant, the custom attributes, and the container's content type."""
    found = send(cls(**fields(emulator)), {"custom_attributes": "trace=1"})

    assert "AllTraffic" == found["InvokedProductionVariant"]
    assert "trace=1" == found["CustomAttributes"]
    assert ("text/event-stream" if streams else "application/json") == found["ContentType"].partition(";")[0]
    assert "NewSessionId" not in found


@each_call
def test_arguments_of_a_call_are_headers(emulator: Emulator, cls: Any, send: Send, streams: bool) -> None:
    """They override the fields of the model, for this call only, and are not in the payload."""
    model = cls(**fields(emulator, target_variant="green"))
    send(model, CALL)
    first = emulator.last
    send(model, {})

    assert HEADERS == {name: value for name, value in first.headers.items() if name in HEADERS}
    assert not first.json.keys() & CALL.keys()
    assert "green" == emulator.last.headers["x-amzn-sagemaker-target-variant"]
    assert "x-amzn-sagemaker-inference-id" not in emulator.last.headers


@each_call
def test_what_only_whole_responses_have(emulator: Emulator, cls: Any, send: Send, streams: bool) -> None:
    """A new session, a model of a multi-model endpoint, explanations: a stream with them is not sent."""
    model = cls(**fields(emulator))
    for name, value in {"session_id": "NEW_SESSION", "target_model": "a.tar", "enable_explanations": "`true`"}.items():
        emulator.reset()
        if not streams:
            found = send(model, {name: value})
            assert value == emulator.last.headers[f"x-amzn-sagemaker-{name.replace('_', '-')}"]
            assert (name == "session_id") == ("NewSessionId" in found)
            continue
        with pytest.raises(errors.InvalidRequest):
            send(model, {name: value})
        assert not emulator.requests


@each_call
def test_a_new_session_id_continues_the_session(emulator: Emulator, cls: Any, send: Send, streams: bool) -> None:
    """`NewSessionId` includes its expiry, as in boto3, and can be used as it is."""
    send(cls(**fields(emulator)), {"session_id": "session-1; Expires=2026-11-20T18:00:00Z"})

    assert "session-1" == emulator.last.headers["x-amzn-sagemaker-session-id"]


INVALID = {
    "too long": {"inference_id": "x" * 65},
    "a line break": {"custom_attributes": "a\r\nx-evil: 1"},
    "no ASCII": {"custom_attributes": "é"},
    "two hyphens at the end": {"target_variant": "blue-"},
    "an underscore": {"inference_component_name": "a_b"},
    "no string": {"target_variant": 7},
    "boto3's name": {"SessionId": "a b"},
}


@pytest.mark.parametrize("arguments", INVALID.values(), ids=INVALID)
@each_call
def test_values_that_sagemaker_rejects(
    emulator: Emulator, cls: Any, send: Send, streams: bool, arguments: dict[str, Any]
) -> None:
    """Nothing is sent, and the message names the argument without its value."""
    with pytest.raises(errors.InvalidRequest) as raised:
        send(cls(**fields(emulator)), arguments)

    ((name, value),) = arguments.items()
    assert {"SessionId": "session_id"}.get(name, name).removesuffix("_name") in str(raised.value)
    assert str(value) not in str(raised.value) or value == 7
    assert not emulator.requests


def test_boto3_names_are_accepted() -> None:
    """In both forms, and `None` leaves the model's field."""
    assert (
        sagemaker_headers(CALL)
        == HEADERS
        == sagemaker_headers({"".join(map(str.title, name.split("_"))): value for name, value in CALL.items()})
    )
    assert {} == sagemaker_headers({"target_variant": None, "temperature": 1})


@pytest.mark.parametrize("cls", [SagemakerEndpointEmbeddings, SageMakerEmbedding, SagemakerEndpointRerank])
def test_hooks_receive_it_where_the_result_is_a_list_of_numbers(emulator: Emulator, cls: Any) -> None:
    """`Completed.response.metadata.service`."""
    events: list[CallEvent] = []
    reranks = cls is SagemakerEndpointRerank
    model = cls(**fields(emulator, hooks=(events.append,), **({"dialect": "rerank"} if reranks else {})))
    model.rerank(["a", "b"], "q") if reranks else model._get_text_embedding("a") if cls is SageMakerEmbedding else (
        model.embed_query("a")
    )

    (completed,) = [event for event in events if isinstance(event, Completed)]
    assert "AllTraffic" == completed.response.metadata.service["InvokedProductionVariant"]


def test_the_partial_response_of_an_error_has_it(emulator: Emulator) -> None:
    """A stream that failed names the variant that failed."""
    emulator.always(Fault("exception_frame", after=3))
    with pytest.raises(errors.StreamFailure) as raised:
        list(ChatSagemakerEndpoint(**fields(emulator)).stream("Hi"))

    assert raised.value.partial is not None
    assert "AllTraffic" == raised.value.partial.metadata.service["InvokedProductionVariant"]
    assert "AllTraffic" == raised.value.response.json()["partial"]["service"]["InvokedProductionVariant"]


def test_other_platforms_report_nothing(emulator: Emulator) -> None:
    """There is no event beside those of the model."""
    from langchain_mdstream import ChatOCIModelDeployment  # noqa: PLC0415

    message = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none").invoke("Hi", target_variant="blue")

    assert not [name for name in message.response_metadata if name[0].isupper()]
    assert "blue" == emulator.last.json["target_variant"]  # a parameter of the container, on other platforms
