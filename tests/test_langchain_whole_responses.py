"""Results of whole responses: built without validation, and equal to those of LangChain's public constructors."""

import copy
import inspect
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, HumanMessageChunk
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_mdstream import ChatOCIModelDeployment
from langchain_mdstream._messages import openai_messages
from langchain_mdstream._responses import build_result, usage_metadata
from langchain_mdstream._unvalidated import chat_result, fill_result, is_equivalent
from mdstream_core import Choice, ModelResponse, ResponseMetadata, ToolCall, Usage

_TEXTS = st.text(max_size=5)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)
_ARGUMENTS = st.sampled_from(["", "{}", '{"city": "Paris"', "[1]"]) | st.dictionaries(_TEXTS, _JSON, max_size=2).map(
    json.dumps
)
_COUNTS = st.none() | st.integers(0, 9)
#: Calls in OpenAI's format, which LangChain's constructor reads if a message has no others.
_RAW_CALLS = st.just([{"id": "1", "function": {"name": "add", "arguments": "{}"}}])
_CHOICES = st.builds(
    Choice,
    text=_TEXTS,
    reasoning=_TEXTS,
    refusal=_TEXTS,
    tool_calls=st.lists(st.builds(ToolCall, _TEXTS, _TEXTS, _ARGUMENTS), max_size=3).map(tuple),
    logprobs=st.lists(st.fixed_dictionaries({"token": _TEXTS}), max_size=2).map(tuple),
    finish_reason=st.none() | _TEXTS,
    provider_data=st.fixed_dictionaries({}, optional={"citations": _JSON, "refusal": _JSON, "tool_calls": _RAW_CALLS}),
)
_USAGES = st.builds(
    Usage,
    *(st.integers(0, 9) for _ in range(3)),
    cached=_COUNTS,
    reasoning=_COUNTS,
    input_audio=_COUNTS,
    output_audio=_COUNTS,
)
_METADATA = st.builds(ResponseMetadata, _TEXTS, st.none() | _TEXTS, st.none() | _TEXTS)
_RESPONSES = st.builds(
    ModelResponse, st.lists(_CHOICES, max_size=3).map(tuple), usage=st.none() | _USAGES, metadata=_METADATA
)


@given(_RESPONSES, _TEXTS)
def test_results_are_what_the_constructors_build(response: ModelResponse, model: str) -> None:
    """Every field, its type and its order is that of a validated result, in dumps and pickles too."""
    expected, built = _construct(copy.deepcopy(response), model), build_result(response, "p", model)

    assert expected == built
    assert _state(expected) == _state(built)
    assert expected.model_dump_json() == built.model_dump_json()
    assert dumps(expected.generations) == dumps(built.generations)
    assert _state(expected) == _state(pickle.loads(pickle.dumps(built)))


def test_the_constructors_are_used_only_if_langchain_builds_other_objects() -> None:
    """The installed langchain-core builds what the fast functions fill."""
    assert is_equivalent()
    assert fill_result is chat_result


def test_the_choices_of_a_response_share_nothing() -> None:
    """A change of one message's usage or metadata does not change another message."""
    response = ModelResponse((Choice("a"), Choice("b")), usage=Usage(1, 2, 3, cached=1))
    one, other = (generation.message for generation in build_result(response, "p").generations)

    assert isinstance(one, AIMessage)
    assert isinstance(other, AIMessage)
    one.usage_metadata["input_token_details"]["cache_read"] = 9  # type: ignore[index,typeddict-item]
    one.response_metadata["a"] = one.additional_kwargs["a"] = 1
    one.tool_calls.append({"name": "add", "args": {}, "id": "1"})

    assert usage_metadata(Usage(1, 2, 3, cached=1)) == other.usage_metadata
    assert ({"model_provider": "p"}, {}, []) == (other.response_metadata, other.additional_kwargs, other.tool_calls)


@pytest.mark.parametrize("name", ["_generate", "_agenerate"])
def test_the_stored_signature_is_that_of_the_method(name: str) -> None:
    """LangChain reads the parameters of the method; a subclass has those of its own."""

    class Overridden(ChatOCIModelDeployment):
        def _generate(self, messages: Any, *rest: Any) -> Any: ...  # type: ignore[override]

        async def _agenerate(self, messages: Any, *rest: Any) -> Any: ...  # type: ignore[override]

    method = getattr(ChatOCIModelDeployment, name)
    stored = method.__signature__
    del method.__signature__
    try:
        assert inspect.signature(method) == stored
    finally:
        method.__signature__ = stored
    assert "run_manager" in inspect.signature(method).parameters
    assert ["self", "messages", "rest"] == list(inspect.signature(getattr(Overridden, name)).parameters)


@pytest.mark.parametrize("content", ["hi", ["a", {"type": "text", "text": "b"}]])
def test_a_subclass_of_a_human_message_is_converted_like_it(content: Any) -> None:
    """The usual class is recognized first; its subclasses are converted in the same way."""
    assert openai_messages([HumanMessage(content)]) == openai_messages([HumanMessageChunk(content=content)])


def _construct(response: ModelResponse, model: str) -> ChatResult:
    """Build the result with the public constructors."""
    metadata = replace(response.metadata, model=response.metadata.model or model)
    output = {
        "model_name": metadata.model,
        "token_usage": {
            "prompt_tokens": response.usage.input,
            "completion_tokens": response.usage.output,
            "total_tokens": response.usage.total,
        }
        if response.usage
        else {},
    }
    return ChatResult(
        generations=[_construct_generation(choice, metadata, response.usage) for choice in response.choices],
        llm_output={name: value for name, value in output.items() if value},
    )


def _construct_generation(choice: Choice, metadata: ResponseMetadata, usage: Usage | None) -> ChatGeneration:
    calls: list[dict[str, Any]] = []
    invalid: list[dict[str, Any]] = []
    for call in choice.tool_calls:
        try:
            calls.append({"name": call.name, "args": call.parse_arguments(), "id": call.id, "type": "tool_call"})
        except ValueError as error:
            values = {"name": call.name, "args": call.arguments, "id": call.id, "error": str(error)}
            invalid.append({**values, "type": "invalid_tool_call"})
    extra = {"reasoning_content": choice.reasoning, "refusal": choice.refusal, **choice.provider_data}
    info = {
        "finish_reason": choice.finish_reason,
        "model_name": metadata.model,
        "id": metadata.id,
        "system_fingerprint": metadata.fingerprint,
        "logprobs": {"content": list(choice.logprobs)} if choice.logprobs else None,
    }
    message = AIMessage(
        content=choice.text,
        additional_kwargs={name: value for name, value in extra.items() if value},
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage_metadata(usage) if usage else None,
        response_metadata={"model_provider": "p"},
    )
    return ChatGeneration(message=message, generation_info={name: value for name, value in info.items() if value})


def _state(value: Any) -> Any:
    """Return the fields of an object with their types and their order, and which are set, also of those inside."""
    if hasattr(value, "__pydantic_fields_set__"):
        names = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
        return [type(value), _state(value.__dict__), *(getattr(value, name) for name in names)]
    if isinstance(value, dict):
        return [(name, _state(item)) for name, item in value.items()]
    if isinstance(value, list):
        return [_state(item) for item in value]
    return type(value), value
