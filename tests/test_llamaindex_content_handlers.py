"""SageMaker content handlers in LlamaIndex: handlers of its own packages, and of LangChain's."""

import asyncio
import codecs
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from _platforms import PLATFORM_CASES, emulator, shared_emulator
from llama_index.core.llms import ChatMessage
from pydantic import ValidationError

from llamaindex_mdstream import SageMakerEmbedding, SageMakerLLM, SageMakerRerank
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures

#: A payload that the emulator's container accepts.
PROMPT = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true} '


class IOHandler:
    """Handler with the methods of llama-index-llms-sagemaker-endpoint: a list with one object."""

    content_type = "application/json"
    accept = "application/jsonlines"
    seen: Any = None

    def serialize_input(self, request: str, model_kwargs: dict[str, Any]) -> bytes:
        """Record the arguments."""
        self.seen = (request, model_kwargs)
        return PROMPT

    def deserialize_output(self, response: Any) -> Any:
        """Read the body like a file, as boto3's."""
        return json.load(codecs.getreader("utf-8")(response))[0]["generated_text"]

    def deserialize_streaming_output(self, response: bytes) -> str:
        """Read a payload part."""
        text: str = json.loads(response.decode("utf-8"))[0]["generated_text"]
        return text


class PrefixHandler(IOHandler):
    """Handler whose container repeats the prompt."""

    def remove_prefix(self, raw_text: str, prompt: str) -> str:
        """Remove the prompt."""
        return raw_text[len(prompt) :]


class LangChainHandler:
    """Handler with the methods of langchain-aws and langchain-community."""

    content_type = accepts = "text/plain"

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> bytes:
        """Return a fixed payload."""
        return PROMPT

    def transform_output(self, output: bytes) -> str:
        """Read a line, or the whole body."""
        return "".join(json.loads(line)[0]["generated_text"] for line in output.splitlines())


class VectorHandler:
    """Handler with the methods of llama-index-embeddings-sagemaker-endpoint."""

    content_type = accept = "application/json"

    def serialize_input(self, request: list[str], model_kwargs: dict[str, Any]) -> bytes:
        """Build TEI's payload."""
        return json.dumps({"inputs": request, **model_kwargs}).encode()

    def deserialize_output(self, response: Any) -> Any:
        """Read TEI's vectors."""
        return json.loads(response.read().decode("utf-8"))


def llm_with(emulator: Emulator, handler: Any, **options: Any) -> SageMakerLLM:
    """LLM with a handler on the emulator."""
    fields = {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "max_retries": 0, "content_handler": handler}
    return SageMakerLLM(**{**fields, **options})


#: The size of the payload parts that `respond` sends.
_PART = 48


def respond(emulator: Emulator, *texts: str) -> None:
    """Set the output of the container: each text is a line and a payload part."""
    lines = [json.dumps([{"generated_text": text}]).ljust(_PART - 1) for text in texts]
    emulator.always(Fault("body", data="\n".join(lines).encode(), size=_PART))


async def _collect(stream: Any) -> list[Any]:
    return [response async for response in await stream]


HI = [ChatMessage("Hi")]
WHOLE: dict[str, Callable[[SageMakerLLM], str]] = {
    "complete": lambda llm: llm.complete("Hi").text,
    "acomplete": lambda llm: asyncio.run(llm.acomplete("Hi")).text,
    "chat": lambda llm: llm.chat(HI).message.content or "",
    "achat": lambda llm: asyncio.run(llm.achat(HI)).message.content or "",
}
STREAMS: dict[str, Callable[[SageMakerLLM], list[Any]]] = {
    "stream_complete": lambda llm: list(llm.stream_complete("Hi")),
    "astream_complete": lambda llm: asyncio.run(_collect(llm.astream_complete("Hi"))),
    "stream_chat": lambda llm: list(llm.stream_chat(HI)),
    "astream_chat": lambda llm: asyncio.run(_collect(llm.astream_chat(HI))),
}
each_handler = pytest.mark.parametrize("handler", [IOHandler(), LangChainHandler()], ids=["LlamaIndex", "LangChain"])


@each_handler
@pytest.mark.parametrize("send", WHOLE.values(), ids=WHOLE)
def test_whole_responses(emulator: Emulator, handler: Any, send: Callable[[Any], str]) -> None:
    """The handler builds the payload and reads the body."""
    respond(emulator, "The Nile.")

    assert "The Nile." == send(llm_with(emulator, handler))
    assert PROMPT == emulator.last.body


@each_handler
@pytest.mark.parametrize("send", STREAMS.values(), ids=STREAMS)
def test_streams(emulator: Emulator, handler: Any, send: Callable[[Any], list[Any]]) -> None:
    """LlamaIndex's handlers read each payload part, LangChain's each line, of which the last needs no line break."""
    respond(emulator, "The", " Nile", ".")
    chunks = send(llm_with(emulator, handler))

    assert ["The", " Nile", ".", ""] == [chunk.delta for chunk in chunks]
    assert "AllTraffic" == chunks[-1].additional_kwargs["InvokedProductionVariant"]


