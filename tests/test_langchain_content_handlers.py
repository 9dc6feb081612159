"""SageMaker's content handlers: what they are given, what is made of their words, and how their answers can fail."""

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
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def at(emulator: Emulator, model: Any, handler: Any, **options: Any) -> Any:
    """A model with a handler on the emulator."""
    fields = {**PLATFORM_CASES["SageMaker vLLM"].fields(emulator), "max_retries": 0, "content_handler": handler}
    return model(**{**fields, **options})


#: A body that the emulator's container takes.
PROMPT = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true} '


class Plain:
    """A handler of nobody's class: text in lines."""

    content_type = "text/plain"
    accepts = "text/plain"
    seen: Any = None

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> Any:
        """Keep what was given."""
        self.seen = (prompt, model_kwargs)
        return PROMPT

    def transform_output(self, output: Any) -> Any:
        """The line."""
        return output.decode()


class Messages(Plain):
    """A line is a message in LangChain's own JSON, without its type."""

    def transform_output(self, output: Any) -> Any:
        """A chunk."""
        return AIMessageChunk(**json.loads(output))


async def both(model: Any, question: Any = REQUEST, **options: Any) -> str:
    """What is streamed, sync and async alike."""
    streamed = "".join(map(_text, model.stream(question, **options)))
    assert streamed == "".join([_text(chunk) async for chunk in model.astream(question, **options)])
    return streamed


def _text(content: Any) -> str:
    return content if isinstance(content, str) else str(content.text)


def responses(emulator: Emulator, *lines: bytes) -> None:
    """What the container writes from now on."""
    emulator.always(Fault("body", data=b"".join(lines)))


async def test_lines_are_handed_out_as_they_are(emulator: Emulator) -> None:
    """White space belongs to the text, empty lines do not, and the last line needs no line break."""
    responses(emulator, b" The\n", b"\n", b"  Nile \r\n", b"\n ends")

    assert " The  Nile \r ends" == await both(at(emulator, SagemakerEndpoint, Plain()))


async def test_a_whole_body_is_handed_out_at_once(emulator: Emulator) -> None:
    """It is bytes, and a file."""
    responses(emulator, b"one\ntwo\n")

    assert "one\ntwo\n" == at(emulator, SagemakerEndpoint, Plain()).invoke(REQUEST)
    assert "one\ntwo\n" == await at(emulator, SagemakerEndpoint, Plain()).ainvoke(REQUEST)


def test_what_a_handler_is_given_to_read() -> None:
    """It is read once to its end, in pieces too, and stays bytes."""
    from langchain_mdstream._content_handlers import HandlerBody  # noqa: PLC0415

    body = HandlerBody(b'{"a": 1}')

    assert [b'{"a', b'": 1}', b""] == [body.read(3), body.read(), body.read()]
    assert {"a": 1} == json.loads(body) == json.load(io.BytesIO(body))


async def test_the_handler_writes_body_and_labels(emulator: Emulator) -> None:
    """Its bytes are sent as they are; `stop` is no option of the container; a call's options go over the model's."""
    responses(emulator, b"x")
    handler = Plain()
    llm = at(emulator, SagemakerEndpoint, handler, temperature=0.1, model_kwargs={"a": 1, "b": 1}, stop=["END"])
    await both(llm, b=2, stop=["."])

    assert (REQUEST, {"temperature": 0.1, "a": 1, "b": 2}) == handler.seen
    assert PROMPT == emulator.last.body
    assert ["text/plain"] * 2 == [emulator.last.headers[name] for name in ("content-type", "x-amzn-sagemaker-accept")]
    llm.invoke(REQUEST)
    assert "text/plain" == emulator.last.headers["accept"]


async def test_stops_of_model_kwargs_are_reported_too(emulator: Emulator) -> None:
    """Whoever writes `stop` there means the container."""
    responses(emulator, b"x")
    handler = Plain()
    await both(at(emulator, SagemakerEndpoint, handler, model_kwargs={"stop": "<|eot_id|>"}))

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
async def test_stops_are_truncated(emulator: Emulator, lines: list[bytes], stop: list[str], expected: str) -> None:
    """The container knows nothing of them; wherever the lines are cut, the text ends before the first."""
    responses(emulator, b"\n".join(lines))

    assert expected == await both(at(emulator, SagemakerEndpoint, Plain()), stop=stop)


FORMS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: PROMPT,
    "bytearray": lambda: bytearray(PROMPT),
    "text": PROMPT.decode,
    "file": lambda: io.BytesIO(PROMPT),
}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_forms_of_a_body(emulator: Emulator, make: Callable[[], Any]) -> None:
    """As boto3 takes them."""

    class Form(Plain):
        def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> Any:
            return make()

    responses(emulator, b"x")
    at(emulator, SagemakerEndpoint, Form()).invoke(REQUEST)

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


