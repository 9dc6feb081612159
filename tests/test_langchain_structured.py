"""`with_structured_output`: incomplete responses raise for every method and schema, whole and streamed."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _platforms import PlatformCase
from _raw_server import RawServer
from _structured import CALLS, TEXT, TEXTS, TRUNCATED, TRUNCATED_CALL, City, Scripted, answering
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from langchain_mdstream import ChatOCIModelDeployment
from langchain_mdstream._structured_parser import ModelRefusalError
from mdstream_core import errors
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]

WHOLE = {"city": "São Paulo", "country": "BR"}


class CityDict(TypedDict):
    """A city and its country."""

    city: str
    country: str


CityDict.__name__ = "City"

SCHEMAS: dict[str, Any] = {
    "pydantic": City,
    "TypedDict": CityDict,
    "JSON schema": {
        "title": "City",
        "description": "A city and its country.",
        "type": "object",
        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
        "required": ["city", "country"],
    },
}

TEXT_METHODS = ("json_schema", "json_mode", "guided_decoding")

each_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
each_text = pytest.mark.parametrize(("response", "message", "output"), TEXTS.values(), ids=TEXTS)
each_call = pytest.mark.parametrize(("response", "message", "output"), CALLS.values(), ids=CALLS)


def model(server: RawServer, **options: Any) -> ChatOCIModelDeployment:
    """Chat model on the server."""
    return ChatOCIModelDeployment(endpoint=f"{server.url}/ocid1.x", auth_type="none", max_retries=0, **options)


def _stream(bound: Any) -> Any:
    return list(bound.stream("Where?"))[-1]


async def _last(bound: Any) -> Any:
    return [parsed async for parsed in bound.astream("Where?")][-1]


def _astream(bound: Any) -> Any:
    return asyncio.run(_last(bound))


#: The ways to ask.
REQUEST: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda bound: bound.invoke("Where?"),
    "ainvoke": lambda bound: asyncio.run(bound.ainvoke("Where?")),
    "stream": _stream,
    "astream": _astream,
    "batch": lambda bound: bound.batch(["Where?", "Where?"])[1],
    "abatch": lambda bound: asyncio.run(bound.abatch(["Where?"]))[0],
}


def _fails(bound: Any, message: str, output: str) -> None:
    """Each call style raises, with the output."""
    for send_request in REQUEST.values():
        with pytest.raises((OutputParserException, ModelRefusalError)) as caught:
            send_request(bound)
        assert message in str(caught.value)
        assert output == _received(caught.value)


def _received(error: Any) -> Any:
    """What the model has sent: LangChain's own error for a refusal has the message."""
    if isinstance(error, OutputParserException):
        return error.llm_output
    return error.raw_message.additional_kwargs["refusal"]


def _reports(bound: Any, message: str) -> None:
    """Each call style with `include_raw` returns the error beside the message."""
    for send_request in (REQUEST["invoke"], REQUEST["ainvoke"], REQUEST["batch"], REQUEST["abatch"]):
        given = send_request(bound)
        assert isinstance(given["raw"], AIMessage)
        assert None is given["parsed"]
        assert isinstance(given["parsing_error"], (OutputParserException, ModelRefusalError))
        assert message in str(given["parsing_error"])


