"""Rate limits of the models: every class of both frameworks acquires them for each HTTP request."""

import asyncio
import pickle
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from _embedding_platforms import EMBEDDING, RANKING
from _llamaindex_embeddings import embedding_at, llm_at, reranker_at
from _platforms import PLATFORM_CASES, PlatformCase, emulator, shared_emulator
from langchain_core.documents import Document
from langchain_core.rate_limiters import BaseRateLimiter
from llama_index.core.rate_limiter import BaseRateLimiter as LlamaIndexRateLimiter
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_mdstream as langchain
from mdstream_core import Call, OCIModelDeployment, OpenAIChat, RateLimit, Retry, Service, Timeout
from mdstream_core.attempt import Attempt
from mdstream_core.auth import BearerSigner
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import RateLimited, RateLimitTimeout, StreamFailure, StreamInterrupted
from mdstream_core.hooks import Failed, RateLimitWaited
from mdstream_core.http import Request
from mdstream_core.rate_limit import CallLimits, rate_limited
from mdstream_core.transport.timeouts import TimeoutBudget

__all__ = ["emulator", "shared_emulator"]

_CHAT = {
    "oci-model-deployment": langchain.ChatOCIModelDeployment,
    "oci-genai": langchain.ChatOCIGenAI,
    "sagemaker": langchain.ChatSagemakerEndpoint,
    "modelarts": langchain.ChatModelArts,
    "modelarts-websocket": langchain.ChatModelArts,
    "modelarts-maas": langchain.ChatModelArts,
}
_LLMS = {
    "oci-model-deployment": langchain.OCIModelDeploymentLLM,
    "oci-genai": langchain.OCIGenAI,
    "sagemaker": langchain.SagemakerEndpoint,
    "modelarts": langchain.ModelArtsLLM,
    "modelarts-maas": langchain.ModelArtsLLM,
}
_EMBEDDINGS = {
    "oci-model-deployment": langchain.OCIModelDeploymentEmbeddings,
    "oci-genai": langchain.OCIGenAIEmbeddings,
    "sagemaker": langchain.SagemakerEndpointEmbeddings,
    "modelarts": langchain.ModelArtsEmbeddings,
    "modelarts-maas": langchain.ModelArtsEmbeddings,
}
_RERANKERS = {
    "oci-model-deployment": langchain.OCIModelDeploymentRerank,
    "oci-genai": langchain.OCIGenAIRerank,
    "sagemaker": langchain.SagemakerEndpointRerank,
    "modelarts": langchain.ModelArtsRerank,
    "modelarts-maas": langchain.ModelArtsRerank,
}

#: The embedding models whose API format is not found out by a first request.
ONE_REQUEST = {name: case for name, case in EMBEDDING.items() if name not in ("SageMaker JumpStart", "SageMaker vLLM")}

DOCUMENTS = [Document("Rome is in Italy."), Document("Paris is in France.")]
NODES = [NodeWithScore(node=TextNode(text=document.page_content)) for document in DOCUMENTS]


async def _last(stream: Any) -> Any:
    return [item async for item in stream]


async def _allm(call: Any) -> Any:
    return await _last(await call)


