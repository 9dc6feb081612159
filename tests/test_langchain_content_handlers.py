"""SageMaker content handlers: their input, their output, and how responses can fail."""

import asyncio
import io
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from _langchain import REQUEST
from _migration_examples import Chat, Completions, Lines, Vectors
from _platforms import AWS, PLATFORM_CASES, emulator, shared_emulator
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from pydantic import ValidationError

from langchain_mdstream import (
    ChatSagemakerEndpoint,
    LLMContentHandler,
    SagemakerEndpoint,
    SagemakerEndpointEmbeddings,
    SagemakerEndpointRerank,
)
from mdstream_core import HandlerBody, errors
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def model_with(emulator: Emulator, model: Any, handler: Any, **options: Any) -> Any:
    """Model with a handler on the emulator."""
    fields = {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "max_retries": 0, "content_handler": handler}
    return model(**{**fields, **options})


#: A payload that the emulator's container accepts.
PROMPT = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true} '


class LineHandler:
    """Handler without a base class: text in lines."""

    content_type = "text/plain"
    accepts = "text/plain"
    seen: Any = None

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> Any:
        """Record the arguments."""
        self.seen = (prompt, model_kwargs)
        return PROMPT

    def transform_output(self, output: Any) -> Any:
        """Return the line."""
        return output.decode()


class MessageHandler(LineHandler):
    """Handler whose lines are messages in LangChain's JSON, without the type."""

    def transform_output(self, output: Any) -> Any:
        """Return a chunk."""
        return AIMessageChunk(**json.loads(output))


async def stream_both(model: Any, prompt: Any = REQUEST, **options: Any) -> str:
    """Stream sync and async, and compare."""
    streamed = "".join(map(_text, model.stream(prompt, **options)))
    assert streamed == "".join([_text(chunk) async for chunk in model.astream(prompt, **options)])
    return streamed


def _text(content: Any) -> str:
    return content if isinstance(content, str) else str(content.text)


def responses(emulator: Emulator, *lines: bytes) -> None:
    """Set the lines of the container."""
    emulator.always(Fault("body", data=b"".join(lines)))


async def test_lines_are_passed_unchanged(emulator: Emulator) -> None:
    """White space is kept, empty lines are skipped, and the last line needs no line break."""
    responses(emulator, b" The\n", b"\n", b"  Nile \r\n", b"\n ends")

    assert " The  Nile \r ends" == await stream_both(model_with(emulator, SagemakerEndpoint, LineHandler()))


async def test_a_whole_body_is_passed_at_once(emulator: Emulator) -> None:
    """As bytes that can be read like a file."""
    responses(emulator, b"one\ntwo\n")

    assert "one\ntwo\n" == model_with(emulator, SagemakerEndpoint, LineHandler()).invoke(REQUEST)
    assert "one\ntwo\n" == await model_with(emulator, SagemakerEndpoint, LineHandler()).ainvoke(REQUEST)


def test_a_body_can_be_read_like_a_file() -> None:
    """The body can be read once, in pieces too, and is still bytes."""
    body = HandlerBody(b'{"a": 1}')

    assert [b'{"a', b'": 1}', b""] == [body.read(3), body.read(), body.read()]
    assert {"a": 1} == json.loads(body) == json.load(io.BytesIO(body))


async def test_the_handler_builds_body_and_content_types(emulator: Emulator) -> None:
    """Its bytes are sent unchanged; `stop` is not sent; options of a call override those of the model."""
    responses(emulator, b"x")
    handler = LineHandler()
    llm = model_with(emulator, SagemakerEndpoint, handler, temperature=0.1, model_kwargs={"a": 1, "b": 1}, stop=["END"])
    await stream_both(llm, b=2, stop=["."])

    assert (REQUEST, {"temperature": 0.1, "a": 1, "b": 2}) == handler.seen
    assert PROMPT == emulator.last.body
    assert ["text/plain"] * 2 == [emulator.last.headers[name] for name in ("content-type", "x-amzn-sagemaker-accept")]
    llm.invoke(REQUEST)
    assert "text/plain" == emulator.last.headers["accept"]


