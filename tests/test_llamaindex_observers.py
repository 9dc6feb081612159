"""Events as OpenInference, the token counter, the debug handler and the span handler receive them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from _corpus import QUERIES, passages
from _llamaindex_embeddings import embedding_at, llm_at
from _llamaindex_platforms import ACCOUNTS, ALL, FEW, PLATFORM_CASES, STREAMS, PlatformCase, Read
from _platforms import AWS
from _stream_endings import OUTPUT, REQUEST, Ending
from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import (
    CallbackManager,
    CBEventType,
    EventPayload,
    LlamaDebugHandler,
    TokenCountingHandler,
)
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import TextNode
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from llamaindex_mdstream import MDStreamLLM
from mdstream_core import MDStreamError, errors
from mdstream_core.emulator import Emulator, Fault

MESSAGES = [ChatMessage(REQUEST)]

each_platform = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
each_method = pytest.mark.parametrize("read", ALL.values(), ids=ALL)
each_stream_method = pytest.mark.parametrize("read", STREAMS.values(), ids=STREAMS)
few = pytest.mark.parametrize(("platform_case", "ending"), FEW.values(), ids=FEW)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**{**ACCOUNTS, "aws_keys": {**ACCOUNTS["aws_keys"], **AWS}}) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def platform_case() -> PlatformCase:
    """The platform of tests that do not parametrize it."""
    return PLATFORM_CASES["deployment"]


@pytest.fixture
def llm(emulator: Emulator, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model without retries."""
    with platform_case.build(emulator, max_retries=0) as model:
        yield model


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """The spans exported by OpenInference."""
    exporter, provider, instrumentor = InMemorySpanExporter(), TracerProvider(), LlamaIndexInstrumentor()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def request_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """The spans of requests, without the one that LlamaIndex creates for building a request with tools."""
    kind, llm = SpanAttributes.OPENINFERENCE_SPAN_KIND, OpenInferenceSpanKindValues.LLM.value
    spans = exporter.get_finished_spans()
    return [
        span for span in spans if (span.attributes or {}).get(kind) == llm and not span.name.endswith("_with_tools")
    ]


def recorded_exceptions(span: ReadableSpan) -> list[tuple[Any, Any]]:
    """Class and message of the exceptions of a span."""
    facts = [event.attributes or {} for event in span.events if event.name == "exception"]
    return [(fact["exception.type"], fact["exception.message"]) for fact in facts]


@each_method
@each_platform
def test_a_response_is_one_span(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, read: Read
) -> None:
    """The span has output, token counts, model name and finish reason."""
    got: list[Any] = []
    read(llm, got)
    (span,) = request_spans(exported)
    seen, usage = span.attributes or {}, got[-1].raw["usage"]

    assert span.status.is_ok
    assert OUTPUT in str(seen[SpanAttributes.OUTPUT_VALUE])
    assert llm.metadata.model_name == seen[SpanAttributes.LLM_MODEL_NAME]
    assert "stop" == seen[SpanAttributes.LLM_FINISH_REASON]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        seen[SpanAttributes.LLM_TOKEN_COUNT_PROMPT],
        seen[SpanAttributes.LLM_TOKEN_COUNT_COMPLETION],
        seen[SpanAttributes.LLM_TOKEN_COUNT_TOTAL],
    )


@each_stream_method
@few
def test_a_failed_stream_is_one_span_with_its_error(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, ending: Ending, read: Read
) -> None:
    """OpenInference shows no output of failed streams; the partial response is on the exception."""
    emulator.script(ending.fault)
    with pytest.raises(MDStreamError) as caught:
        read(llm, [])
    (span,) = request_spans(exported)
    kind = type(caught.value)

    assert "ERROR" == span.status.status_code.name
    assert f"{kind.__name__}: {caught.value}" == span.status.description
    assert [(f"{kind.__module__}.{kind.__name__}", str(caught.value))] == recorded_exceptions(span)


@each_method
@each_platform
def test_an_error_response_is_one_span_with_its_error(
    emulator: Emulator, llm: MDStreamLLM, platform_case: PlatformCase, exported: InMemorySpanExporter, read: Read
) -> None:
    """The error is recorded once in the span."""
    emulator.script(platform_case.permanent_error)
    with pytest.raises(errors.ServiceError) as caught:
        read(llm, [])
    (span,) = request_spans(exported)

    assert "ERROR" == span.status.status_code.name
    assert [str(caught.value)] == [message for _, message in recorded_exceptions(span)]