#: Each kind of model: how it is made from the fields of a platform, its cases, and its sync and async calls.
KINDS: dict[str, tuple[Callable[..., Any], dict[str, PlatformCase], dict[str, Callable[[Any], Any]]]] = {
    "LangChain chat": (
        lambda case, emulator, **options: _CHAT[case.kind](**{**case.fields(emulator), **options}),
        PLATFORM_CASES,
        {
            "invoke": lambda model: model.invoke("Hi"),
            "stream": lambda model: list(model.stream("Hi")),
            "ainvoke": lambda model: model.ainvoke("Hi"),
            "astream": lambda model: _last(model.astream("Hi")),
        },
    ),
    "LangChain completion": (
        lambda case, emulator, **options: _LLMS[case.kind](**{**case.fields(emulator), **options}),
        {name: case for name, case in PLATFORM_CASES.items() if name in ("OCI model deployment", "SageMaker vLLM", "MaaS")},
        {
            "invoke": lambda model: model.invoke("Hi"),
            "stream": lambda model: list(model.stream("Hi")),
            "ainvoke": lambda model: model.ainvoke("Hi"),
            "astream": lambda model: _last(model.astream("Hi")),
        },
    ),
    "LangChain embeddings": (
        lambda case, emulator, **options: _EMBEDDINGS[case.kind](**{**case.fields(emulator), **options}),
        ONE_REQUEST,
        {
            "embed_query": lambda model: model.embed_query("Hi"),
            "embed_documents": lambda model: model.embed_documents(["Hi"]),
            "aembed_query": lambda model: model.aembed_query("Hi"),
            "aembed_documents": lambda model: model.aembed_documents(["Hi"]),
        },
    ),
    "LangChain reranker": (
        lambda case, emulator, **options: _RERANKERS[case.kind](**{**case.fields(emulator), **options}),
        RANKING,
        {
            "compress_documents": lambda model: model.compress_documents(DOCUMENTS, "Rome?"),
            "acompress_documents": lambda model: model.acompress_documents(DOCUMENTS, "Rome?"),
        },
    ),
    "LlamaIndex LLM": (
        lambda case, emulator, **options: llm_at(emulator, case, **options),
        PLATFORM_CASES,
        {
            "complete": lambda model: model.complete("Hi"),
            "stream_complete": lambda model: list(model.stream_complete("Hi")),
            "acomplete": lambda model: model.acomplete("Hi"),
            "astream_complete": lambda model: _allm(model.astream_complete("Hi")),
        },
    ),
    "LlamaIndex embeddings": (
        lambda case, emulator, **options: embedding_at(emulator, case, **options),
        ONE_REQUEST,
        {
            "get_query_embedding": lambda model: model.get_query_embedding("Hi"),
            "get_text_embedding_batch": lambda model: model.get_text_embedding_batch(["Hi"]),
            "embed": lambda model: model.embed(["Hi"]),
            "aget_query_embedding": lambda model: model.aget_query_embedding("Hi"),
            "aget_text_embedding_batch": lambda model: model.aget_text_embedding_batch(["Hi"]),
            "aembed": lambda model: model.aembed(["Hi"]),
        },
    ),
    "LlamaIndex reranker": (
        lambda case, emulator, **options: reranker_at(emulator, case, **options),
        RANKING,
        {
            "postprocess_nodes": lambda model: model.postprocess_nodes(NODES, query_str="Rome?"),
            "apostprocess_nodes": lambda model: model.apostprocess_nodes(NODES, query_str="Rome?"),
        },
    ),
}  # fmt: skip

EACH = {
    f"{kind} {name} {call}": (build, case, send)
    for kind, (build, cases, calls) in KINDS.items()
    for name, case in cases.items()
    for call, send in calls.items()
}
ONE_PLATFORM = {name: values for name, values in EACH.items() if values[1].kind == "oci-model-deployment" and not values[1].options}  # fmt: skip


def run(send: Callable[[Any], Any], model: Any) -> Any:
    """Call a model, and wait for the result if the call is asynchronous."""
    result = send(model)
    return asyncio.run(_awaited(result)) if isinstance(result, Coroutine) else result


async def _awaited(result: Any) -> Any:
    return await result