async def test_stop_in_model_kwargs_is_sent(emulator: Emulator) -> None:
    """`stop` in `model_kwargs` is sent to the container."""
    responses(emulator, b"x")
    handler = LineHandler()
    await stream_both(model_with(emulator, SagemakerEndpoint, handler, model_kwargs={"stop": "<|eot_id|>"}))

    assert {"stop": "<|eot_id|>"} == handler.seen[1]


STOPS: dict[str, tuple[list[bytes], list[str], str]] = {
    "in one piece": ([b"one STOP two"], ["STOP"], "one "),
    "over several": ([b"one ST", b"O", b"P two", b" three"], ["STOP"], "one "),
    "the first of two": ([b"a. b! c"], ["!", "."], "a"),
    "no regular expression": ([b"why? because"], ["?"], "why"),
    "only begun": ([b"one ST", b"ILL"], ["STOP"], "one STILL"),
    "begun at the end": ([b"one STO"], ["STOP"], "one STO"),
    "none": ([b"one"], [], "one"),
}


@pytest.mark.parametrize(("lines", "stop", "expected"), STOPS.values(), ids=STOPS)
async def test_text_ends_before_a_stop_sequence(
    emulator: Emulator, lines: list[bytes], stop: list[str], expected: str
) -> None:
    """The text ends before the first stop sequence, wherever the lines are split."""
    responses(emulator, b"\n".join(lines))

    assert expected == await stream_both(model_with(emulator, SagemakerEndpoint, LineHandler()), stop=stop)


PAYLOADS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: PROMPT,
    "bytearray": lambda: bytearray(PROMPT),
    "text": PROMPT.decode,
    "file": lambda: io.BytesIO(PROMPT),
}


@pytest.mark.parametrize("create_payload", PAYLOADS.values(), ids=PAYLOADS)
def test_types_of_a_payload(emulator: Emulator, create_payload: Callable[[], Any]) -> None:
    """The types that boto3 accepts."""

    class PayloadHandler(LineHandler):
        def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> Any:
            return create_payload()

    responses(emulator, b"x")
    model_with(emulator, SagemakerEndpoint, PayloadHandler()).invoke(REQUEST)

    assert PROMPT == emulator.last.body


ENDINGS: dict[str, tuple[Fault, type[errors.MDStreamError], str]] = {
    "exception frame": (Fault("exception_frame", after=3), errors.StreamFailure, "ModelStreamError"),
    "partial frame": (Fault("partial_frame", after=3), errors.StreamInterrupted, "."),
    "damaged frame": (Fault("damaged_frame", after=3), errors.MalformedStream, "."),
    "cut": (Fault("cut", after=3), errors.StreamInterrupted, "."),
    "reset": (Fault("reset", after=3), errors.StreamInterrupted, "."),
    "error line": (
        Fault("insert", after=3, data=b'{"error": "engine died", "error_type": "generation"}\n'),
        errors.StreamFailure,
        "engine died",
    ),
    "error event": (
        Fault("insert", after=3, data=b'data: {"error": {"message": "engine died"}}\n\n'),
        errors.StreamFailure,
        "engine died",
    ),
    "another shape": (Fault("insert", after=3, data=b'{"outputs": []}\n'), errors.MalformedStream, "list index"),
    "no JSON": (Fault("insert", after=3, data=b"<html>\n"), errors.MalformedStream, "cannot read '<html>'"),
}


@pytest.mark.parametrize(("fault", "kind", "message"), ENDINGS.values(), ids=ENDINGS)
async def test_no_failed_stream_succeeds(emulator: Emulator, fault: Fault, kind: Any, message: str) -> None:
    """Unreadable and missing output raises, with the delivered output in the partial."""
    emulator.always(fault)
    llm, sync, asynchronous = model_with(emulator, SagemakerEndpoint, Lines(), endpoint_name="lmi-dynamic"), [], []
    with pytest.raises(kind, match=message) as caught:
        for text in llm.stream(REQUEST):
            sync.append(text)  # noqa: PERF402
    with pytest.raises(kind):
        async for text in llm.astream(REQUEST):
            asynchronous.append(text)  # noqa: PERF401

    assert "The Nile," == "".join(sync) == "".join(asynchronous) == caught.value.partial.text
    assert isinstance(caught.value, ModelError)