async def _streamed(bound: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    async for given in bound.astream("Where?"):
        merged |= given
    return merged


def _reports_in_streams(bound: Any, message: str) -> None:
    sync: dict[str, Any] = {}
    for given in bound.stream("Where?"):
        sync |= given
    for merged in (sync, asyncio.run(_streamed(bound))):
        assert {"raw", "parsed", "parsing_error"} == set(merged)
        assert None is merged["parsed"]
        assert isinstance(merged["parsing_error"], (OutputParserException, ModelRefusalError))
        assert message in str(merged["parsing_error"])


@pytest.mark.parametrize("method", TEXT_METHODS)
@each_text
def test_an_incomplete_text_is_an_error(response: Scripted, message: str, output: str, method: Any) -> None:
    """Sync and async, whole, streamed and in batches; with `include_raw` it is in `parsing_error`."""
    with answering(response) as server:
        _fails(model(server).with_structured_output(City, method=method), message, output)
        raw = model(server).with_structured_output(City, method=method, include_raw=True)
        _reports(raw, message)
        _reports_in_streams(raw, message)


@each_call
def test_a_missing_or_incomplete_call_is_an_error(response: Scripted, message: str, output: str) -> None:
    """If a call is required, `None` and `[]` are errors."""
    with answering(response) as server:
        _fails(model(server).with_structured_output(City, method="function_calling"), message, output)
        raw = model(server).with_structured_output(City, method="function_calling", include_raw=True)
        _reports(raw, message)
        _reports_in_streams(raw, message)


@each_schema
@pytest.mark.parametrize("method", [*TEXT_METHODS, "function_calling"])
def test_every_kind_of_schema(schema: Any, method: Any) -> None:
    """A class, a TypedDict and a JSON schema: truncated output raises, complete output is an object."""
    truncated = (
        Scripted("It is", finish="length") if method == "function_calling" else Scripted(TRUNCATED, finish="length")
    )
    with answering(truncated) as server:
        _fails(model(server).with_structured_output(schema, method=method), "max_tokens", truncated.text)
        _reports_in_streams(model(server).with_structured_output(schema, method=method, include_raw=True), "max_tokens")
    whole = Scripted(arguments=TEXT, finish="tool_calls") if method == "function_calling" else Scripted(TEXT)
    with answering(whole) as server:
        bound = model(server).with_structured_output(schema, method=method)
        for send_request in REQUEST.values():
            assert WHOLE == dict(send_request(bound))


def test_json_mode_without_a_schema() -> None:
    """Any JSON, but complete."""
    with answering(Scripted(TRUNCATED, finish="length")) as server:
        _fails(model(server).with_structured_output(None, method="json_mode"), "max_tokens", TRUNCATED)
    with answering(Scripted(TEXT)) as server:
        assert WHOLE == model(server).with_structured_output(None, method="json_mode").invoke("Where?")


def test_a_truncated_call_is_an_error_of_the_response() -> None:
    """If the arguments are interrupted, the response itself raises, with and without `include_raw`."""
    with answering(TRUNCATED_CALL) as server:
        for include_raw in (False, True):
            bound = model(server).with_structured_output(City, method="function_calling", include_raw=include_raw)
            for send_request in REQUEST.values():
                with pytest.raises(errors.IncompleteToolCall, match="max_tokens") as caught:
                    send_request(bound)
                assert TRUNCATED == caught.value.raw


def test_partial_objects_are_yielded_before_the_error() -> None:
    """A stream of a tool's arguments yields partial objects, and then raises."""
    seen: list[Any] = []
    with answering(Scripted(arguments=TEXT, finish="length")) as server:
        bound = model(server).with_structured_output(SCHEMAS["JSON schema"], method="function_calling")
        with pytest.raises(OutputParserException, match="max_tokens"):
            for platform_case in bound.stream("Where?"):
                seen.append(platform_case)  # noqa: PERF402  # what came before the error is wanted

    assert {"city": "São Paulo"} in seen


def test_partial_objects_of_a_complete_stream() -> None:
    """Dicts grow with the arguments; JSON text yields one object, at its end."""
    with answering(Scripted(arguments=TEXT, finish="tool_calls")) as server:
        bound = model(server).with_structured_output(SCHEMAS["JSON schema"], method="function_calling")
        *partial, last = bound.stream("Where?")
    assert (WHOLE, True) == (last, {"city": "São Paulo"} in partial)
    with answering(Scripted(TEXT)) as server:
        assert [WHOLE] == list(model(server).with_structured_output(SCHEMAS["JSON schema"]).stream("Where?"))


@pytest.mark.parametrize("fence", ["```json\n{}", "```\n{}", "Here it is:\n```json\n{}"])
@each_schema
def test_truncated_json_in_a_fence_is_an_error(fence: str, schema: Any) -> None:
    """LangChain's parser completes truncated JSON inside of a Markdown fence."""
    with answering(Scripted(fence.format(TRUNCATED))) as server:
        for send_request in REQUEST.values():
            with pytest.raises(OutputParserException, match="cut off"):
                send_request(model(server).with_structured_output(schema))
    with answering(Scripted(fence.format(TEXT) + "\n```\nThat is all.")) as server:
        assert WHOLE == dict(model(server).with_structured_output(schema).invoke("Where?"))


OTHER = '{"city": "Lima", "country": "PE"}'

#: name: a text with more than one object
SEVERAL = {
    "one behind the other": TEXT + OTHER,
    "the same again": TEXT + TEXT,
    "on two lines": f"{TEXT}\n{OTHER}",
    "with a comma": f"{TEXT}, {OTHER}",
    "with text between": f"{TEXT} or rather {OTHER}",
    "in two fences": f"```json\n{TEXT}\n```\n```json\n{OTHER}\n```",
    "in two fences with text": f"First:\n```json\n{TEXT}\n```\nSecond:\n```\n{OTHER}\n```\nThat is all.",
    "an empty one": TEXT + " {}",
    "in a list": f"{TEXT} [{OTHER}]",
}


@each_schema
@pytest.mark.parametrize("method", TEXT_METHODS)
@pytest.mark.parametrize("text", SEVERAL.values(), ids=SEVERAL)
def test_several_objects_are_an_error(text: str, method: Any, schema: Any) -> None:
    """The first one alone would lose the others."""
    with answering(Scripted(text)) as server:
        _fails(model(server).with_structured_output(schema, method=method), "more than one object", text)
        _reports(model(server).with_structured_output(schema, method=method, include_raw=True), "more than one object")


@pytest.mark.parametrize("end", [" Enjoy!", "\n```\nHope this `helps` {really} [1].", "\n\n"])
@each_schema
def test_text_behind_the_object_is_ignored(end: str, schema: Any) -> None:
    """Text behind the object is ignored."""
    with answering(Scripted(TEXT + end)) as server:
        assert WHOLE == dict(model(server).with_structured_output(schema).invoke("Where?"))


@pytest.mark.parametrize("text", ["5", '"x"', "[]", "true", "-0.5", f"[{TEXT}]"])
@pytest.mark.parametrize("method", TEXT_METHODS)
@each_schema
def test_other_json_values_are_an_error(text: str, method: Any, schema: Any) -> None:
    """Pydantic rejects it for a class; the others require a dict."""
    message = "validation error" if schema is City else "instead of an object"
    with answering(Scripted(text)) as server:
        _fails(model(server).with_structured_output(schema, method=method), message, text)


def test_json_mode_for_other_values() -> None:
    """Without a schema, or with one of another type."""
    for schema in (None, {"title": "Cities", "type": "array", "items": {"type": "string"}}):
        with answering(Scripted('["Lima"]')) as server:
            bound = model(server).with_structured_output(schema, method="json_mode")
            for send_request in REQUEST.values():
                assert ["Lima"] == send_request(bound)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_both_output_versions(version: str) -> None:
    """Content in blocks has the same result."""
    with answering(Scripted(TRUNCATED, finish="length")) as server:
        _fails(model(server, output_version=version).with_structured_output(City), "max_tokens", TRUNCATED)
    with answering(Scripted(TEXT)) as server:
        bound = model(server, output_version=version).with_structured_output(City)
        assert [City(**WHOLE)] * len(REQUEST) == [send_request(bound) for send_request in REQUEST.values()]


def test_the_cause_is_kept() -> None:
    """Pydantic's error is the cause."""
    for response, method in (
        (TEXTS["another object"][0], "json_schema"),
        (CALLS["another object"][0], "function_calling"),
    ):
        with answering(response) as server:
            bound: Any = model(server).with_structured_output(City, method=method)  # type: ignore[arg-type]
            for send_request in REQUEST.values():
                with pytest.raises(OutputParserException) as caught:
                    send_request(bound)
                assert "ValidationError" == type(caught.value.__cause__).__name__


@pytest.mark.parametrize("method", [*TEXT_METHODS, "function_calling"])
def test_the_bound_model_can_be_pickled(method: Any) -> None:
    """Parsers hold values and no closures, so that other processes can run them."""
    with answering(Scripted("It is", finish="length")) as server:
        bound: Any = model(server).with_structured_output(City, method=method)
        _fails(pickle.loads(pickle.dumps(bound)), "max_tokens", "It is")


def test_one_failure_in_a_batch() -> None:
    """With `return_exceptions` the error is at its index."""
    with answering(Scripted("It is", finish="length")) as server:
        bound = model(server).with_structured_output(City, method="function_calling")
        for given in (
            bound.batch(["Where?", "Who?"], return_exceptions=True),
            asyncio.run(bound.abatch(["Where?", "Who?"], return_exceptions=True)),
        ):
            assert [OutputParserException] * 2 == [type(one) for one in given]


@each_platform
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_truncated_output_on_every_platform(emulator: Emulator, platform_case: PlatformCase, method: Any) -> None:
    """Output that `max_tokens` truncated raises on each platform and in each format."""
    bound = chat_at(platform_case, emulator, max_tokens=2).with_structured_output(City, method=method)
    for send_request in (REQUEST["invoke"], REQUEST["astream"]):
        with pytest.raises((OutputParserException, errors.IncompleteToolCall), match="max_tokens"):
            send_request(bound)
