"""Traces of LangChain and LlamaIndex models on every platform, also beside the frameworks' tracers."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from _langchain import SECRET
from _llamaindex_embeddings import embedding_at
from _llamaindex_platforms import ACCOUNTS
from _llamaindex_platforms import PLATFORM_CASES as LLAMAINDEX
from _llamaindex_platforms import PlatformCase as LlamaPlace
from _platforms import AWS, PLATFORM_CASES, PlatformCase, emulator, shared_emulator
from _stream_endings import OUTPUT, REQUEST
from _telemetry import Backend
from langchain_core.callbacks import BaseCallbackHandler
from llama_index.core.llms import ChatMessage
from opentelemetry.trace import StatusCode

from langchain_mdstream import ChatOCIModelDeployment, OCIModelDeploymentEmbeddings, OCIModelDeploymentLLM
from llamaindex_mdstream import OCIDataScience
from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.otel import instrument, uninstrument
from tests.test_langchain_platforms import chat_at

__all__ = ["emulator", "shared_emulator"]  # fixtures

MESSAGES = [ChatMessage(REQUEST)]

#: Provider name of each platform.
PROVIDERS = {
    "oci-model-deployment": "oci.model_deployment",
    "oci-genai": "oci.generative_ai",
    "sagemaker": "aws.sagemaker",
    "modelarts": "huawei.modelarts",
    "modelarts-websocket": "huawei.modelarts",
    "modelarts-maas": "huawei.modelarts",
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Emulator]:
    """The emulator with the accounts of the LlamaIndex tests."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


async def aread(chat: Any, messages: Any = REQUEST) -> str:
    """Read a LangChain stream to its end."""
    return "".join([chunk.text async for chunk in chat.astream(messages)])


@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_langchain_on_every_platform(emulator: Emulator, platform_case: PlatformCase) -> None:
    """Each call is one span, sync and async, also if it fails, without credentials and content."""
    backend = Backend()
    chat = chat_at(platform_case, emulator, hooks=(backend.hook,), default_headers={"x-token": SECRET})
    chat.invoke(REQUEST)
    assert OUTPUT == "".join(chunk.text for chunk in chat.stream(REQUEST))
    assert OUTPUT == asyncio.run(aread(chat))
    whole = len(backend.ours)
    for ending in platform_case.endings.values():
        emulator.script(ending.fault)
        with pytest.raises(MDStreamError) as caught:
            list(chat.stream(REQUEST))
        failed = dict(backend.ours[-1].attributes or {})
        assert caught.value.request_id == failed.get("mdstream.request_id")
        assert caught.value.code == failed.get("mdstream.error.code")
        assert ending.error.__name__ == failed["error.type"]

    assert (3, 3 + len(platform_case.endings)) == (whole, len(backend.ours))
    for number, span in enumerate(backend.ours):
        seen = dict(span.attributes or {})
        assert ("chat", PROVIDERS[platform_case.kind]) == (seen["gen_ai.operation.name"], seen["gen_ai.provider.name"])
        assert (StatusCode.UNSET if number < whole else StatusCode.ERROR) == span.status.status_code
    assert ("stop",) == dict(backend.ours[1].attributes or {})["gen_ai.response.finish_reasons"]
    for words in ("Nile", "rivers", SECRET, *AWS.values()):
        assert words not in backend.everything()


@pytest.mark.parametrize("platform_case", LLAMAINDEX.values(), ids=LLAMAINDEX)
def test_llamaindex_on_every_platform(guarded: Emulator, platform_case: LlamaPlace) -> None:
    """Each call is one span, with a temporary error response and authentication."""
    backend = Backend()
    guarded.reset()
    llm = platform_case.build(guarded, hooks=(backend.hook,))
    guarded.script(platform_case.transient_error, None)
    assert str(llm.chat(MESSAGES).message.content).startswith("The Nile")

    async def read() -> None:
        async for _ in await llm.astream_chat(MESSAGES):
            pass

    asyncio.run(read())
    ending = next(iter(platform_case.endings.values()))
    guarded.script(ending.fault)
    with pytest.raises(MDStreamError):
        list(llm.stream_chat(MESSAGES))

    passed, healthy, broken = backend.ours
    assert ["mdstream.retry"] == [event.name for event in passed.events]
    assert (StatusCode.UNSET, StatusCode.ERROR) == (healthy.status.status_code, broken.status.status_code)
    assert ending.error.__name__ == dict(broken.attributes or {})["error.type"]
    for words in ("Nile", "rivers", "wJalr", "CODE", "KEY"):
        assert words not in backend.everything().replace("AKEMULATED", "")


def test_completions_are_text_completions(emulator: Emulator) -> None:
    """Completions of both frameworks have this operation name."""
    backend = Backend()
    OCIModelDeploymentLLM(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,)).invoke(REQUEST)  # type: ignore[arg-type]
    chat = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,), is_chat_model=False)
    chat.complete(REQUEST)

    assert {"text_completion odsc-llm"} == {span.name for span in backend.ours}
    assert "rivers" not in backend.everything()