async def test_an_error_object_is_not_empty_output(emulator: Emulator) -> None:
    """An error object raises, even if the handler returns empty text for it."""

    class EmptyHandler(LineHandler):
        def transform_output(self, output: Any) -> Any:
            return json.loads(output).get("text", "")

    responses(emulator, b'{"text": "Hi"}\n{"error": {"message": "out of memory", "code": 500}}\n')

    with pytest.raises(errors.StreamFailure, match="out of memory"):
        await stream_both(model_with(emulator, SagemakerEndpoint, EmptyHandler()))


async def test_an_empty_response_is_an_error(emulator: Emulator) -> None:
    """An empty body, or one of empty lines, raises."""
    for body in (b"", b"\n\n"):
        responses(emulator, body)
        with pytest.raises(errors.StreamInterrupted, match="without output"):
            await stream_both(model_with(emulator, SagemakerEndpoint, LineHandler()))


class OwnError(Exception):
    """Exception of the handler's author."""


def test_other_exceptions_propagate(emulator: Emulator) -> None:
    """The handler's own exceptions propagate unchanged."""

    class RaisingHandler(LineHandler):
        def transform_output(self, output: Any) -> Any:
            raise OwnError

    responses(emulator, b"x")
    with pytest.raises(OwnError):
        list(model_with(emulator, SagemakerEndpoint, RaisingHandler()).stream(REQUEST))


@pytest.mark.parametrize(
    ("model", "handler"), [(SagemakerEndpoint, MessageHandler()), (ChatSagemakerEndpoint, LineHandler())]
)
def test_a_wrong_output_type_is_an_error(emulator: Emulator, model: Any, handler: Any) -> None:
    """A message for a completion model, or a text for a chat model, raises."""
    responses(emulator, b'{"content": "x"}')

    with pytest.raises(errors.MalformedStream, match="transform_output returned a"):
        llm = model_with(emulator, model, handler)
        llm.invoke(REQUEST)


async def test_messages_keep_their_fields(emulator: Emulator) -> None:
    """Text, reasoning, tool calls, usage and metadata of the handler's chunks are in the message."""
    call = {"index": 0, "id": "c1", "name": "get_weather", "args": '{"city": '}
    responses(
        emulator,
        json.dumps({"content": "", "additional_kwargs": {"reasoning_content": "hm"}}).encode() + b"\n",
        json.dumps({"content": [{"type": "text", "text": "See"}], "id": "m1"}).encode() + b"\n",
        json.dumps({"content": "", "tool_call_chunks": [call]}).encode() + b"\n",
        json.dumps(
            {"content": "", "tool_call_chunks": [{**call, "id": None, "name": None, "args": '"Paris"}'}]}
        ).encode()
        + b"\n",
        json.dumps(
            {
                "content": "",
                "usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
                "response_metadata": {"finish_reason": "tool_calls", "model_name": "llama"},
            }
        ).encode(),
    )
    first, *rest = model_with(emulator, ChatSagemakerEndpoint, MessageHandler()).stream(REQUEST)
    whole = first + rest

    assert ("See", "hm") == (whole.text, whole.additional_kwargs["reasoning_content"])
    assert [("get_weather", {"city": "Paris"}, "c1")] == [(c["name"], c["args"], c["id"]) for c in whole.tool_calls]
    assert 7 == whole.usage_metadata["total_tokens"]
    assert ("tool_calls", "llama") == tuple(whole.response_metadata[name] for name in ("finish_reason", "model_name"))


def _chunks(model: Any, how: str, **options: Any) -> list[Any]:
    async def collect() -> list[Any]:
        return [chunk async for chunk in model.astream(REQUEST, **options)]

    return asyncio.run(collect()) if how == "async" else list(model.stream(REQUEST, **options))