@pytest.mark.parametrize(("fault", "kind", "words"), ENDINGS.values(), ids=ENDINGS)
async def test_no_broken_stream_succeeds(emulator: Emulator, fault: Fault, kind: Any, words: str) -> None:
    """What the handler cannot read and what it never sees fails, with what was delivered as the partial."""
    emulator.always(fault)
    llm, sync, asynchronous = at(emulator, SagemakerEndpoint, Lines(), endpoint_name="lmi-dynamic"), [], []
    with pytest.raises(kind, match=words) as caught:
        for text in llm.stream(REQUEST):
            sync.append(text)  # noqa: PERF402
    with pytest.raises(kind):
        async for text in llm.astream(REQUEST):
            asynchronous.append(text)  # noqa: PERF401

    assert "The Nile," == "".join(sync) == "".join(asynchronous) == caught.value.partial.text
    assert isinstance(caught.value, ModelError)


async def test_an_error_is_no_empty_word(emulator: Emulator) -> None:
    """A handler that finds nothing in a line that is an error did not see it."""

    class Careless(Plain):
        def transform_output(self, output: Any) -> Any:
            return json.loads(output).get("text", "")

    responses(emulator, b'{"text": "Hi"}\n{"error": {"message": "out of memory", "code": 500}}\n')

    with pytest.raises(errors.StreamFailure, match="out of memory"):
        await both(at(emulator, SagemakerEndpoint, Careless()))


async def test_nothing_is_no_response(emulator: Emulator) -> None:
    """An empty body, or one of empty lines."""
    for body in (b"", b"\n\n"):
        responses(emulator, body)
        with pytest.raises(errors.StreamInterrupted, match="without an answer"):
            await both(at(emulator, SagemakerEndpoint, Plain()))


class Own(Exception):
    """Somebody's own."""


def test_own_exceptions_pass(emulator: Emulator) -> None:
    """An exception class of the handler's author is not translated."""

    class Strict(Plain):
        def transform_output(self, output: Any) -> Any:
            raise Own

    responses(emulator, b"x")
    with pytest.raises(Own):
        list(at(emulator, SagemakerEndpoint, Strict()).stream(REQUEST))


@pytest.mark.parametrize(("model", "handler"), [(SagemakerEndpoint, Messages()), (ChatSagemakerEndpoint, Plain())])
def test_the_wrong_kind_of_response_is_named(emulator: Emulator, model: Any, handler: Any) -> None:
    """A message for a completion, a text for a chat."""
    responses(emulator, b'{"content": "x"}')

    with pytest.raises(errors.MalformedStream, match="transform_output gave a"):
        model_at = at(emulator, model, handler)
        model_at.invoke(REQUEST)


async def test_messages_keep_what_they_have(emulator: Emulator) -> None:
    """Text, reasoning, tool calls, usage and metadata of a handler's chunks reach the message."""
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
    first, *rest = at(emulator, ChatSagemakerEndpoint, Messages()).stream(REQUEST)
    whole = first + rest

    assert ("See", "hm") == (whole.text, whole.additional_kwargs["reasoning_content"])
    assert [("get_weather", {"city": "Paris"}, "c1")] == [(c["name"], c["args"], c["id"]) for c in whole.tool_calls]
    assert 7 == whole.usage_metadata["total_tokens"]
    assert ("tool_calls", "llama") == tuple(whole.response_metadata[name] for name in ("finish_reason", "model_name"))


def test_whole_messages_keep_their_calls(emulator: Emulator) -> None:
    """Of an answer that comes whole."""

    class Whole(Plain):
        def transform_output(self, output: Any) -> Any:
            return AIMessage("", tool_calls=[{"id": "c1", "name": "f", "args": {"a": 1}}])

    responses(emulator, b"x")
    (call,) = at(emulator, ChatSagemakerEndpoint, Whole()).invoke(REQUEST).tool_calls

    assert ("f", {"a": 1}) == (call["name"], call["args"])


def test_half_a_call_is_an_error(emulator: Emulator) -> None:
    """An answer that ends inside the arguments of a tool call is none."""
    call = {"index": 0, "id": "c1", "name": "pay", "args": '{"amount": 1'}
    responses(emulator, json.dumps({"content": "", "tool_call_chunks": [call]}).encode())

    with pytest.raises(errors.IncompleteToolCall):
        list(at(emulator, ChatSagemakerEndpoint, Messages()).stream(REQUEST))