class Counting(BaseRateLimiter, LlamaIndexRateLimiter):
    """A rate limiter of both frameworks that counts."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, *_: Any, **__: Any) -> bool:
        self.count += 1
        return True

    async def aacquire(self, *_: Any, **__: Any) -> bool:
        return self.acquire()

    async def async_acquire(self, *_: Any, **__: Any) -> None:
        self.acquire()


@pytest.mark.parametrize(("build", "case", "send"), EACH.values(), ids=EACH)
def test_each_request_acquires_the_rate_limit(build: Any, case: PlatformCase, send: Any, emulator: Emulator) -> None:
    """The second one would have to wait for an hour, and is not sent."""
    limit = RateLimit(1 / 3600, max_wait=0.01)
    model = build(case, emulator, rate_limit=limit)
    model_of_others = build(case, emulator, rate_limit=pickle.loads(pickle.dumps(limit)))
    assert run(send, model)
    with pytest.raises(RateLimitTimeout, match=r"allowed no request within 0\.01 s"):
        run(send, model_of_others)

    assert 1 == len(emulator.requests)


@pytest.mark.parametrize(("build", "case", "send"), ONE_PLATFORM.values(), ids=ONE_PLATFORM)
def test_each_attempt_acquires_the_rate_limit(build: Any, case: PlatformCase, send: Any, emulator: Emulator) -> None:
    """A retry as well."""
    emulator.always(Fault("refuse", "lb_bandwidth", retry_after="0"))
    model = build(case, emulator, rate_limit=RateLimit(1 / 3600, max_wait=0.01), max_retries=3)
    with pytest.raises(RateLimitTimeout):
        run(send, model)

    assert 1 == len(emulator.requests)


@pytest.mark.parametrize(("build", "case", "send"), ONE_PLATFORM.values(), ids=ONE_PLATFORM)
def test_each_attempt_acquires_the_rate_limiter_of_the_framework(
    build: Any, case: PlatformCase, send: Any, emulator: Emulator
) -> None:
    """Two 429s: three requests, and three acquisitions, not one or four."""
    fault = Fault("refuse", "lb_bandwidth", retry_after="0")
    emulator.script(fault, fault)
    limiter = Counting()
    model = build(case, emulator, rate_limiter=limiter, max_retries=3)
    assert run(send, model)

    assert (3, 3) == (len(emulator.requests), limiter.count)
    assert model.rate_limiter is limiter


TEXTS = [f"text {index}" for index in range(8)]
BATCHES = {
    "LangChain embed_documents": ("LangChain embeddings", lambda model: model.embed_documents(TEXTS)),
    "LangChain aembed_documents": ("LangChain embeddings", lambda model: model.aembed_documents(TEXTS)),
    "LlamaIndex batch": ("LlamaIndex embeddings", lambda model: model.get_text_embedding_batch(TEXTS)),
    "LlamaIndex abatch": ("LlamaIndex embeddings", lambda model: model.aget_text_embedding_batch(TEXTS)),
    "LlamaIndex embed": ("LlamaIndex embeddings", lambda model: model.embed(TEXTS)),
    "LlamaIndex aembed": ("LlamaIndex embeddings", lambda model: model.aembed(TEXTS)),
}


@pytest.mark.parametrize(("kind", "send"), BATCHES.values(), ids=BATCHES)
def test_each_batch_acquires_the_rate_limiter(kind: str, send: Any, emulator: Emulator) -> None:
    """Eight texts in four requests."""
    limiter = Counting()
    model = KINDS[kind][0](EMBEDDING["OCI model deployment, vLLM"], emulator, rate_limiter=limiter, batch_size=2)
    run(send, model)

    assert (4, 4) == (len(emulator.requests), limiter.count)


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_pickled_with_their_limit(kind: str, emulator: Emulator, tmp_path: Path) -> None:
    """It is what the workers of an engine share; the rate limiter of a framework is not pickled."""
    build, cases, _ = KINDS[kind]
    limit = RateLimit(5, store=f"file://{tmp_path}", key="k")
    model = build(next(iter(cases.values())), emulator, rate_limit=limit, rate_limiter=Counting())
    loaded = pickle.loads(pickle.dumps(model))

    assert limit == loaded.rate_limit
    assert None is loaded.rate_limiter
    assert "rate_limit" in repr(model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["rate_limit"])
def test_another_type_is_rejected(kind: str, name: str, emulator: Emulator) -> None:
    """At construction."""
    build, cases, _ = KINDS[kind]
    with pytest.raises(ValueError, match=name):
        build(next(iter(cases.values())), emulator, **{name: 142})


@pytest.mark.parametrize(("build", "case", "send"), ONE_PLATFORM.values(), ids=ONE_PLATFORM)
def test_a_rejected_request_pauses_all_that_share_the_limit(
    build: Any, case: PlatformCase, send: Any, emulator: Emulator
) -> None:
    """Until its `Retry-After`."""
    emulator.script(Fault("refuse", "lb_bandwidth", retry_after="30"))
    limit = RateLimit(1000, max_wait=0.01)
    with pytest.raises(RateLimited):
        run(send, build(case, emulator, rate_limit=limit, max_retries=0))
    with pytest.raises(RateLimitTimeout, match=r"may be sent in (2\d|30)\.\d s"):
        run(send, build(case, emulator, rate_limit=limit, max_retries=0))


def test_a_stream_that_ends_with_429_lowers_the_rate(emulator: Emulator) -> None:
    """The service has accepted the request, and rejects it in its stream."""
    event = b'data: {"error":{"message":"Too many requests","type":"rate_limit","code":429}}\n\n'
    emulator.script(Fault("insert", after=1, data=event))
    limit = RateLimit(1000)
    with pytest.raises(StreamFailure):
        list(llm_at(emulator, rate_limit=limit).stream_complete("Hi"))
    grant = limit.acquire()

    assert (
        limit._get_limiter()._store._store.reserve(limit._limits, tokens=0.0, correction=0.0, max_wait=1.0).rate < 1000
    ), grant


def test_without_adaptive_nobody_else_is_slowed_down(emulator: Emulator) -> None:
    """The limit is what was configured."""
    emulator.script(Fault("refuse", "lb_bandwidth", retry_after="30"))
    limit = RateLimit(1000, max_wait=0.01, adaptive=False)
    with pytest.raises(RateLimited):
        llm_at(emulator, rate_limit=limit).complete("Hi")

    assert llm_at(emulator, rate_limit=limit).complete("Hi").text


MESSAGES = {"messages": [{"role": "user", "content": "How long is the Nile?"}], "max_tokens": 100}


def limited_call(limit: RateLimit, params: dict[str, Any] = MESSAGES, **options: Any) -> Call:
    limits = CallLimits(limit, None, acquired=False, params=params)
    return Call(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), params, rate_limits=limits, **options)


def test_rejections_of_a_limited_call_are_no_retries() -> None:
    """They wait their turn at the lowered rate, ten times at most; other failures are counted as ever."""
    call = limited_call(RateLimit(1000), retry=Retry(2))
    attempt = call.create_attempt()
    delays = [call.handle_failure(attempt, RateLimited("x")) for _ in range(12)]

    assert all(delay <= 4.0 for delay in delays)
    with pytest.raises(RateLimited):
        call.handle_failure(attempt, RateLimited("x"))


def test_without_retries_a_rejection_is_final() -> None:
    """`max_retries=0` sends one request."""
    call = limited_call(RateLimit(1000), retry=Retry(0))
    with pytest.raises(RateLimited):
        call.handle_failure(call.create_attempt(), RateLimited("x"))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_continuation_that_may_not_be_sent_loses_nothing(is_async: bool, emulator: Emulator) -> None:
    """The error is that of the interrupted stream, with its output."""
    emulator.script(Fault("cut", after=3))
    chat = langchain.ChatOCIModelDeployment(
        endpoint=emulator.endpoint, auth_type="none", resume=True, rate_limit=RateLimit(1 / 3600, max_wait=0.01)
    )
    with pytest.raises(StreamInterrupted) as raised:
        run(lambda model: _last(model.astream("Hi")) if is_async else list(model.stream("Hi")), chat)

    assert raised.value.partial.text
    assert isinstance(raised.value.__cause__, StreamInterrupted | RateLimitTimeout)
    assert 1 == len(emulator.requests)


class SlowLimiter:
    """A framework's limiter that waits for half a second."""

    def acquire(self) -> None:
        time.sleep(0.5)

    async def aacquire(self) -> None:
        await asyncio.sleep(0.5)