@pytest.mark.parametrize("how", ["sync", "async"])
def test_chunks_are_those_of_the_handler(emulator: Emulator, how: str) -> None:
    """Id, content blocks, additional fields, metadata and usage, each in its own chunk; one chunk marks the end."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    lines = [
        {"content": [{"type": "text", "text": "See", "index": 0}], "id": "m1", "response_metadata": {"shard": "a"}},
        {"content": [image], "additional_kwargs": {"score": 1}},
        {"content": "", "usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}},
        {"content": "", "response_metadata": {"finish_reason": "length", "model_name": "llama"}},
    ]
    responses(emulator, b"\n".join(json.dumps(line).encode() for line in lines))
    *chunks, last = _chunks(model_with(emulator, ChatSagemakerEndpoint, MessageHandler()), how)

    assert ["m1", [{"type": "text", "text": "See", "index": 0}], [image], "", ""] == [
        chunks[0].id, *(chunk.content for chunk in chunks)
    ]  # fmt: skip
    assert [{"shard": "a"}, {}, {}, {"finish_reason": "length", "model_name": "llama"}] == [
        {name: value for name, value in chunk.response_metadata.items() if name != "model_provider"} for chunk in chunks
    ]
    assert ({"score": 1}, 7) == (chunks[1].additional_kwargs, chunks[2].usage_metadata["total_tokens"])
    assert ("", "last") == (last.text, last.chunk_position)
    assert {"model_provider", "InvokedProductionVariant", "ContentType"} == last.response_metadata.keys()
    whole = chunks[0] + [*chunks[1:], last]
    assert ("See", 7, "llama") == (
        whole.text, whole.usage_metadata["total_tokens"], whole.response_metadata["model_name"]
    )  # fmt: skip


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_chunk_that_marks_the_end_is_the_last(emulator: Emulator, how: str) -> None:
    """There is no empty one after it."""
    lines = [{"content": "See"}, {"content": " you", "chunk_position": "last"}]
    responses(emulator, b"\n".join(json.dumps(line).encode() for line in lines))
    first, last = _chunks(model_with(emulator, ChatSagemakerEndpoint, MessageHandler()), how)

    assert ("See", " you", "last") == (first.content, last.content, last.chunk_position)
    assert "AllTraffic" == last.response_metadata["InvokedProductionVariant"]


@pytest.mark.parametrize(("lines", "stop", "expected"), STOPS.values(), ids=STOPS)
def test_chunks_end_before_a_stop_sequence(
    emulator: Emulator, lines: list[bytes], stop: list[str], expected: str
) -> None:
    """Also in lists of blocks; what follows the stop sequence has no text, and keeps its usage."""
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    messages: list[Any] = [{"content": [{"type": "text", "text": line.decode()}]} for line in lines]
    responses(
        emulator, b"\n".join(json.dumps(one).encode() for one in [*messages, {"content": "", "usage_metadata": usage}])
    )
    first, *rest = model_with(emulator, ChatSagemakerEndpoint, MessageHandler()).stream(REQUEST, stop=stop)
    whole = first + rest

    assert (expected, 7) == (whole.text, whole.usage_metadata["total_tokens"])


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_whole_message_is_that_of_the_handler(emulator: Emulator, how: str) -> None:
    """The handler's message, with what SageMaker reports; a chunk becomes a message."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    content: list[Any] = [{"type": "text", "text": "See"}, image]
    own = AIMessage(
        content, id="m1", additional_kwargs={"score": 1}, response_metadata={"shard": "a", "finish_reason": "length"}
    )

    class WholeHandler(LineHandler):
        message: Any = own

        def transform_output(self, output: Any) -> Any:
            return self.message

    model = model_with(emulator, ChatSagemakerEndpoint, WholeHandler())
    responses(emulator, b"x")
    found = asyncio.run(model.ainvoke(REQUEST)) if how == "async" else model.invoke(REQUEST)

    assert (own.id, own.content, own.additional_kwargs) == (found.id, found.content, found.additional_kwargs)
    assert own.response_metadata.items() <= found.response_metadata.items()
    assert "AllTraffic" == found.response_metadata["InvokedProductionVariant"]
    assert {"shard": "a", "finish_reason": "length"} == own.response_metadata  # not changed
    model.content_handler.message = AIMessageChunk(content="Hi", id="m2")
    assert (AIMessage, "Hi", "m2") == (type(one := model.invoke(REQUEST)), one.content, one.id)
    assert "See" == model_with(emulator, ChatSagemakerEndpoint, WholeHandler()).invoke(REQUEST, stop=["!"]).text


