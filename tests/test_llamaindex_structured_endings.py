"""Structured predictions that are no whole answer: an error that is no `ValueError`, with what came and why it ended."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from _raw_server import RawServer
from _structured import CALLS, TEXT, TEXTS, TRUNCATED, TRUNCATED_CALL, Location, Scripted, answering
from llama_index.core import VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.schema import TextNode
from llama_index.core.types import PydanticProgramMode

from llamaindex_mdstream import OCIDataScience, RequestNotSent, StructuredOutputError
from mdstream_core import MDStreamError, errors

WHOLE = Location(city="São Paulo", country="BR")
PROMPT = PromptTemplate("Where is {name}?")
MESSAGES = [ChatMessage("Where?")]


def _streamed(llm: OCIDataScience) -> Any:
    return list(llm.stream_structured_predict(Location, PROMPT, name="it"))[-1]


async def _astreamed(llm: OCIDataScience) -> Any:
    return [platform_case async for platform_case in await llm.astream_structured_predict(Location, PROMPT, name="it")][
        -1
    ]


async def _achatted(llm: OCIDataScience) -> Any:
    stream = await llm.as_structured_llm(Location).astream_chat(MESSAGES)
    return [response.raw async for response in stream][-1]


#: Every method that gives an object.
REQUEST: dict[str, Callable[[OCIDataScience], Any]] = {
    "structured_predict": lambda llm: llm.structured_predict(Location, PROMPT, name="it"),
    "astructured_predict": lambda llm: asyncio.run(llm.astructured_predict(Location, PROMPT, name="it")),
    "stream_structured_predict": _streamed,
    "astream_structured_predict": lambda llm: asyncio.run(_astreamed(llm)),
    "chat": lambda llm: llm.as_structured_llm(Location).chat(MESSAGES).raw,
    "achat": lambda llm: asyncio.run(llm.as_structured_llm(Location).achat(MESSAGES)).raw,
    "complete": lambda llm: llm.as_structured_llm(Location).complete("Where?").raw,
    "acomplete": lambda llm: asyncio.run(llm.as_structured_llm(Location).acomplete("Where?")).raw,
    "stream_chat": lambda llm: list(llm.as_structured_llm(Location).stream_chat(MESSAGES))[-1].raw,
    "astream_chat": lambda llm: asyncio.run(_achatted(llm)),
}

#: The ways to an object, by the options that choose them: by text first, then by a tool.
BY_TEXT: dict[str, dict[str, Any]] = {
    "schema": {"should_use_structured_outputs": True},
    "text": {"is_function_calling_model": False},
    "LLM": {"pydantic_program_mode": PydanticProgramMode.LLM},
    "completion": {"is_function_calling_model": False, "is_chat_model": False},
}
BY_TOOL: dict[str, dict[str, Any]] = {
    "tool": {},
    "FUNCTION": {"pydantic_program_mode": PydanticProgramMode.FUNCTION, "should_use_structured_outputs": True},
}

each_method = pytest.mark.parametrize("send_request", REQUEST.values(), ids=REQUEST)


def llm_at(server: RawServer, **options: Any) -> OCIDataScience:
    """An LLM on the server."""
    return OCIDataScience(endpoint=f"{server.url}/ocid1.x", auth_type="none", max_retries=0, **options)


def _fails(llm: OCIDataScience, send_request: Callable[[OCIDataScience], Any], words: str, output: str) -> None:
    with pytest.raises(StructuredOutputError) as caught:
        send_request(llm)
    error: Any = caught.value
    assert not isinstance(error, ValueError)
    assert words in str(error)
    assert output == error.raw
    assert isinstance(error.partial_response, ChatResponse | CompletionResponse)
    assert output in {error.partial.text, error.partial.refusal, *(c.arguments for c in error.partial.tool_calls)}


#: Each way that reads a text with each such response; a completion has no place for a refusal.
TEXTS_BY_METHOD = {
    f"{call_method}: {name}": (options, *case)
    for call_method, options in BY_TEXT.items()
    for name, case in TEXTS.items()
    if call_method != "completion" or not case[0].refusal
}


@pytest.mark.parametrize(("options", "response", "words", "output"), TEXTS_BY_METHOD.values(), ids=TEXTS_BY_METHOD)
def test_an_incomplete_text_is_an_error(options: dict[str, Any], response: Scripted, words: str, output: str) -> None:
    """
    In every way that reads a text, by every method.
    """
    with answering(response) as server:
        for send_request in REQUEST.values():
            _fails(llm_at(server, **options), send_request, words, output)


@pytest.mark.parametrize("options", BY_TOOL.values(), ids=BY_TOOL)
@pytest.mark.parametrize(("response", "words", "output"), CALLS.values(), ids=CALLS)
def test_a_missing_or_incomplete_call_is_an_error(
    response: Scripted, words: str, output: str, options: dict[str, Any]
) -> None:
    """
    In every way that requires a tool call, by every method.
    """
    with answering(response) as server:
        for send_request in REQUEST.values():
            _fails(llm_at(server, **options), send_request, words, output)


@each_method
def test_a_call_that_is_truncated_fails_as_everywhere(send_request: Callable[[OCIDataScience], Any]) -> None:
    """
    The arguments stop in the middle: the response itself is the error.
    """
    with answering(TRUNCATED_CALL) as server, pytest.raises(errors.IncompleteToolCall, match="max_tokens") as caught:
        send_request(llm_at(server))
    assert TRUNCATED == caught.value.raw
    assert isinstance(caught.value.partial_response, ChatResponse)  # type: ignore[attr-defined]


@each_method
@pytest.mark.parametrize("options", (BY_TEXT | BY_TOOL).values(), ids=BY_TEXT | BY_TOOL)
def test_a_whole_response_is_an_object(options: dict[str, Any], send_request: Callable[[OCIDataScience], Any]) -> None:
    """
    The control: the same server, and the answer is whole.
    """
    whole = Scripted(TEXT) if options in BY_TEXT.values() else Scripted(arguments=TEXT, finish="tool_calls")
    with answering(whole) as server:
        assert WHOLE == send_request(llm_at(server, **options))


@pytest.mark.parametrize("options", (BY_TEXT | BY_TOOL).values(), ids=BY_TEXT | BY_TOOL)
def test_partial_objects_are_shown_before_the_error(options: dict[str, Any]) -> None:
    """
    A stream shows what can be read so far, and then says that it was cut.
    """
    text = options in BY_TEXT.values()
    response = Scripted(TEXT, finish="length") if text else Scripted(arguments=TEXT, finish="length")
    seen: list[Any] = []
    with answering(response) as server, pytest.raises(StructuredOutputError, match="max_tokens"):
        for platform_case in llm_at(server, **options).stream_structured_predict(Location, PROMPT, name="it"):
            seen.append(platform_case)  # noqa: PERF402  # what came before the error is wanted

    assert any("São Paulo" == getattr(platform_case, "city", None) for platform_case in seen)


def test_the_cause_is_kept_and_the_error_can_be_pickled() -> None:
    """
    Pydantic's error, or JSON's, stands behind ours.
    """
    response = TEXTS["another object"][0]
    with answering(response) as server:
        for send_request in REQUEST.values():
            with pytest.raises(StructuredOutputError) as caught:
                send_request(llm_at(server, should_use_structured_outputs=True))
            assert "ValidationError" == type(caught.value.__cause__).__name__
    copy = pickle.loads(pickle.dumps(caught.value))  # our own
    assert ("InvalidOutput", str(caught.value), response.text) == (copy.code, str(copy), copy.partial.text)


def test_the_prompt_of_the_caller_stays_as_it_is() -> None:
    """
    Instructions for JSON are put into a copy of it.
    """
    prompt = ChatPromptTemplate.from_messages([("system", "Be short."), ("user", "Where is {name}?")])
    with answering(Scripted(TEXT)) as server:
        llm = llm_at(server, is_function_calling_model=False)
        assert WHOLE == llm.structured_predict(Location, prompt, name="it")
        assert b"Output a valid JSON object" in server.requests[0]
    assert None is prompt.output_parser


@pytest.mark.parametrize(
    "options",
    [
        {"pydantic_program_mode": PydanticProgramMode.FUNCTION, "is_function_calling_model": False},
        {"pydantic_program_mode": PydanticProgramMode.GUIDANCE},
    ],
    ids=["a tool for a model without tools", "a mode that core has not"],
)
def test_a_method_that_this_model_has_not_is_no_empty_response(options: dict[str, Any]) -> None:
    """
    Core's `ValueError` about it would be swallowed by engines.
    """
    with answering(Scripted(TEXT)) as server:
        for name in ("structured_predict", "astructured_predict", "stream_structured_predict", "astream_chat"):
            with pytest.raises(RequestNotSent):
                REQUEST[name](llm_at(server, **options))
        assert [] == server.requests


def test_an_engine_does_not_call_it_an_empty_response() -> None:
    """
    Core's engines answer "Empty Response" where they catch a `ValueError`.
    """
    index = VectorStoreIndex(nodes=[TextNode(text="It is in Brazil.")], embed_model=MockEmbedding(embed_dim=3))
    with answering(Scripted(TRUNCATED, finish="length")) as server:
        llm = llm_at(server, should_use_structured_outputs=True)
        for mode in ("compact", "refine", "tree_summarize"):
            engine = index.as_query_engine(llm=llm.as_structured_llm(Location), response_mode=mode)
            with pytest.raises(MDStreamError, match="max_tokens"):
                engine.query("Where is it?")
            with pytest.raises(MDStreamError, match="max_tokens"):
                asyncio.run(engine.aquery("Where is it?"))


class Listening(BaseEventHandler):
    """Keeps the names of the events about structured predictions."""

    results: list[str] = []  # noqa: RUF012  # pydantic copies it

    @classmethod
    def class_name(cls) -> str:
        """The name in serialized form."""
        return "listening"

    def handle(self, event: Any, **_: Any) -> None:
        """Take an event."""
        if isinstance(event, LLMStructuredPredictStartEvent | LLMStructuredPredictEndEvent):
            self.results.append(type(event).__name__)


@pytest.mark.parametrize("options", (BY_TEXT | BY_TOOL).values(), ids=BY_TEXT | BY_TOOL)
def test_observers_are_reported_of_predictions(options: dict[str, Any]) -> None:
    """
    Core's events come in every way, and no end where there is none.
    """
    whole = Scripted(TEXT) if options in BY_TEXT.values() else Scripted(arguments=TEXT, finish="tool_calls")
    root, handler = get_dispatcher(), Listening()
    root.add_event_handler(handler)
    try:
        for response in (whole, Scripted(TRUNCATED, finish="length")):
            with answering(response) as server:
                for name in ("structured_predict", "astructured_predict"):
                    try:
                        REQUEST[name](llm_at(server, **options))
                    except StructuredOutputError:
                        handler.results.append("error")
    finally:
        root.event_handlers.remove(handler)
    start, end = "LLMStructuredPredictStartEvent", "LLMStructuredPredictEndEvent"

    assert [start, end, start, end, start, "error", start, "error"] == handler.results
