"""`with_structured_output`: whatever the method and the schema, an incomplete response is an error, whole and streamed."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _platforms import PlatformCase as Platform
from _raw_server import RawServer
from _structured import CALLS, TEXT, TEXTS, TRUNCATED, TRUNCATED_CALL, Location, Scripted, answering
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import errors
from mdstream_core.emulator import Emulator

__all__ = ["emulator", "shared_emulator"]

WHOLE = {"city": "São Paulo", "country": "BR"}


class LocationDict(TypedDict):
    """A place."""

    city: str
    country: str


LocationDict.__name__ = "Location"

SCHEMAS: dict[str, Any] = {
    "pydantic": Location,
    "TypedDict": LocationDict,
    "JSON schema": {
        "title": "Location",
        "description": "A place.",
        "type": "object",
        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
        "required": ["city", "country"],
    },
}

TEXT_METHODS = ("json_schema", "json_mode", "guided_decoding")

each_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
each_text = pytest.mark.parametrize(("response", "words", "output"), TEXTS.values(), ids=TEXTS)
each_call = pytest.mark.parametrize(("response", "words", "output"), CALLS.values(), ids=CALLS)


def model(server: RawServer, **options: Any) -> ChatOCIModelDeployment:
    """A chat model on the server."""
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


def _fails(bound: Any, words: str, output: str) -> None:
    """Each way raises, with what came."""
    for send_request in REQUEST.values():
        with pytest.raises(OutputParserException) as caught:
            send_request(bound)
        assert words in str(caught.value)
        assert output == caught.value.llm_output


def _reports(bound: Any, words: str) -> None:
    """Each way with `include_raw` gives the error beside the message."""
    for send_request in (REQUEST["invoke"], REQUEST["ainvoke"], REQUEST["batch"], REQUEST["abatch"]):
        given = send_request(bound)
        assert isinstance(given["raw"], AIMessage)
        assert None is given["parsed"]
        assert isinstance(given["parsing_error"], OutputParserException)
        assert words in str(given["parsing_error"])


async def _streamed(bound: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    async for given in bound.astream("Where?"):
        merged |= given
    return merged


def _reports_in_streams(bound: Any, words: str) -> None:
    sync: dict[str, Any] = {}
    for given in bound.stream("Where?"):
        sync |= given
    for merged in (sync, asyncio.run(_streamed(bound))):
        assert {"raw", "parsed", "parsing_error"} == set(merged)
        assert None is merged["parsed"]
        assert isinstance(merged["parsing_error"], OutputParserException)
        assert words in str(merged["parsing_error"])


@pytest.mark.parametrize("method", TEXT_METHODS)
@each_text
def test_an_incomplete_text_is_an_error(response: Scripted, words: str, output: str, method: Any) -> None:
    """Sync and async, whole, streamed and in batches; with `include_raw` it stands in `parsing_error`."""
    with answering(response) as server:
        _fails(model(server).with_structured_output(Location, method=method), words, output)
        raw = model(server).with_structured_output(Location, method=method, include_raw=True)
        _reports(raw, words)
        _reports_in_streams(raw, words)


@each_call
def test_a_missing_or_incomplete_call_is_an_error(response: Scripted, words: str, output: str) -> None:
    """Where a call was required, `None` and `[]` are no answers."""
    with answering(response) as server:
        _fails(model(server).with_structured_output(Location, method="function_calling"), words, output)
        raw = model(server).with_structured_output(Location, method="function_calling", include_raw=True)
        _reports(raw, words)
        _reports_in_streams(raw, words)


@each_schema
@pytest.mark.parametrize("method", [*TEXT_METHODS, "function_calling"])
def test_every_schema_follows_the_rule(schema: Any, method: Any) -> None:
    """A class, a TypedDict and a JSON schema: truncated is an error, whole is an object."""
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


def test_json_mode_without_a_schema_follows_it_too() -> None:
    """Any JSON, but a whole one."""
    with answering(Scripted(TRUNCATED, finish="length")) as server:
        _fails(model(server).with_structured_output(None, method="json_mode"), "max_tokens", TRUNCATED)
    with answering(Scripted(TEXT)) as server:
        assert WHOLE == model(server).with_structured_output(None, method="json_mode").invoke("Where?")


def test_a_call_that_is_truncated_fails_as_everywhere() -> None:
    """The arguments stop in the middle: the response itself is the error, with and without `include_raw`."""
    with answering(TRUNCATED_CALL) as server:
        for include_raw in (False, True):
            bound = model(server).with_structured_output(Location, method="function_calling", include_raw=include_raw)
            for send_request in REQUEST.values():
                with pytest.raises(errors.IncompleteToolCall, match="max_tokens") as caught:
                    send_request(bound)
                assert TRUNCATED == caught.value.raw


def test_partial_objects_are_shown_before_the_error() -> None:
    """A stream of a tool's arguments shows what can be read so far, and then says that it was cut."""
    seen: list[Any] = []
    with answering(Scripted(arguments=TEXT, finish="length")) as server:
        bound = model(server).with_structured_output(SCHEMAS["JSON schema"], method="function_calling")
        with pytest.raises(OutputParserException, match="max_tokens"):
            for platform_case in bound.stream("Where?"):
                seen.append(platform_case)  # noqa: PERF402  # what came before the error is wanted

    assert {"city": "São Paulo"} in seen