async def test_fifty_tasks_have_their_own_parents(emulator: Emulator) -> None:
    """Of fifty concurrent calls each span is a child of its caller's span."""
    backend = Backend()
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,))
    tracer = backend.tracers.get_tracer("test")

    async def send_request(number: int) -> tuple[int, str]:
        with tracer.start_as_current_span(f"agent {number}") as above:
            await aread(chat, f"echo {number}")
            return above.get_span_context().span_id, f"agent {number}"

    requested = dict(await asyncio.gather(*(send_request(number) for number in range(50))))
    assert 50 == len(backend.ours)
    assert requested.keys() == {span.parent.span_id for span in backend.ours if span.parent}
    assert 50 == len({span.context.trace_id for span in backend.ours if span.context})


def test_fifty_threads_have_their_own_parents(emulator: Emulator) -> None:
    """Spans of threads with a context are children of their caller's span."""
    backend = Backend()
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,))
    tracer = backend.tracers.get_tracer("test")

    def send_request(number: int) -> int:
        with tracer.start_as_current_span(f"agent {number}") as above:
            list(chat.stream(f"echo {number}"))
            return above.get_span_context().span_id

    with ThreadPoolExecutor(10) as threads:
        requested = set(threads.map(send_request, range(50)))
    assert requested == {span.parent.span_id for span in backend.ours if span.parent}

    with tracer.start_as_current_span("batch") as above:
        chat.batch([REQUEST] * 5)
        ThreadPoolExecutor(1).submit(copy_context().run, chat.invoke, REQUEST).result()
    assert {above.get_span_context().span_id} == {span.parent.span_id for span in backend.ours[50:] if span.parent}


def test_embeddings_of_both_frameworks(emulator: Emulator) -> None:
    """Each request has a span below the caller's, from threads and tasks, without content."""
    backend = Backend()
    texts = [f"river number {number}" for number in range(40)]
    langchain = OCIModelDeploymentEmbeddings(
        endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,), batch_size=10, max_concurrency=4
    )
    llamaindex = embedding_at(emulator, hooks=(backend.hook,), embed_batch_size=10, num_workers=4)
    with backend.tracers.get_tracer("test").start_as_current_span("indexing") as above:
        langchain.embed_documents(texts)
        asyncio.run(langchain.aembed_documents(texts))
        llamaindex.get_text_embedding_batch(texts)

    assert 12 == len(backend.ours)
    assert {above.get_span_context().span_id} == {span.parent.span_id for span in backend.ours if span.parent}
    assert {10} == {(span.attributes or {})["mdstream.input.count"] for span in backend.ours}
    assert "river number" not in backend.everything()


@pytest.mark.parametrize("read", [1, 3])
async def test_closing_early_ends_the_spans(emulator: Emulator, read: int) -> None:
    """Breaks, closed generators and cancelled tasks end their spans."""
    backend = Backend()
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,))
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,))
    emulator.always(Fault("stall", after=6))
    stream, stream_chat = chat.stream(REQUEST), llm.stream_chat(MESSAGES)
    for _ in range(read):
        next(stream)
        next(stream_chat)
    stream.close()  # type: ignore[attr-defined]
    stream_chat.close()
    astream = await llm.astream_chat(MESSAGES)
    await anext(astream)
    await astream.aclose()
    task = asyncio.create_task(aread(chat))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert 4 == len(backend.ours)
    for span in backend.ours:
        assert (True, StatusCode.UNSET) == ((span.attributes or {})["mdstream.left"], span.status.status_code)


def test_instrument_covers_both_frameworks(emulator: Emulator) -> None:
    """Models that were created before are traced too."""
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none")
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")
    chat.invoke(REQUEST)
    backend = Backend()
    instrument(backend.tracers, backend.meters)
    try:
        chat.invoke(REQUEST)
        llm.chat(MESSAGES)
    finally:
        uninstrument()
    llm.chat(MESSAGES)

    assert 2 == len(backend.ours)


class Runs(BaseCallbackHandler):
    """Counts runs like LangChain's tracers."""

    def __init__(self) -> None:
        self.starts = 0

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Count."""
        self.starts += 1


def test_beside_langchains_tracer(emulator: Emulator) -> None:
    """LangChain records one run, we record one span."""
    backend, runs = Backend(), Runs()
    chat = ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,))
    list(chat.stream(REQUEST, config={"callbacks": [runs]}))

    assert (1, 1) == (runs.starts, len(backend.ours))


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_beside_openinference(emulator: Emulator, framework: str) -> None:
    """OpenInference's span has the kind LLM and the content; ours is in the same trace without content."""
    package = pytest.importorskip(f"openinference.instrumentation.{framework}", reason="OpenInference is not installed")
    kind = {"langchain": "LangChainInstrumentor", "llama_index": "LlamaIndexInstrumentor"}[framework]
    backend = Backend()
    instrumentor = getattr(package, kind)()
    instrumentor.instrument(tracer_provider=backend.tracers)
    try:
        with backend.tracers.get_tracer("test").start_as_current_span("request") as above:
            if framework == "langchain":
                list(
                    ChatOCIModelDeployment(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,)).stream(
                        REQUEST
                    )
                )
            else:
                list(
                    OCIDataScience(endpoint=emulator.endpoint, auth_type="none", hooks=(backend.hook,)).stream_chat(
                        MESSAGES
                    )
                )
    finally:
        instrumentor.uninstrument()

    kinds = [(span.attributes or {}).get("openinference.span.kind") for span in backend.spans]
    assert 1 == kinds.count("LLM")
    assert backend.only.context
    assert backend.only.context.trace_id == above.get_span_context().trace_id
    assert not [name for name in backend.seen if name.startswith(("llm.", "openinference."))]