class PlainText(IOHandler):
    """Handler whose container writes text without any framing; it keeps what it has received."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def deserialize_streaming_output(self, response: bytes) -> str:
        """Read a payload part."""
        self.received.append(response)
        return response.decode("utf-8")


@pytest.mark.parametrize("send", STREAMS.values(), ids=STREAMS)
def test_parts_are_passed_as_they_arrive(emulator: Emulator, send: Callable[[Any], list[Any]]) -> None:
    """As in llama-index-llms-sagemaker-endpoint: without line breaks too, and with them."""
    emulator.always(Fault("body", data=b"The\n Nile\r\n\n.", size=3))
    handler = PlainText()
    chunks = send(llm_with(emulator, handler))

    assert [b"The", b"\n N", b"ile", b"\r\n\n", b"."] == handler.received
    assert ["The", "\n N", "ile", "\r\n\n", ".", ""] == [chunk.delta for chunk in chunks]


@pytest.mark.parametrize("send", [*STREAMS.values(), *WHOLE.values()], ids=[*STREAMS, *WHOLE])
def test_the_prefix_is_removed(emulator: Emulator, send: Callable[[Any], Any]) -> None:
    """From the output so far: the prompt may be spread over several lines."""
    llm = llm_with(emulator, PrefixHandler(), messages_to_prompt=lambda messages: "Hi")
    streams = send in STREAMS.values()
    respond(emulator, *(("H", "iThe", " Nile") if streams else ("HiThe Nile",)))
    found = send(llm)

    assert "The Nile" == ("".join(chunk.delta for chunk in found) if streams else found)


def test_the_handler_receives_prompt_and_parameters(emulator: Emulator) -> None:
    """The media types are the handler's; stop sequences are applied here, as the container does not know them."""
    respond(emulator, "one STOP two")
    handler = IOHandler()
    llm = llm_with(emulator, handler, model_kwargs={"a": 1}, temperature=0.5, max_tokens=9)

    assert "one " == llm.complete("Hi", stop=["STOP"], b=2, target_variant="blue").text
    assert ("Hi", {"temperature": 0.5, "max_tokens": 9, "a": 1, "b": 2}) == handler.seen
    assert ["application/json", "application/jsonlines"] == [
        emulator.last.headers[n] for n in ("content-type", "accept")
    ]
    assert "blue" == emulator.last.headers["x-amzn-sagemaker-target-variant"]


FAILURES: dict[str, tuple[Fault, type[errors.MDStreamError]]] = {
    "exception frame": (Fault("exception_frame", after=3), errors.StreamFailure),
    "cut": (Fault("cut", after=3), errors.StreamInterrupted),
    "no JSON": (Fault("body", data=b"<html>\n"), errors.MalformedStream),
    "an error line": (Fault("body", data=b'{"error": "engine died"}\n'), errors.StreamFailure),
    "an error among lines": (Fault("body", data=b'\n[]\ndata: {"error": "engine died"}\n'), errors.StreamFailure),
    "nothing": (Fault("body", data=b""), errors.StreamInterrupted),
}


@pytest.mark.parametrize(("fault", "kind"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("send", STREAMS.values(), ids=STREAMS)
def test_no_failed_stream_succeeds(emulator: Emulator, fault: Fault, kind: Any, send: Callable[[Any], Any]) -> None:
    """Unreadable and missing output raises."""

    class Events(IOHandler):
        """Handler for vLLM's events."""

        def deserialize_streaming_output(self, response: bytes) -> str:
            events = response.decode().strip().split("\n\n")
            documents = [json.loads(event.removeprefix("data: ")) for event in events if "[DONE]" not in event]
            return "".join(choice["delta"].get("content") or "" for one in documents for choice in one["choices"])

    assert [chunk.delta for chunk in send(llm_with(emulator, Events())) if chunk.delta]
    emulator.always(fault)
    with pytest.raises(kind):
        send(llm_with(emulator, Events()))


def test_vectors(emulator: Emulator) -> None:
    """In batches of 32, in order, sync and async."""
    fields = {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "endpoint_name": "tei", "max_retries": 0}
    embedding = SageMakerEmbedding(**fields, content_handler=VectorHandler(), model_kwargs={"truncate": True})
    texts = [f"text\n{number}" for number in range(40)]
    vectors = embedding.get_text_embedding_batch(texts)

    assert 40 == len(vectors) == len(asyncio.run(embedding.aget_text_embedding_batch(texts)))
    assert vectors[7] == embedding.get_query_embedding("text 7")
    assert {32, 8, 1} == {len(one.json["inputs"]) for one in emulator.requests}
    assert emulator.last.json["truncate"] is True


INVALID: dict[str, tuple[Any, dict[str, Any], str]] = {
    "a class": (SageMakerLLM, {"content_handler": IOHandler}, "is a class"),
    "no handler": (SageMakerLLM, {"content_handler": object()}, "has no serialize_input, deserialize_output"),
    "a dialect too": (SageMakerLLM, {"content_handler": IOHandler(), "dialect": "tgi"}, "remove one of them"),
    "a chat model": (SageMakerLLM, {"content_handler": IOHandler(), "is_chat_model": True}, "sends prompts"),
    "a reranker": (SageMakerRerank, {"content_handler": IOHandler()}, "not supported for rerankers"),
}


@pytest.mark.parametrize(("cls", "options", "message"), INVALID.values(), ids=INVALID)
def test_wrong_options_are_named(cls: Any, options: dict[str, Any], message: str) -> None:
    """At construction."""
    with pytest.raises(ValidationError, match=message):
        cls(endpoint_name="e", region_name="us-east-1", **options)


def test_a_handler_that_reads_no_streams(emulator: Emulator) -> None:
    """Nothing is sent."""
    with pytest.raises(errors.MDStreamError, match="deserialize_streaming_output"):
        llm_with(emulator, VectorHandler()).stream_complete("Hi")
    assert not emulator.requests


def test_a_pickle_has_the_handler() -> None:
    """A serialized model does not: its class may not be importable where it is loaded."""
    llm = SageMakerLLM(endpoint_name="e", region_name="us-east-1", content_handler=IOHandler())

    assert isinstance(pickle.loads(pickle.dumps(llm)).content_handler, IOHandler)
    assert "content_handler" not in llm.to_dict()
    assert not llm.metadata.is_chat_model
