"""Which parameter a refusal names, and what it may not be mistaken for."""

import json
import warnings
from typing import Any

import pytest

from mdstream_core.dialects import TGI, Auto, OpenAIChat, dialect
from mdstream_core.errors import InvalidRequest

PROMPT = "What temperature is it? seed is not supported"
BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": PROMPT}], "model": "m", "temperature": 0.5, "top_p": 0.9, "max_tokens": 100,
    "user": "u", "n": 1, "seed": 5, "tool_choice": "auto", "logprobs": True, "top_logprobs": 3, "stop": ["x"],
    "metadata": {"a": "b"}, "stream": True, "stream_options": {"include_usage": True}, "presence_penalty": 0.1,
}  # fmt: skip


def refusal(document: Any, status: int = 400) -> InvalidRequest:
    raw = document if isinstance(document, str) else json.dumps(document)
    return InvalidRequest(f"{status}: {raw}", status=status, raw=raw)


def worded(message: str, **facts: Any) -> InvalidRequest:
    return refusal({"error": {"message": message, **facts}})


#: sentence: what it rejects
NAMED = {
    "Unsupported parameter: 'top_p' is not supported with this model; use temperature": "top_p",
    "Unsupported parameters: ['seed', 'top_p']": "seed",
    "Unsupported parameter(s): `seed`": "seed",
    "Invalid JSON payload received. Unknown name \"seed\": Cannot find field.": "seed",
    "property 'seed' is unsupported": "seed",
    "Argument not supported on this model: presence_penalty": "presence_penalty",
    "Model grok-4 does not support parameter presencePenalty.": "presence_penalty",
    "This model doesn't currently support the logprobs parameter": "logprobs",
    "Additional properties are not allowed ('seed' was unexpected)": "seed",
    "create() got an unexpected keyword argument 'top_p'": "top_p",
    "stream_options: Extra inputs are not permitted": "stream_options",
    "temperature and top_p are not supported with this model": "temperature",
    "The 'stream_options' parameter is only allowed when 'stream' is enabled.": "stream_options",
    "Error code: 400 - {'error': {'message': \"seed: unknown field\"}}": "seed",
    "body.stream_options.include_usage is not permitted": "stream_options",
    "logprobs is not supported together with stop": "logprobs",
    "Invalid value for 'metadata': 'metadata' is only allowed when 'store' is enabled.": "metadata",
}  # fmt: skip


@pytest.mark.parametrize(("message", "name"), NAMED.items())
def test_a_rejected_parameter_is_found_in_a_sentence(message: str, name: str) -> None:
    """
    As JSON and as plain text.
    """
    for error in (worded(message), refusal(message), InvalidRequest(message)):
        with pytest.warns(RuntimeWarning, match=f"the model rejects {name}"):
            simpler = OpenAIChat().relax_payload(BODY, error)
        assert simpler is not None
        assert {name} == BODY.keys() - simpler.keys() - {"top_logprobs"}


FOREIGN = {
    "a path into a tool": worded("tools.0.function.parameters.properties.temperature.exclusiveMinimum is not supported"),
    "with words before it": worded("Invalid tool schema: tools.0.function.parameters.properties.seed is not supported"),
    "param of a tool": worded("keyword not supported", param="tools[0].function.parameters.properties.temperature", code="unsupported"),
    "param of a message": worded("not supported", param="messages[0].content[1].seed"),
    "param of a schema": worded("unknown", param="response_format.json_schema.schema.properties.temperature"),
    "loc of a tool": refusal({"detail": [{"type": "extra_forbidden", "loc": ["body", "tools", 0, "seed"], "msg": "Extra inputs are not permitted"}]}),
    "a tool's parameter": worded("Unknown tool parameter 'seed' in tool plant"),
    "behind its name": worded("Unknown parameter 'seed' in tool plant"),
    "a function's schema": worded("Invalid schema for function 'forecast': In context=('properties', 'seed'), 'seed' is not permitted"),
    "a role": worded("Conversation roles must alternate user/assistant; unexpected role 'user'"),
    "the role alone": worded("Role 'user' is not supported"),
    "alternatives": worded("Unsupported parameter: 'stop' is not supported with this model; only temperature and top_p are."),
    "advice": worded("Unrecognized request argument supplied: guided_json. temperature is fine"),
    "company": worded("response_format is not supported together with logprobs"),
    "company, and numbers": worded("'stop' is not supported with n=1 and temperature"),
    "a list that begins with another": worded("stop, temperature and top_p are not supported"),
    "an object that begins with another": worded("This model does not support tools or tool_choice"),
    "an aside": worded("Unsupported image; top_p ignored"),
    "a quotation": worded(f"Unsupported content: {PROMPT}"),
    "a quotation in quotes": worded(f"Invalid message content: '{PROMPT}'"),
    "words of prose": worded("Unexpected error while sampling: temperature must be positive"),
}  # fmt: skip