def test_events_have_the_blocks_of_the_handler(emulator: Emulator) -> None:
    """LangChain's v3 events are those of the chunks."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    lines: list[Any] = [
        {"content": [{"type": "text", "text": "See", "index": 0}]},
        {"content": [{**image, "index": 1}, {"type": "image", "url": "https://example.com/b.png", "index": 2}]},
    ]
    responses(emulator, b"\n".join(json.dumps(line).encode() for line in lines))
    model = model_with(emulator, ChatSagemakerEndpoint, MessageHandler())
    message = model.stream_events(REQUEST, version="v3").output

    assert "See" == message.text
    assert ["text", "non_standard", "image"] == [block["type"] for block in message.content_blocks]


def test_whole_messages_keep_their_calls(emulator: Emulator) -> None:
    """Tool calls of a response without streaming."""

    class WholeHandler(LineHandler):
        def transform_output(self, output: Any) -> Any:
            return AIMessage("", tool_calls=[{"id": "c1", "name": "f", "args": {"a": 1}}])

    responses(emulator, b"x")
    (call,) = model_with(emulator, ChatSagemakerEndpoint, WholeHandler()).invoke(REQUEST).tool_calls

    assert ("f", {"a": 1}) == (call["name"], call["args"])


def test_a_truncated_tool_call_is_an_error(emulator: Emulator) -> None:
    """A response that ends inside the arguments of a tool call raises."""
    call = {"index": 0, "id": "c1", "name": "pay", "args": '{"amount": 1'}
    responses(emulator, json.dumps({"content": "", "tool_call_chunks": [call]}).encode())

    with pytest.raises(errors.IncompleteToolCall):
        list(model_with(emulator, ChatSagemakerEndpoint, MessageHandler()).stream(REQUEST))


def test_messages_have_roles(emulator: Emulator) -> None:
    """Messages are passed to the handler as in langchain-aws."""
    responses(emulator, b'{"content": "x"}')
    handler = MessageHandler()
    model_with(emulator, ChatSagemakerEndpoint, handler).invoke([("system", "Be brief."), HumanMessage("Hi")])

    assert [("system", "Be brief."), ("user", "Hi")] == [(one["role"], one["content"]) for one in handler.seen[0]]


async def test_vectors(emulator: Emulator) -> None:
    """32 texts per request, without line breaks, in order; a missing vector raises."""
    embeddings = model_with(
        emulator, SagemakerEndpointEmbeddings, Vectors(), endpoint_name="tei", model_kwargs={"truncate": True}
    )
    texts = [f"text\n{number}" for number in range(65)]

    assert 65 == len(embeddings.embed_documents(texts)) == len(await embeddings.aembed_documents(texts))
    assert {32, 1} == {len(one.json["inputs"]) for one in emulator.requests}
    assert embeddings.embed_query("text 64") == embeddings.embed_documents(["text\n64"], 1)[0]
    assert ({"inputs", "truncate"}, True) == (set(emulator.last.json), emulator.last.json["truncate"])
    responses(emulator, b"[[0.5, 0.5]]")
    with pytest.raises(errors.MalformedStream, match="2 inputs were sent"):
        embeddings.embed_documents(["a", "b"])


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"true", b'"0.5"', b"null"])
async def test_each_number_of_a_vector_is_checked(emulator: Emulator, number: bytes) -> None:
    """Also of vectors from a handler."""
    embeddings = model_with(emulator, SagemakerEndpointEmbeddings, Vectors(), endpoint_name="tei")
    responses(emulator, b"[[0.5, %s, 0.5]]" % number)
    with pytest.raises(errors.MalformedStream, match="content handler cannot read"):
        embeddings.embed_documents(["a"])
    responses(emulator, b"[[0.5, %s, 0.5]]" % number)
    with pytest.raises(errors.MalformedStream, match="content handler cannot read"):
        await embeddings.aembed_documents(["a"])


def test_a_limit_of_the_server_is_learnt() -> None:
    """One request is rejected; then the object keeps the limit."""
    texts = [f"text {number}" for number in range(65)]
    with Emulator(aws_keys=AWS, max_batch_size=8) as limited:
        embeddings = model_with(limited, SagemakerEndpointEmbeddings, Vectors(), endpoint_name="tei", max_concurrency=1)
        assert 65 == len(embeddings.embed_documents(texts))
        limited.reset()
        embeddings.embed_documents(texts)
        assert {8, 1} == {len(one.json["inputs"]) for one in limited.requests}


def test_boto3s_arguments_become_headers(emulator: Emulator) -> None:
    """Fields override them, and they override the attributes of the handler."""
    content = {"CustomAttributes": "a=1", "TargetVariant": "blue", "InferenceComponentName": "ic", "Accept": "text/csv"}
    responses(emulator, b"x")
    llm = model_with(
        emulator, SagemakerEndpoint, LineHandler(), endpoint_kwargs=content, inference_component_name="mine"
    )
    list(llm.stream(REQUEST))

    headers = {name.removeprefix("x-amzn-sagemaker-"): value for name, value in emulator.last.headers.items()}
    assert ("a=1", "blue", "mine", "text/csv") == tuple(
        headers[name] for name in ("custom-attributes", "target-variant", "inference-component", "accept")
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a class": ({"content_handler": Completions}, "is a class \\(hint: pass an instance"),
    "something else": ({"content_handler": object()}, "has no content_type, accepts, transform_input"),
    "a dialect too": ({"dialect": "tgi"}, "remove one of them"),
    "an unknown argument": ({"endpoint_kwargs": {"Foo": 1}}, "endpoint_kwargs: unknown arguments: Foo"),
    "the body": ({"endpoint_kwargs": {"Body": b""}}, "endpoint_kwargs: unknown arguments: Body"),
    "a long attribute": ({"endpoint_kwargs": {"CustomAttributes": "x" * 1025}}, "custom_attributes has 1025"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_wrong_options_are_named(emulator: Emulator, options: dict[str, Any], message: str) -> None:
    """Invalid options raise at construction."""
    with pytest.raises(ValidationError, match=message):
        model_with(emulator, SagemakerEndpoint, LineHandler(), **options)


def test_rerankers_reject_content_handlers(emulator: Emulator) -> None:
    """A content handler for a reranker raises."""
    with pytest.raises(ValidationError, match="content_handler is not supported for rerank"):
        model_with(emulator, SagemakerEndpointRerank, LineHandler())


def test_base_classes_are_abstract() -> None:
    """The methods of the base classes raise `NotImplementedError`."""
    for method in (LLMContentHandler().transform_output, Chat().__class__.__mro__[1]().transform_output):
        with pytest.raises(NotImplementedError):
            method(b"")


def test_pickles_and_cache_keys(emulator: Emulator) -> None:
    """A handler is pickled with its model; models with different handlers share no cached response."""
    cache = InMemoryCache()
    llm = model_with(emulator, SagemakerEndpoint, Completions(), endpoint_name="tgi", cache=cache)
    first = llm.invoke(REQUEST)
    responses(emulator, b"another")

    assert first == llm.invoke(REQUEST)
    assert "another" == model_with(emulator, SagemakerEndpoint, LineHandler(), endpoint_name="tgi", cache=cache).invoke(
        REQUEST
    )
    fields = {name: llm.__dict__[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    again = pickle.loads(pickle.dumps(llm)).model_copy(update={**fields, "cache": None})
    emulator.reset()
    assert first == again.invoke(REQUEST)
