"""Asynchronous inference of SageMaker: queued requests, outputs and failures in S3, in both frameworks."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from _platforms import AWS, PLATFORM_CASES, emulator, shared_emulator
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode

from langchain_mdstream import (
    ChatSagemakerEndpoint,
    SagemakerEndpoint,
    SagemakerEndpointEmbeddings,
    SagemakerEndpointRerank,
)
from llamaindex_mdstream import SageMakerEmbedding, SageMakerLLM, SageMakerRerank
from mdstream_core import AsyncInference, errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.hooks import CallEvent, Completed, Failed, RequestSent
from mdstream_core.platforms import SageMaker

__all__ = ["emulator", "shared_emulator"]  # fixtures

HI = [ChatMessage("Hello")]


def fields(emulator: Emulator, inputs: str | None = "s3://inputs/prefix", **options: Any) -> dict[str, Any]:
    """Constructor arguments for the emulator."""
    names = ("poll_interval", "timeout", "delete_objects", "invocation_timeout", "request_ttl")
    job = {name: options.pop(name) for name in names if name in options}
    job = {"poll_interval": 0.02, "timeout": 20, **job}
    inference = AsyncInference(inputs, s3_endpoint_url=emulator.sagemaker.s3_endpoint_url, **job)
    base = PLATFORM_CASES["SageMaker vLLM"].fields(emulator)
    return {**base, "max_retries": 0, "async_inference": inference, **options}


async def _list(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text, id_=text)) for text in ("red", "green")]


async def _awaited(stream: Any) -> list[Any]:
    return [chunk async for chunk in await stream]


#: call: (class, function that sends a request and returns the output)
CALLS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "LangChain invoke": (ChatSagemakerEndpoint, lambda model: model.invoke("Hi").text),
    "LangChain ainvoke": (ChatSagemakerEndpoint, lambda model: asyncio.run(model.ainvoke("Hi")).text),
    "LangChain stream": (ChatSagemakerEndpoint, lambda model: "".join(c.text for c in model.stream("Hi"))),
    "LangChain astream": (
        ChatSagemakerEndpoint,
        lambda model: "".join(c.text for c in asyncio.run(_list(model.astream("Hi")))),
    ),
    "LangChain completion": (SagemakerEndpoint, lambda model: model.invoke("Hi")),
    "LangChain embeddings": (SagemakerEndpointEmbeddings, lambda model: model.embed_documents(["a", "b"])),
    "LangChain async embeddings": (
        SagemakerEndpointEmbeddings,
        lambda model: asyncio.run(model.aembed_documents(["a", "b"])),
    ),
    "LlamaIndex chat": (SageMakerLLM, lambda llm: llm.chat(HI).message.content),
    "LlamaIndex achat": (SageMakerLLM, lambda llm: asyncio.run(llm.achat(HI)).message.content),
    "LlamaIndex stream_chat": (SageMakerLLM, lambda llm: list(llm.stream_chat(HI))[-1].message.content),
    "LlamaIndex astream_chat": (
        SageMakerLLM,
        lambda llm: asyncio.run(_awaited(llm.astream_chat(HI)))[-1].message.content,
    ),
    "LlamaIndex embeddings": (SageMakerEmbedding, lambda model: model.get_text_embedding_batch(["a", "b"])),
    "LlamaIndex async embeddings": (
        SageMakerEmbedding,
        lambda model: asyncio.run(model.aget_text_embedding_batch(["a", "b"])),
    ),
    "LangChain reranker": (SagemakerEndpointRerank, lambda model: model.rerank(["red", "green"], "green")),
    "LangChain async reranker": (
        SagemakerEndpointRerank,
        lambda model: asyncio.run(model.arerank(["red", "green"], "green")),
    ),
    "LlamaIndex reranker": (
        SageMakerRerank,
        lambda model: [(node.id_, node.score) for node in model.postprocess_nodes(nodes(), query_str="green")],
    ),
    "LlamaIndex async reranker": (
        SageMakerRerank,
        lambda model: [
            (node.id_, node.score) for node in asyncio.run(model.apostprocess_nodes(nodes(), query_str="green"))
        ],
    ),
}

#: API formats, of which the emulated endpoint has several: detecting them takes another request.
_DIALECTS = {"Embedding": "openai-embeddings", "Rerank": "rerank"}
each_call = pytest.mark.parametrize(("cls", "send"), CALLS.values(), ids=CALLS)
chats = pytest.mark.parametrize(
    ("cls", "send"), [CALLS[name] for name in ("LangChain invoke", "LangChain ainvoke", "LlamaIndex achat")]
)


@pytest.mark.parametrize("inputs", ["s3://inputs/prefix", None], ids=["input in S3", "input in the request"])
@each_call
def test_the_output_is_that_of_real_time_inference(
    emulator: Emulator, cls: Any, send: Callable[[Any], Any], inputs: str | None
) -> None:
    """The same output, after a wait; the objects are kept."""
    options = fields(emulator, inputs)
    options |= next(({"dialect": name} for kind, name in _DIALECTS.items() if kind in cls.__name__), {})
    expected = send(cls(**{**options, "async_inference": None}))
    emulator.reset()
    emulator.sagemaker.objects.job_seconds = 0.1

    assert expected == send(cls(**options))
    methods = [request.method for request in emulator.requests if request.path.startswith("/s3/")]
    assert (["PUT", "GET", "GET"] if inputs else ["GET", "GET"]) == methods[: 3 if inputs else 2]
    assert (2 if inputs else 1) == len(emulator.sagemaker.objects.locations())
    (job,) = (request for request in emulator.requests if request.path.endswith("/async-invocations"))
    assert ("x-amzn-sagemaker-inputlocation" in job.headers) == (inputs is not None)
    assert bool(job.body) == (inputs is None)


@chats
def test_objects_are_deleted_on_request(emulator: Emulator, cls: Any, send: Callable[[Any], Any]) -> None:
    """After the output was read."""
    assert send(cls(**fields(emulator, delete_objects=True)))
    assert [] == emulator.sagemaker.objects.locations()


@chats
def test_options_are_headers(emulator: Emulator, cls: Any, send: Callable[[Any], Any]) -> None:
    """Under the names of `InvokeEndpointAsync`."""
    send(cls(**fields(emulator, invocation_timeout=900, request_ttl=3600, inference_id="i-1", custom_attributes="a=1")))
    (job,) = (request for request in emulator.requests if request.path.endswith("/async-invocations"))
    prefix = "x-amzn-sagemaker-"
    sent = {name.removeprefix(prefix): value for name, value in job.headers.items() if name.startswith(prefix)}

    assert ("900", "3600", "i-1", "a=1", "application/json") == tuple(
        sent[name]
        for name in (
            "invocationtimeoutseconds", "requestttlseconds", "inference-id", "custom-attributes", "content-type",
        )
    )  # fmt: skip


def test_the_response_metadata_names_the_output(emulator: Emulator) -> None:
    """`OutputLocation`, as boto3 returns it."""
    message = ChatSagemakerEndpoint(**fields(emulator)).invoke("Hi")

    assert message.response_metadata["OutputLocation"] in emulator.sagemaker.objects.locations()
    assert "application/json" == message.response_metadata["ContentType"]


@chats
def test_a_failure_object_is_an_error(emulator: Emulator, cls: Any, send: Callable[[Any], Any]) -> None:
    """With the message of the container; the job is not sent again."""
    events: list[CallEvent] = []
    model = cls(**fields(emulator, max_retries=2, hooks=(events.append,)), model_kwargs={"n": "many"})
    with pytest.raises(errors.ServiceError) as raised:
        send(model)

    assert "ModelError" == raised.value.code
    assert not raised.value.retryable
    assert 1 == sum(request.path.endswith("/async-invocations") for request in emulator.requests)
    assert [RequestSent, Failed] == [type(events[0]), type(events[-1])]


@chats
def test_a_job_that_takes_too_long_is_no_success(emulator: Emulator, cls: Any, send: Callable[[Any], Any]) -> None:
    """The error names the place of the output, and the job is not sent again."""
    emulator.sagemaker.objects.job_seconds = 60
    started = time.monotonic()
    with pytest.raises(errors.StreamStalled, match="its output will be at s3://emulated/outputs/") as raised:
        send(cls(**fields(emulator, timeout=0.3, max_retries=2)))

    assert 30 > time.monotonic() - started
    assert not raised.value.retryable
    assert raised.value.partial is None
    assert 1 == sum(request.path.endswith("/async-invocations") for request in emulator.requests)


def test_a_rejected_input_is_an_error(emulator: Emulator) -> None:
    """The bucket's rules apply; nothing was queued."""
    with Emulator(aws_keys={"AKIDEXAMPLE": "another secret"}) as other:
        options = fields(emulator)
        job = AsyncInference("s3://inputs/prefix", s3_endpoint_url=other.sagemaker.s3_endpoint_url)
        with pytest.raises(errors.AuthenticationError, match="SignatureDoesNotMatch"):
            ChatSagemakerEndpoint(**{**options, "async_inference": job}).invoke("Hi")
    assert not emulator.requests