@pytest.mark.parametrize("count", [0, 2])
async def test_closing_early_is_no_error(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, count: int
) -> None:
    """The span ends without error, with the partial response."""
    stream = llm.stream_chat(MESSAGES)
    for _ in range(count):
        next(stream)
    stream.close()
    awaited = await llm.astream_chat(MESSAGES)
    for _ in range(count):
        await anext(awaited)
    await awaited.aclose()

    assert 2 * [(True, "assistant: The Nile" if count else None)] == [
        (span.status.is_ok, (span.attributes or {}).get(SpanAttributes.OUTPUT_VALUE))
        for span in request_spans(exported)
    ]
    assert [] == [fact for span in request_spans(exported) for fact in recorded_exceptions(span)]
    await llm.aclose()


def test_a_failed_query_is_an_error_up_to_the_root_span(emulator: Emulator, exported: InMemorySpanExporter) -> None:
    """All spans up to the root have the error, sync and async."""
    index = VectorStoreIndex([TextNode(text=text) for text in passages()], embed_model=embedding_at(emulator))
    engine = index.as_query_engine(llm=llm_at(emulator), streaming=True)

    async def aread() -> None:
        async for _ in (await engine.aquery(next(iter(QUERIES)))).async_response_gen():
            pass

    for read in (lambda: str(engine.query(next(iter(QUERIES)))), lambda: asyncio.run(aread())):
        exported.clear()
        emulator.reset()
        emulator.script(None, Fault("cut", after=4))
        with pytest.raises(errors.StreamInterrupted):
            read()
        spans = exported.get_finished_spans()
        (root,) = [span for span in spans if span.parent is None]

        assert "ERROR" == root.status.status_code.name
        assert 1 == len([span for span in request_spans(exported) if not span.status.is_ok])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@each_platform
async def test_an_agent_is_a_tree_of_spans(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter
) -> None:
    """The tree has two requests and a tool call, and an error up to the root if the second request fails."""
    await FunctionAgent(llm=llm, tools=[add]).run("add(2, 3)")
    first, second = request_spans(exported)
    call = f"{SpanAttributes.LLM_OUTPUT_MESSAGES}.0.message.tool_calls.0.tool_call.function"

    assert "add" == (first.attributes or {})[f"{call}.name"]
    assert {"a": 2, "b": 3} == json.loads(str((first.attributes or {})[f"{call}.arguments"]))
    assert "assistant: The tool says: 5" == (second.attributes or {})[SpanAttributes.OUTPUT_VALUE]
    exported.clear()
    emulator.script(None, Fault("cut", after=2))
    with pytest.raises(errors.StreamInterrupted):
        await FunctionAgent(llm=llm, tools=[add]).run("add(2, 3)")
    (root,) = [span for span in exported.get_finished_spans() if span.parent is None]

    assert [True, False] == [span.status.is_ok for span in request_spans(exported)]
    assert "ERROR" == root.status.status_code.name
    await llm.aclose()


@each_stream_method
@each_platform
def test_handlers_of_llamaindex(emulator: Emulator, llm: MDStreamLLM, read: Read) -> None:
    """Complete, failed and closed streams have one event pair, one count and one completed span each."""
    counter, debug, spans = (
        TokenCountingHandler(str.split),
        LlamaDebugHandler(print_trace_on_end=False),
        SimpleSpanHandler(),
    )
    llm.callback_manager = CallbackManager([counter, debug])
    root = get_dispatcher()
    root.add_span_handler(spans)
    emulator.script(None, Fault("cut", after=3))
    try:
        read(llm, [])
        with pytest.raises(errors.StreamInterrupted) as caught:
            read(llm, [])
        with closing(llm.stream_chat(MESSAGES)) as stream:
            next(stream)
    finally:
        root.span_handlers.remove(spans)
    ends = [end.payload or {} for _, end in debug.get_event_pairs(CBEventType.LLM)]
    whole, broken, left = (end.get(EventPayload.RESPONSE) or end[EventPayload.COMPLETION] for end in ends)

    assert [None, caught.value, None] == [end.get(EventPayload.EXCEPTION) for end in ends]
    assert OUTPUT in str(whole)
    assert vars(caught.value)["partial_response"] is broken
    assert "The" in str(left)
    assert 3 == len(counter.llm_token_counts)
    assert 9 == counter.llm_token_counts[0].completion_token_count
    assert 0 < counter.llm_token_counts[1].completion_token_count < 9
    assert (3, 0, 0) == (len(spans.completed_spans), len(spans.dropped_spans), len(spans.open_spans))