@pytest.mark.parametrize("error", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("name", ["openai-chat", "auto", "oci-generic"])
def test_other_names_in_an_error_are_not_rejected(error: InvalidRequest, name: str) -> None:
    """In a tool's schema, as a role, as an alternative, in a quotation of the prompt."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dialect(name).relax_payload(BODY, error) is None


LIMITS = {
    "greater": worded("This model does not support max_tokens greater than 4096"),
    "too large": worded("max_tokens is too large: 9999. It does not support more", param="max_tokens", code="invalid_value"),
    "unsupported value": worded("Unsupported value: 'max_tokens' must be at most 16384", param="max_tokens", code="unsupported_value"),
    "between": worded("max_tokens=9999 is not supported, it must be between 1 and 4096"),
    "a range": refusal("max_tokens is not supported: out of range"),
}  # fmt: skip


@pytest.mark.parametrize("error", LIMITS.values(), ids=LIMITS)
def test_a_token_limit_that_is_too_high_is_not_renamed(error: InvalidRequest) -> None:
    """
    The refusal is raised.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OpenAIChat().relax_payload({**BODY, "max_tokens": 9999}, error) is None


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("metadata", {"api_key": "sk-SECRET"}, "metadata"),
        ("user", "Jane SECRET", "user"),
        ("prompt_cache_key", "SECRET", "prompt_cache_key"),
        ("tool_choice", "auto", "tool_choice=auto"),
        ("temperature", 0.5, "temperature=0.5"),
        ("logprobs", True, "logprobs=True"),
    ],
)
def test_a_warning_quotes_neither_the_user_nor_the_server(name: str, value: Any, shown: str) -> None:
    """
    The parameter, the status, the code; the value of numbers, flags and known choices.
    """
    error = worded(f"Unsupported parameter: '{name}', {PROMPT} SECRET", param=name, code="unsupported_parameter")
    error.code = "unsupported_parameter"
    with pytest.warns(RuntimeWarning) as caught:
        assert OpenAIChat().relax_payload({**BODY, name: value}, error)

    assert [f"the model rejects {shown} (400, unsupported_parameter): the request is sent again without it"] == [
        str(one.message) for one in caught
    ]


@pytest.mark.filterwarnings("ignore:the model", "ignore:the container")
def test_a_request_is_converted_to_dialogs_after_a_rejected_parameter() -> None:
    """
    JumpStart's Llama 2 behind `auto`; TGI's parameters by their paths.
    """
    requested = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "top_k": 5}
    body = Auto().relax_payload(Auto().build_payload(requested, stream=False), InvalidRequest("missing field `inputs`"))
    assert body is not None
    simpler = Auto().relax_payload(body, InvalidRequest("unknown parameter: parameters.top_k"))
    assert simpler is not None
    assert body["parameters"].keys() - simpler["parameters"].keys() == {"top_k"}
    dialogs = Auto().relax_payload(simpler, InvalidRequest("string indices must be integers"))
    assert dialogs is not None
    assert [requested["messages"]] == dialogs["inputs"]

    located = refusal({"detail": [{"type": "extra_forbidden", "loc": ["body", "parameters", "top_k"], "msg": "no"}]})
    assert (TGI().relax_payload(TGI().build_payload(requested, stream=False), located) or {})["parameters"].keys() >= {
        "temperature"
    }