def test_a_failed_poll_is_repeated(emulator: Emulator) -> None:
    """A lost connection or an error of S3 while the job runs does not end the wait."""
    emulator.sagemaker.objects.job_seconds = 0.1
    emulator.script(None, None, Fault("reset"), Fault("refuse", status=503))

    assert ChatSagemakerEndpoint(**fields(emulator)).invoke("Hi").text


def _wait_for_polls(emulator: Emulator) -> None:
    while sum(request.path.startswith("/s3/emulated") for request in emulator.requests) < 2:
        time.sleep(0.01)


def test_cancelling_ends_the_wait(emulator: Emulator) -> None:
    """A cancelled task sends no further request."""
    emulator.sagemaker.objects.job_seconds = 60

    async def main() -> None:
        task = asyncio.create_task(ChatSagemakerEndpoint(**fields(emulator)).ainvoke("Hi"))
        await asyncio.to_thread(_wait_for_polls, emulator)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    count = len(emulator.requests)
    time.sleep(0.1)
    assert count == len(emulator.requests)


def test_threads_share_a_model(emulator: Emulator) -> None:
    """Each has a job of its own."""
    model = ChatSagemakerEndpoint(**fields(emulator))
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(model.invoke("Hi").text)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 4 == len(texts)
    assert 1 == len(set(texts))


