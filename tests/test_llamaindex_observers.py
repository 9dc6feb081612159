"""What real observers see of a call: OpenInference's spans, core's token counter, debug handler and span handler."""

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

everywhere = pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
anyhow = pytest.mark.parametrize("read", ALL.values(), ids=ALL)
streamed = pytest.mark.parametrize("read", STREAMS.values(), ids=STREAMS)
few = pytest.mark.parametrize(("platform_case", "ending"), FEW.values(), ids=FEW)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(**{**ACCOUNTS, "aws_keys": {**ACCOUNTS["aws_keys"], **AWS}}) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator without memories."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def platform_case() -> PlatformCase:
    """The platform, where a test names none."""
    return PLATFORM_CASES["deployment"]


@pytest.fixture
def llm(emulator: Emulator, platform_case: PlatformCase) -> Iterator[MDStreamLLM]:
    """A model that asks once."""
    with platform_case.build(emulator, max_retries=0) as model:
        yield model


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """OpenInference at work, and what it exports."""
    exporter, provider, instrumentor = InMemorySpanExporter(), TracerProvider(), LlamaIndexInstrumentor()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def requested(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """The spans of the questions: core makes one too where a question with tools is put together."""
    kind, llm = SpanAttributes.OPENINFERENCE_SPAN_KIND, OpenInferenceSpanKindValues.LLM.value
    spans = exporter.get_finished_spans()
    return [
        span for span in spans if (span.attributes or {}).get(kind) == llm and not span.name.endswith("_with_tools")
    ]


def excepted(span: ReadableSpan) -> list[tuple[Any, Any]]:
    """Class and words of the exceptions that a span has recorded."""
    facts = [event.attributes or {} for event in span.events if event.name == "exception"]
    return [(fact["exception.type"], fact["exception.message"]) for fact in facts]


@anyhow
@everywhere
def test_a_healthy_response_is_one_span(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, read: Read
) -> None:
    """With the output, the server's count of the tokens, the model's name and the reason for the end."""
    got: list[Any] = []
    read(llm, got)
    (span,) = requested(exported)
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


@streamed
@few
def test_a_broken_stream_is_one_span_with_its_error(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, ending: Ending, read: Read
) -> None:
    """OpenInference shows no output then, whoever streams: the partial is on the exception, for handlers that look."""
    emulator.script(ending.fault)
    with pytest.raises(MDStreamError) as caught:
        read(llm, [])
    (span,) = requested(exported)
    kind = type(caught.value)

    assert "ERROR" == span.status.status_code.name
    assert f"{kind.__name__}: {caught.value}" == span.status.description
    assert [(f"{kind.__module__}.{kind.__name__}", str(caught.value))] == excepted(span)


@anyhow
@everywhere
def test_a_refusal_is_one_span_with_its_error(
    emulator: Emulator, llm: MDStreamLLM, platform_case: PlatformCase, exported: InMemorySpanExporter, read: Read
) -> None:
    """The error is recorded once."""
    emulator.script(platform_case.state)
    with pytest.raises(errors.ServiceError) as caught:
        read(llm, [])
    (span,) = requested(exported)

    assert "ERROR" == span.status.status_code.name
    assert [str(caught.value)] == [message for _, message in excepted(span)]


@pytest.mark.parametrize("count", [0, 2])
async def test_a_reader_who_leaves_is_no_error(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter, count: int
) -> None:
    """The span ends well, with what was read."""
    stream = llm.stream_chat(MESSAGES)
    for _ in range(count):
        next(stream)
    stream.close()
    awaited = await llm.astream_chat(MESSAGES)
    for _ in range(count):
        await anext(awaited)
    await awaited.aclose()

    assert 2 * [(True, "assistant: The Nile" if count else None)] == [
        (span.status.is_ok, (span.attributes or {}).get(SpanAttributes.OUTPUT_VALUE)) for span in requested(exported)
    ]
    assert [] == [fact for span in requested(exported) for fact in excepted(span)]
    await llm.aclose()


def test_a_query_whose_stream_breaks_is_an_error_up_to_its_root(
    emulator: Emulator, exported: InMemorySpanExporter
) -> None:
    """Sync and async; no span above the question's takes the broken answer for a whole one."""
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
        assert 1 == len([span for span in requested(exported) if not span.status.is_ok])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@everywhere
async def test_an_agent_is_a_tree_of_spans(
    emulator: Emulator, llm: MDStreamLLM, exported: InMemorySpanExporter
) -> None:
    """Two questions and a call, with its arguments; and an error up to the root where the second question fails."""
    await FunctionAgent(llm=llm, tools=[add]).run("add(2, 3)")
    first, second = requested(exported)
    call = f"{SpanAttributes.LLM_OUTPUT_MESSAGES}.0.message.tool_calls.0.tool_call.function"

    assert "add" == (first.attributes or {})[f"{call}.name"]
    assert {"a": 2, "b": 3} == json.loads(str((first.attributes or {})[f"{call}.arguments"]))
    assert "assistant: The tool says: 5" == (second.attributes or {})[SpanAttributes.OUTPUT_VALUE]
    exported.clear()
    emulator.script(None, Fault("cut", after=2))
    with pytest.raises(errors.StreamInterrupted):
        await FunctionAgent(llm=llm, tools=[add]).run("add(2, 3)")
    (root,) = [span for span in exported.get_finished_spans() if span.parent is None]

    assert [True, False] == [span.status.is_ok for span in requested(exported)]
    assert "ERROR" == root.status.status_code.name
    await llm.aclose()


@streamed
@everywhere
def test_cores_own_handlers(emulator: Emulator, llm: MDStreamLLM, read: Read) -> None:
    """A whole answer, a broken one and one that was left: one pair, one count and one completed span for each."""
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