def test_partial_objects_of_a_whole_stream_stay() -> None:
    """Dictionaries grow while the arguments come; a JSON text gives one object, at its end."""
    with answering(Scripted(arguments=TEXT, finish="tool_calls")) as server:
        bound = model(server).with_structured_output(SCHEMAS["JSON schema"], method="function_calling")
        *partial, last = bound.stream("Where?")
    assert (WHOLE, True) == (last, {"city": "São Paulo"} in partial)
    with answering(Scripted(TEXT)) as server:
        assert [WHOLE] == list(model(server).with_structured_output(SCHEMAS["JSON schema"]).stream("Where?"))


@pytest.mark.parametrize("fence", ["```json\n{}", "```\n{}", "Here it is:\n```json\n{}"])
@each_schema
def test_json_in_a_fence_is_no_loophole(fence: str, schema: Any) -> None:
    """A parser that looks for a fence would complete what is cut inside of it."""
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
    "with words between": f"{TEXT} or rather {OTHER}",
    "in two fences": f"```json\n{TEXT}\n```\n```json\n{OTHER}\n```",
    "in two fences with words": f"First:\n```json\n{TEXT}\n```\nSecond:\n```\n{OTHER}\n```\nThat is all.",
    "an empty one": TEXT + " {}",
    "in a list": f"{TEXT} [{OTHER}]",
}


@each_schema
@pytest.mark.parametrize("method", TEXT_METHODS)
@pytest.mark.parametrize("text", SEVERAL.values(), ids=SEVERAL)
def test_one_object_is_not_chosen_from_several(text: str, method: Any, schema: Any) -> None:
    """The first one alone would be a success that loses the others."""
    with answering(Scripted(text)) as server:
        _fails(model(server).with_structured_output(schema, method=method), "more than one object", text)
        _reports(model(server).with_structured_output(schema, method=method, include_raw=True), "more than one object")


@pytest.mark.parametrize("end", [" Enjoy!", "\n```\nHope this `helps` {really} [1].", "\n\n"])
@each_schema
def test_words_behind_the_object_are_left_out(end: str, schema: Any) -> None:
    """They are no part of the answer."""
    with answering(Scripted(TEXT + end)) as server:
        assert WHOLE == dict(model(server).with_structured_output(schema).invoke("Where?"))


@pytest.mark.parametrize("text", ["5", '"x"', "[]", "true", "-0.5", f"[{TEXT}]"])
@pytest.mark.parametrize("method", TEXT_METHODS)
@each_schema
def test_another_json_value_is_no_object(text: str, method: Any, schema: Any) -> None:
    """Pydantic refuses it for a class; a dictionary is required for the others."""
    words = "validation error" if schema is Location else "instead of an object"
    with answering(Scripted(text)) as server:
        _fails(model(server).with_structured_output(schema, method=method), words, text)


def test_json_mode_may_be_requested_for_another_value() -> None:
    """Without a schema, or with one that says so."""
    for schema in (None, {"title": "Places", "type": "array", "items": {"type": "string"}}):
        with answering(Scripted('["Lima"]')) as server:
            bound = model(server).with_structured_output(schema, method="json_mode")
            for send_request in REQUEST.values():
                assert ["Lima"] == send_request(bound)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_both_versions_of_content_are_read(version: str) -> None:
    """Content in blocks is the same answer."""
    with answering(Scripted(TRUNCATED, finish="length")) as server:
        _fails(model(server, output_version=version).with_structured_output(Location), "max_tokens", TRUNCATED)
    with answering(Scripted(TEXT)) as server:
        bound = model(server, output_version=version).with_structured_output(Location)
        assert [Location(**WHOLE)] * len(REQUEST) == [send_request(bound) for send_request in REQUEST.values()]


def test_the_cause_is_kept() -> None:
    """Pydantic's own error stands behind ours."""
    for response, method in (
        (TEXTS["another object"][0], "json_schema"),
        (CALLS["another object"][0], "function_calling"),
    ):
        with answering(response) as server:
            bound: Any = model(server).with_structured_output(Location, method=method)  # type: ignore[arg-type]
            for send_request in REQUEST.values():
                with pytest.raises(OutputParserException) as caught:
                    send_request(bound)
                assert "ValidationError" == type(caught.value.__cause__).__name__


@pytest.mark.parametrize("method", [*TEXT_METHODS, "function_calling"])
def test_the_bound_model_can_be_pickled(method: Any) -> None:
    """Parsers hold values and no closures, so that other processes can run them."""
    with answering(Scripted("It is", finish="length")) as server:
        bound: Any = model(server).with_structured_output(Location, method=method)
        _fails(pickle.loads(pickle.dumps(bound)), "max_tokens", "It is")


def test_one_of_a_batch_fails_alone() -> None:
    """With `return_exceptions` the error stands in its place."""
    with answering(Scripted("It is", finish="length")) as server:
        bound = model(server).with_structured_output(Location, method="function_calling")
        for given in (
            bound.batch(["Where?", "Who?"], return_exceptions=True),
            asyncio.run(bound.abatch(["Where?", "Who?"], return_exceptions=True)),
        ):
            assert [OutputParserException] * 2 == [type(one) for one in given]


@each_platform
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_every_platform_follows_the_rule(emulator: Emulator, platform_case: Platform, method: Any) -> None:
    """Where `max_tokens` ends an answer there is an error that says so, on each platform and in each format."""
    bound = chat_at(platform_case, emulator, max_tokens=2).with_structured_output(Location, method=method)
    for send_request in (REQUEST["invoke"], REQUEST["astream"]):
        with pytest.raises((OutputParserException, errors.IncompleteToolCall), match="max_tokens"):
            send_request(bound)