def test_the_wait_is_not_part_of_the_total_timeout() -> None:
    """It has a limit of its own."""
    limits = CallLimits(None, SlowLimiter(), acquired=False, params={})
    call = Call(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), MESSAGES, rate_limits=limits)
    budget = TimeoutBudget(Timeout(total=100))
    before = budget.remaining
    with rate_limited(call.create_attempt(), budget):
        assert budget.remaining > before - 0.5


def test_hooks_receive_the_wait_and_the_failure() -> None:
    """In this order, and only if there was a wait."""
    events: list[Any] = []
    limits = CallLimits(RateLimit(1 / 3600, max_wait=0.01), SlowLimiter(), acquired=False, params={})
    service = Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), hooks=(events.append,), retry=Retry(0))
    call = service.call(OpenAIChat(), MESSAGES)
    call.rate_limits = limits
    with pytest.raises(Exception, match="refused"):
        service.client.complete(call)

    (waited,) = (event for event in events if isinstance(event, RateLimitWaited))
    assert waited.seconds >= 0.5
    call = service.call(OpenAIChat(), MESSAGES)
    call.rate_limits = limits
    limits._rate_limiter = None
    with pytest.raises(RateLimitTimeout):
        service.client.complete(call)
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, RateLimitTimeout)


def test_the_limit_is_acquired_before_the_request_is_signed(emulator: Emulator) -> None:
    """The date of a signature is that of the request, however long it has waited."""
    order: list[str] = []

    class Limiter:
        def acquire(self) -> None:
            order.append("acquire")

        async def aacquire(self) -> None:
            order.append("acquire")

    class Signer(BearerSigner):
        def sign(self, request: Request) -> Request:
            order.append("sign")
            return super().sign(request)

    service = Service(OCIModelDeployment(emulator.endpoint), auth=Signer("key"), rate_limiter=Limiter())
    service.client.complete(service.call(OpenAIChat(), MESSAGES))
    asyncio.run(service.async_client.complete(service.call(OpenAIChat(), MESSAGES)))

    assert ["acquire", "sign"] * 2 == order