def test_a_chat_is_requested_in_roles(emulator: Emulator) -> None:
    """As langchain-aws has it."""
    responses(emulator, b'{"content": "x"}')
    handler = Messages()
    at(emulator, ChatSagemakerEndpoint, handler).invoke([("system", "Be brief."), HumanMessage("Hi")])

    assert [("system", "Be brief."), ("user", "Hi")] == [(one["role"], one["content"]) for one in handler.seen[0]]


async def test_vectors(emulator: Emulator) -> None:
    """32 texts to a request, without line breaks, in order; a vector too few is an error."""
    embeddings = at(
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
    """Also where a handler reads them."""
    embeddings = at(emulator, SagemakerEndpointEmbeddings, Vectors(), endpoint_name="tei")
    responses(emulator, b"[[0.5, %s, 0.5]]" % number)
    with pytest.raises(errors.MalformedStream, match="content handler cannot read"):
        embeddings.embed_documents(["a"])
    responses(emulator, b"[[0.5, %s, 0.5]]" % number)
    with pytest.raises(errors.MalformedStream, match="content handler cannot read"):
        await embeddings.aembed_documents(["a"])


def test_a_limit_of_the_server_is_learnt() -> None:
    """One request is rejected; the object keeps the limit."""
    texts = [f"text {number}" for number in range(65)]
    with Emulator(aws_keys=AWS, max_batch_size=8) as there:
        embeddings = at(there, SagemakerEndpointEmbeddings, Vectors(), endpoint_name="tei", max_concurrency=1)
        assert 65 == len(embeddings.embed_documents(texts))
        there.reset()
        embeddings.embed_documents(texts)
        assert {8, 1} == {len(one.json["inputs"]) for one in there.requests}


def test_boto3s_arguments_become_headers(emulator: Emulator) -> None:
    """Each under its own; a field goes before them, and they go before the handler's labels."""
    content = {"CustomAttributes": "a=1", "TargetVariant": "blue", "InferenceComponentName": "ic", "Accept": "text/csv"}
    responses(emulator, b"x")
    llm = at(emulator, SagemakerEndpoint, Plain(), endpoint_kwargs=content, inference_component_name="mine")
    list(llm.stream(REQUEST))

    headers = {name.removeprefix("x-amzn-sagemaker-"): value for name, value in emulator.last.headers.items()}
    assert ("a=1", "blue", "mine", "text/csv") == tuple(
        headers[name] for name in ("custom-attributes", "target-variant", "inference-component", "accept")
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a class": ({"content_handler": Completions}, "is a class: give an instance"),
    "something else": ({"content_handler": object()}, "has no content_type, accepts, transform_input"),
    "a dialect too": ({"dialect": "tgi"}, "drop one of them"),
    "an unknown argument": ({"endpoint_kwargs": {"Foo": 1}}, "endpoint_kwargs: Foo cannot be said there"),
    "the body": ({"endpoint_kwargs": {"Body": b""}}, "endpoint_kwargs: Body"),
    "a long attribute": ({"endpoint_kwargs": {"CustomAttributes": "x" * 1025}}, "custom_attributes has 1025"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_wrong_options_are_named(emulator: Emulator, options: dict[str, Any], words: str) -> None:
    """What is wrong is told where it is written."""
    with pytest.raises(ValidationError, match=words):
        at(emulator, SagemakerEndpoint, Plain(), **options)


def test_rerankers_have_none(emulator: Emulator) -> None:
    """No package has handlers for them: they are told, not ignored."""
    with pytest.raises(ValidationError, match="content_handler: there is none for rerank"):
        at(emulator, SagemakerEndpointRerank, Plain())


def test_without_bodies_of_its_own() -> None:
    """The base classes have nothing to say."""
    for method in (LLMContentHandler().transform_output, Chat().__class__.__mro__[1]().transform_output):
        with pytest.raises(NotImplementedError):
            method(b"")


def test_pickles_and_caches_apart(emulator: Emulator) -> None:
    """A handler travels with its model; two models that differ in it share no cached answer."""
    cache = InMemoryCache()
    llm = at(emulator, SagemakerEndpoint, Completions(), endpoint_name="tgi", cache=cache)
    first = llm.invoke(REQUEST)
    responses(emulator, b"another")

    assert first == llm.invoke(REQUEST)
    assert "another" == at(emulator, SagemakerEndpoint, Plain(), endpoint_name="tgi", cache=cache).invoke(REQUEST)
    fields = {name: llm.__dict__[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    again = pickle.loads(pickle.dumps(llm)).model_copy(update={**fields, "cache": None})
    emulator.reset()
    assert first == again.invoke(REQUEST)