def test_hooks_see_one_response(emulator: Emulator) -> None:
    """The exchange is one call."""
    events: list[CallEvent] = []
    ChatSagemakerEndpoint(**fields(emulator, hooks=(events.append,))).invoke("Hi")

    assert 1 == sum(isinstance(event, Completed) for event in events)


INVALID: dict[str, dict[str, Any]] = {
    "no location": {"input_location": "https://bucket/x"},
    "an invalid bucket": {"input_location": "s3://UPPER/x"},
    "no interval": {"poll_interval": 0},
    "an endless wait": {"timeout": float("inf")},
    "a long invocation": {"invocation_timeout": 3601},
    "a short time in the queue": {"request_ttl": 59},
    "no URL": {"s3_endpoint_url": "s3.amazonaws.com"},
}


@pytest.mark.parametrize("options", INVALID.values(), ids=INVALID)
def test_invalid_options_are_named(options: dict[str, Any]) -> None:
    """At construction."""
    (name,) = options
    with pytest.raises(ValueError, match=f"async_inference.{name}"):
        AsyncInference(**options)


def test_what_the_operation_does_not_support(emulator: Emulator) -> None:
    """`InvokeEndpointAsync` has no targets; a large payload needs S3; S3 needs a region."""
    with pytest.raises(errors.InvalidRequest, match="asynchronous inference does not support target_variant"):
        ChatSagemakerEndpoint(**fields(emulator)).invoke("Hi", target_variant="blue")
    with pytest.raises(errors.InvalidRequest, match="input_location"):
        ChatSagemakerEndpoint(**fields(emulator, None)).invoke("x" * 128_000)
    with pytest.raises(ValueError, match="region_name is missing"):
        SageMaker("e", endpoint_url="http://127.0.0.1:1", async_inference=AsyncInference())
    assert not emulator.requests


@pytest.fixture
def boto3_client(emulator: Emulator) -> Callable[[str, str], Any]:
    """boto3's clients, as reference for the emulator."""
    boto3 = pytest.importorskip("boto3", reason="the reference client of S3")
    config = pytest.importorskip("botocore.config").Config(
        s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}
    )
    ((key, secret),) = AWS.items()

    def build(service: str, url: str) -> Any:
        return boto3.client(
            service, region_name="us-east-1", endpoint_url=url, config=config,
            aws_access_key_id=key, aws_secret_access_key=secret,
        )  # fmt: skip

    return build


def test_boto3_reads_what_the_emulator_writes(emulator: Emulator, boto3_client: Any) -> None:
    """boto3's own S3 and SageMaker clients judge the emulator: signatures, headers, objects, errors."""
    s3 = boto3_client("s3", emulator.sagemaker.s3_endpoint_url)
    runtime = boto3_client("sagemaker-runtime", emulator.sagemaker.endpoint_url)
    payload = json.dumps({"messages": [{"role": "user", "content": "Hello"}]})
    s3.put_object(Bucket="inputs", Key="a b/ü.json", Body=payload.encode(), ContentType="application/json")
    accepted = runtime.invoke_endpoint_async(
        EndpointName="emulated", Body=payload.encode(), ContentType="application/json"
    )
    bucket, _, key = accepted["OutputLocation"].removeprefix("s3://").partition("/")
    document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    assert "Hello! How can I help you today?" == document["choices"][0]["message"]["content"]
    assert payload.encode() == s3.get_object(Bucket="inputs", Key="a b/ü.json")["Body"].read()
    assert accepted["FailureLocation"].startswith("s3://emulated/failures/")
    assert accepted["InferenceId"]
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key=key)


def test_boto3_and_this_package_share_objects(emulator: Emulator, boto3_client: Any) -> None:
    """A job of this package leaves its output where boto3 finds it."""
    message = ChatSagemakerEndpoint(**fields(emulator)).invoke("Hi")
    bucket, _, key = message.response_metadata["OutputLocation"].removeprefix("s3://").partition("/")
    s3 = boto3_client("s3", emulator.sagemaker.s3_endpoint_url)
    document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    assert message.text == document["choices"][0]["message"]["content"]