def token_wait(limit: RateLimit) -> float:
    """How long the next request of `MESSAGES` would have to wait."""
    limit.max_wait = 0.01
    try:
        limit.acquire(MESSAGES)
    except RateLimitTimeout as error:
        return float(str(error).partition(" sent in ")[2].partition(" s ")[0])
    return 0.0


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("name", ["OCI model deployment", "OCI GenAI GENERIC", "SageMaker vLLM", "ModelArts"])
def test_tokens_are_estimated_and_then_corrected(name: str, is_async: bool, emulator: Emulator) -> None:
    """One token an hour: what a request has used is what the next one waits for."""
    limit = RateLimit(tokens_per_minute=1 / 60)
    llm = llm_at(emulator, PLATFORM_CASES[name], rate_limit=limit, max_tokens=5000)
    response = asyncio.run(llm.acomplete("Hi")) if is_async else llm.complete("Hi")
    usage = response.raw["usage"] if isinstance(response.raw, dict) else response.raw.usage
    used = usage.total if hasattr(usage, "total") else usage["total_tokens"]

    assert used * 3600 - 10 == pytest.approx(token_wait(limit), abs=60)


def test_a_rejected_request_has_used_no_tokens(emulator: Emulator) -> None:
    """Its estimate is returned."""
    emulator.script(Fault("refuse", "lb_bandwidth"))
    limit = RateLimit(tokens_per_minute=1 / 60)
    with pytest.raises(RateLimited):
        llm_at(emulator, rate_limit=limit, max_tokens=5000).complete("Hi")

    assert 0.0 == token_wait(limit)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"messages": [{"role": "user", "content": "x" * 400}], "max_tokens": 50}, 151),
        ({"prompt": "x" * 40, "max_completion_tokens": 7}, 17),
        ({"prompt": "x" * 40}, 10 + 256),
        ({"input": ["x" * 40, "x" * 80]}, 30),
        ({"messages": [{"content": [{"image_url": {"url": "data:image/png;base64," + "A" * 9999}}]}], "max_tokens": 1}, 1),
    ],
)  # fmt: skip
def test_estimates(params: dict[str, Any], expected: int) -> None:
    """A token for four characters, and the limit of the response or its usual length; images count nothing."""
    assert expected == RateLimit(tokens_per_minute=1000)._estimate_tokens(params)


def test_attempts_of_calls_without_limits_have_none() -> None:
    """And cost nothing."""
    call = Call(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), OpenAIChat(), MESSAGES)
    attempt = call.create_attempt()

    assert isinstance(attempt, Attempt)
    assert None is attempt.rate_limits
